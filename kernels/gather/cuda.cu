// gather on the device: one block a row, its threads over the output elements of the row.
#include <cuda_runtime.h>

#include "row.h"

namespace {

__global__ void gather_rows(EngineColumns columns, int dtype, const EngineSegment *segments, int64_t segment_count, const int32_t *segment,
                            const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask, int64_t *bad) {
    for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
        const bool found = engine::gather_row(columns, dtype, segments, segment_count, segment[i], row[i], keep, threadIdx.x, blockDim.x,
                                              out + i * keep * columns.width, mask == nullptr ? nullptr : mask + i * keep);
        if (!found && threadIdx.x == 0) atomicMin(reinterpret_cast<long long *>(bad), static_cast<long long>(i));
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
