// sanitize on the device: one thread an output element.
#include <cuda_runtime.h>

#include "element.h"

namespace {

__global__ void sanitize_elements(EngineColumns columns, int dtype, const void *values, int64_t elements, float *out) {
    const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += stride)
        engine::sanitize_element(columns, dtype, values, i, out);
}

}  // namespace

extern "C" int engine_sanitize_cuda(EngineColumns columns, int dtype, const void *values, int64_t objects, float *out, void *stream) {
    const int64_t elements = objects * columns.width;
    if (elements == 0) return 0;
    const int64_t wanted = (elements + 255) / 256;
    const int blocks = static_cast<int>(wanted < 65535 ? wanted : 65535);
    sanitize_elements<<<blocks, 256, 0, static_cast<cudaStream_t>(stream)>>>(columns, dtype, values, elements, out);
    return static_cast<int>(cudaGetLastError());
}
