// As much of CUDA as the kernels use, on the processor: the threads of a launch one after the other. It is enough for kernels whose threads
// do not wait for each other.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

struct Index {
    unsigned x;
};
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(threads)

typedef int cudaError_t;
typedef void *cudaStream_t;
enum { cudaSuccess = 0 };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char *cudaGetErrorString(cudaError_t) { return ""; }
template <class T> T atomicMin(T *address, T value) {
    const T before = *address;
    if (value < before) *address = value;
    return before;
}

// What `kernel<<<grid, block, 0, stream>>>(arguments)` becomes.
template <class Kernel, class... Arguments> void launch(Kernel kernel, unsigned grid, unsigned block, const Arguments &...arguments) {
    gridDim = {grid}, blockDim = {block};
    for (unsigned b = 0; b < grid; ++b)
        for (unsigned t = 0; t < block; ++t) {
            blockIdx = {b}, threadIdx = {t};
            kernel(arguments...);
        }
}
