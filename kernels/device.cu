// Which CUDA devices there are, and what an error number means; answers on a machine without a driver too.
#include <cuda_runtime.h>

namespace {

// A device runs what was built for its generation up to its own version; of a version beyond all of these, the driver compiles the last one's PTX.
bool runs(int version) {
    bool found = false;
    int last = 0;
    for (const int built : {__CUDA_ARCH_LIST__}) {
        found = found || (built / 100 == version / 100 && built <= version);
        last = built > last ? built : last;
    }
    return found || version > last;
}

}  // namespace

// How many devices the kernels run on, and why none.
extern "C" int engine_cuda_device_count(const char **reason) {
    int count = 0, driver = 0;
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
        *reason = "no CUDA driver is installed";
        return 0;
    }
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        *reason = cudaGetErrorString(error);
        return 0;
    }
    int good = 0;
    for (int device = 0; device < count; ++device) {
        int major = 0, minor = 0;
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
        good += runs(100 * major + 10 * minor);
    }
    *reason = good == 0 ? "no device of an architecture that they were built for" : "";
    return good;
}

extern "C" const char *engine_cuda_error(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }
