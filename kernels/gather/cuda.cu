// gather on the device: one block a row, its threads over the output elements of the row.
#include <cuda_runtime.h>

#include "../sanitize/device.cuh"
#include "gather.h"

namespace {

struct Objects {
    int64_t first, count;  // count -1: the index or its offsets are out of range
};

__device__ Objects find(const EngineSegment *segments, int64_t segment_count, int32_t segment, int64_t row, int64_t keep, bool jagged) {
    if (segment < 0 || segment >= segment_count) return {0, -1};
    const EngineSegment &piece = segments[segment];
    if (row < 0 || row >= piece.rows) return {0, -1};
    if (!jagged) return {row, 1};
    const int64_t begin = piece.offsets[row], end = piece.offsets[row + 1];
    if (begin < 0 || end < begin || end > piece.objects) return {0, -1};
    return {begin, end - begin < keep ? end - begin : keep};
}

__global__ void gather_rows(EngineColumns columns, int dtype, const EngineSegment *segments, int64_t segment_count, const int32_t *segment,
                            const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask, int64_t *bad) {
    const int64_t elements = keep * columns.width;
    for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
        const Objects objects = find(segments, segment_count, segment[i], row[i], keep, mask != nullptr);
        if (objects.count < 0 && threadIdx.x == 0) atomicMin(reinterpret_cast<long long *>(bad), static_cast<long long>(i));
        for (int64_t e = threadIdx.x; e < elements; e += blockDim.x) {
            const int64_t object = e / columns.width, column = e % columns.width;
            float y = 0.0f;
            if (object < objects.count) {
                const int64_t at = (objects.first + object) * columns.features + columns.source[column];
                y = engine::transform_value(columns, column, engine::load_value(dtype, segments[segment[i]].values, at));
            }
            out[i * elements + e] = y;
        }
        if (mask != nullptr)
            for (int64_t object = threadIdx.x; object < keep; object += blockDim.x) mask[i * keep + object] = object < objects.count;
    }
}

}  // namespace

extern "C" int engine_gather_cuda(EngineColumns columns, int dtype, const EngineSegment *segments, int64_t segment_count,
                                  const int32_t *segment, const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask,
                                  int64_t *bad, void *stream) {
    if (count == 0) return 0;
    const int blocks = static_cast<int>(count < 65535 ? count : 65535);
    gather_rows<<<blocks, 128, 0, static_cast<cudaStream_t>(stream)>>>(columns, dtype, segments, segment_count, segment, row, count, keep, out,
                                                                       mask, bad);
    return static_cast<int>(cudaGetLastError());
}
