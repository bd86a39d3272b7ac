// Which CUDA devices there are, and what an error number means; answers on a machine without a driver too.
#include <cuda_runtime.h>

extern "C" int engine_cuda_device_count(const char **reason) {
    int count = 0, driver = 0;
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
        *reason = "no CUDA driver is installed";
        return 0;
    }
    const cudaError_t error = cudaGetDeviceCount(&count);
    *reason = error == cudaSuccess ? "" : cudaGetErrorString(error);
    return error == cudaSuccess ? count : 0;
}

extern "C" const char *engine_cuda_error(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }
