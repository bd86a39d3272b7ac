// Which CUDA devices there are; answers on a machine without a driver too.
#include <cuda_runtime.h>

extern "C" int engine_cuda_device_count(const char **reason) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    *reason = error == cudaSuccess ? "" : cudaGetErrorString(error);
    return error == cudaSuccess ? count : 0;
}
