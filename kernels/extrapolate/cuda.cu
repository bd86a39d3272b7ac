// Extrapolation on a CUDA device: a thread a jet, so that the sum over its tracks has a fixed order.
#include <cuda_runtime.h>

#include "cpu.h"
#include "mathematics.h"

namespace engine {
namespace {

constexpr int threads_per_block = 128;

template <class T> __device__ bool load(const EngineExtrapolateInputs& in, int64_t jet, int64_t row, Perigee<T>& p, T* point) {
    p = {T(0), T(0), T(0), T(1.5), T(0)};
    point[0] = point[1] = point[2] = 0;
    if (in.mask && !in.mask[row]) return false;
    const T *q = static_cast<const T*>(in.tracks) + row * 5, *v = static_cast<const T*>(in.points) + jet * 3;
    for (int k = 0; k < 5; ++k)
        if (!finite(q[k])) return false;
    for (int k = 0; k < 3; ++k)
        if (!finite(v[k])) return false;
    if (!(absolute(q[2]) < T(64)) || !(absolute(q[3]) < T(64)) || !(absolute(sin(q[3])) > T(1e-5))) return false;
    p = {q[0], q[1], q[2], q[3], q[4]};
    for (int k = 0; k < 3; ++k) point[k] = v[k];
    return true;
}

__device__ int64_t begin_of(const EngineExtrapolateInputs& in, int64_t jet) { return in.offsets ? in.offsets[jet] : jet * in.padded; }

template <class T> __global__ void forward_kernel(EngineExtrapolateInputs in, T* out) {
    const int64_t jet = blockIdx.x * int64_t(threads_per_block) + threadIdx.x;
    if (jet >= in.jets) return;
    for (int64_t row = begin_of(in, jet); row < begin_of(in, jet + 1); ++row) {
        Perigee<T> p;
        T point[3];
        bool good = load(in, jet, row, p, point);
        Perigee<T> n = moved(p, point[0], point[1], point[2]);
        good = good && finite(n.d0) && finite(n.z0) && finite(n.phi);
        const T values[5] = {n.d0, n.z0, n.phi, n.theta, n.rho};
        for (int k = 0; k < 5; ++k) out[row * 5 + k] = good ? values[k] : T(0);
    }
}

template <class T> __global__ void backward_kernel(EngineExtrapolateInputs in, const T* cotangent, T* tracks, T* points) {
    const int64_t jet = blockIdx.x * int64_t(threads_per_block) + threadIdx.x;
    if (jet >= in.jets) return;
    T sum[3] = {0, 0, 0};
    for (int64_t row = begin_of(in, jet); row < begin_of(in, jet + 1); ++row) {
        Perigee<T> p, ct{T(0), T(0), T(0), T(0), T(0)};
        T point[3];
        bool good = load(in, jet, row, p, point);
        const T* bar = cotangent + row * 5;
        if (good) ct = {bar[0], bar[1], bar[2], bar[3], bar[4]};
        MovedGradient<T> g = moved_gradient(p, point[0], point[1], ct);
        good = good && finite(g.d0) && finite(g.z0) && finite(g.phi) && finite(g.theta) && finite(g.rho) && finite(g.x) && finite(g.y);
        const T values[5] = {g.d0, g.z0, g.phi, g.theta, g.rho};
        for (int k = 0; k < 5; ++k) tracks[row * 5 + k] = good ? values[k] : T(0);
        if (good) sum[0] += g.x, sum[1] += g.y, sum[2] += g.z;
    }
    for (int k = 0; k < 3; ++k) points[jet * 3 + k] = sum[k];
}

unsigned int blocks(int64_t items) { return static_cast<unsigned int>((items + threads_per_block - 1) / threads_per_block); }

const char* launched() {
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace
}  // namespace engine

const char* engine_extrapolate_cuda(const EngineExtrapolateInputs* in, void* out, int double_precision, void* stream) {
    using namespace engine;
    const unsigned int grid = blocks(in->jets);
    if (grid == 0) return nullptr;
    auto* queue = static_cast<cudaStream_t>(stream);
    if (double_precision) forward_kernel<double><<<grid, threads_per_block, 0, queue>>>(*in, static_cast<double*>(out));
    else forward_kernel<float><<<grid, threads_per_block, 0, queue>>>(*in, static_cast<float*>(out));
    return launched();
}

const char* engine_extrapolate_backward_cuda(const EngineExtrapolateInputs* in, const void* cotangent, void* tracks, void* points, int double_precision,
                                             void* stream) {
    using namespace engine;
    const unsigned int grid = blocks(in->jets);
    if (grid == 0) return nullptr;
    auto* queue = static_cast<cudaStream_t>(stream);
    if (double_precision)
        backward_kernel<double><<<grid, threads_per_block, 0, queue>>>(*in, static_cast<const double*>(cotangent), static_cast<double*>(tracks), static_cast<double*>(points));
    else
        backward_kernel<float><<<grid, threads_per_block, 0, queue>>>(*in, static_cast<const float*>(cotangent), static_cast<float*>(tracks), static_cast<float*>(points));
    return launched();
}
