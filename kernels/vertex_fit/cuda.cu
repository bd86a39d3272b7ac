// Vertex fit on a CUDA device: a group of threads a problem, a track a thread where there are no more tracks than threads. What a thread knows of
// its track then stays in registers; where it has several, it reads and computes again what it needs of one after the other. Momenta and
// responses lie in the memory of the outputs: nothing else passes through memory.
#include "thread.h"

namespace engine {
namespace {

constexpr int threads_per_block = 128;

// Which problem, or jet, is this group's.
__device__ int64_t index() { return (blockIdx.x * int64_t(threads_per_block) + threadIdx.x) / Group::every; }

template <class T, class C, bool Ndive>
__global__ void __launch_bounds__(threads_per_block) forward_kernel(EngineVertexInputs in, EngineVertexOutputs out) {
    if (index() >= in.jets * in.vertices) return;
    Thread<T, C, Ndive> thread(in, index(), out.momenta, out.response, nullptr, false);
    for (int i = thread.mine; i < thread.longest; i += Group::every) thread.set_momentum(i, {T(0), T(0), T(0)});
    forward<Ndive, T>(thread, in, out);
}

// A group does all vertices of a jet, and a thread always the same tracks: the sums have a fixed order.
template <class T, class C, bool Ndive>
__global__ void __launch_bounds__(threads_per_block)
    backward_kernel(EngineVertexInputs in, EngineVertexOutputs solution, EngineVertexCotangents given, EngineVertexGradients out) {
    for (int64_t k = 0; index() < in.jets && k < in.vertices; ++k) {
        Thread<T, C, Ndive> thread(in, index() * in.vertices + k, solution.momenta, nullptr, given.momenta, true);
        backward<Ndive, T, C>(thread, in, solution, given, out);
    }
}

template <class T>
__global__ void __launch_bounds__(threads_per_block)
    weights_kernel(EngineVertexInputs in, const void* response, EngineVertexCotangents given, void* weights) {
    if (index() < in.jets * in.vertices) weights_backward<T>(in, response, given, weights, index(), index() + 1, Group{});
}

unsigned int blocks(int64_t groups) {
    return static_cast<unsigned int>((groups * Group::every + threads_per_block - 1) / threads_per_block);
}

const char* launched() {
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class T> void launch_forward(const EngineVertexInputs& in, const EngineVertexOutputs& out, cudaStream_t stream) {
    const unsigned int grid = blocks(in.jets * in.vertices);
    if (grid == 0) return;
    if (in.ndive) forward_kernel<T, Diagonal<T>, true><<<grid, threads_per_block, 0, stream>>>(in, out);
    else if (in.full_covariance) forward_kernel<T, Full<T>, false><<<grid, threads_per_block, 0, stream>>>(in, out);
    else forward_kernel<T, Diagonal<T>, false><<<grid, threads_per_block, 0, stream>>>(in, out);
}

template <class T>
void launch_backward(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& ct,
                     const EngineVertexGradients& out, cudaStream_t stream) {
    const unsigned int grid = blocks(in.jets);
    if (grid == 0) return;
    if (in.ndive) backward_kernel<T, Diagonal<T>, true><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
    else if (in.full_covariance) backward_kernel<T, Full<T>, false><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
    else backward_kernel<T, Diagonal<T>, false><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
}

template <class T> void launch_weights(const EngineVertexInputs& in, const void* response, const EngineVertexCotangents& ct, void* out, cudaStream_t stream) {
    const unsigned int grid = blocks(in.jets * in.vertices);
    if (grid != 0) weights_kernel<T><<<grid, threads_per_block, 0, stream>>>(in, response, ct, out);
}

}  // namespace
}  // namespace engine

const char* engine_vertex_fit_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, intptr_t where) {
    const auto run = double_precision ? engine::launch_forward<double> : engine::launch_forward<float>;
    run(*in, *out, reinterpret_cast<cudaStream_t>(where));
    return engine::launched();
}

const char* engine_vertex_fit_backward_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                                            const EngineVertexGradients* out, int double_precision, intptr_t where) {
    const auto run = double_precision ? engine::launch_backward<double> : engine::launch_backward<float>;
    run(*in, *solution, *cotangents, *out, reinterpret_cast<cudaStream_t>(where));
    return engine::launched();
}

const char* engine_vertex_fit_weights_backward_cuda(const EngineVertexInputs* in, const void* response, const EngineVertexCotangents* cotangents, void* weights,
                                                    int double_precision, intptr_t where) {
    const auto run = double_precision ? engine::launch_weights<double> : engine::launch_weights<float>;
    run(*in, response, *cotangents, weights, reinterpret_cast<cudaStream_t>(where));
    return engine::launched();
}
