// Vertex fit on a CUDA device: a thread a jet. The tracks are read from the inputs whenever they are needed, the linearisation of the last
// pass is computed again, and momenta and responses wait in the memory of the outputs: nothing else passes through memory.
#include <cuda_runtime.h>

#include "problem.h"

namespace engine {
namespace {

constexpr int threads_per_block = 64;

template <class T, class C, bool Approximate> struct Thread {
    static constexpr int block = 1;
    static constexpr bool keeps = false;
    const EngineVertexInputs& in;
    T *momenta, *response;        // of the outputs
    const T* cotangents;          // of the momenta, or null
    bool counted;                 // whether `momenta` counts from the measured ones
    int64_t problem, first, first_weight;
    int longest, current = -1;
    Frame<T> frame;
    Prior<T> prior;
    T heaviest = -1;
    // The current track.
    bool good = false;
    Helix<T> helix;
    T phi, theta, w;  // the angles as measured
    C cov;

    __device__ Thread(const EngineVertexInputs& inputs, int64_t which, void* to_momenta, void* to_response, const void* ct_momenta, bool solved)
        : in(inputs), momenta(static_cast<T*>(to_momenta)), response(static_cast<T*>(to_response)), cotangents(static_cast<const T*>(ct_momenta)),
          counted(!solved), problem(which) {
        const int64_t jet = problem / in.vertices;
        first = in.offsets ? in.offsets[jet] : jet * in.padded;
        longest = static_cast<int>(in.offsets ? in.offsets[jet + 1] - first : in.padded);
        first_weight = first * in.jet_stride + problem % in.vertices * in.vertex_stride;
        Frame<T> of_heaviest;
        for (int i = 0; i < longest; ++i) {
            load(i);
            if (good && w > heaviest) heaviest = w, of_heaviest.phi = phi, of_heaviest.t = helix.t, of_heaviest.z = helix.z0;
        }
        heaviest = heaviest > 0 ? heaviest : T(0);
        sine_cosine(of_heaviest.phi, of_heaviest.s, of_heaviest.c);
        frame = of_heaviest, current = -1;
        prior.given = in.prior_information != nullptr;
        if (!prior.given) return;
        prior.information = frame.matrix_in(matrix(in.prior_information));
        prior.position = frame.point_in(point(in.prior_position));
    }

    // What cannot be a track (masked, not finite, a variance that is not positive, along the beam) is an empty one of no weight.
    __device__ void load(int i) {
        if (i == current) return;
        current = i;
        const int64_t row = first + i;
        const T *q = static_cast<const T*>(in.tracks) + row * 5, *v = static_cast<const T*>(in.covariance) + row * C::width;
        good = !in.mask || in.mask[row];
        if (good) w = static_cast<const T*>(in.weights)[first_weight + i], good = finite(w) && w >= 0;
        for (int k = 0; good && k < 5; ++k) good = finite(q[k]) && v[C::upper(k)] > 0;
        for (int k = 0; good && k < C::width; ++k) good = finite(v[k]);
        T sine = 1, cosine = 0;
        if (good) sine_cosine(q[3], sine, cosine), good = absolute(sine) > T(1e-5);
        for (int k = 0; k < C::size; ++k) cov[k] = good ? (k < 5 ? v[C::upper(k)] : (v[C::upper(k)] + v[C::lower(k)]) * T(0.5)) : T(k < 5);
        phi = good ? q[2] : T(0), theta = good ? q[3] : T(0), w = good ? w : T(0);
        helix = good ? Helix<T>{q[0], q[1] - frame.z, T(0), T(1), cosine / sine, q[4]} : Helix<T>{T(0), T(0), T(0), T(1), T(0), T(0)};
        if (good) sine_cosine(phi - frame.phi, helix.s, helix.c);
    }
    __device__ const Helix<T>& q(int i) { return load(i), helix; }
    __device__ const C& covariance(int i) { return load(i), cov; }
    __device__ T weight(int i) { return load(i), w; }
    __device__ bool valid(int i) { return load(i), good; }
    __device__ Momentum<T> measured(int i) { return load(i), Momentum<T>{phi, theta, helix.rho}; }
    __device__ Momentum<T> momentum(int i) {
        const T* p = momenta + (first_weight + i) * 3;
        if (counted) return {p[0], p[1], p[2]};
        const Momentum<T> q = measured(i);
        return good ? Momentum<T>{p[0] - q.phi, p[1] - q.theta, p[2] - q.rho} : Momentum<T>{T(0), T(0), T(0)};
    }
    __device__ void set_momentum(int i, const Momentum<T>& p) {
        T* target = momenta + (first_weight + i) * 3;
        target[0] = p.phi, target[1] = p.theta, target[2] = p.rho;
    }
    __device__ Momentum<T> momentum_cotangent(int i) {
        const T* p = cotangents + (first_weight + i) * 3;
        return cotangents && valid(i) ? Momentum<T>{p[0], p[1], p[2]} : Momentum<T>{T(0), T(0), T(0)};
    }
    __device__ void keep_motion(int, const Motion<T>&) {}
    template <bool> __device__ Motion<T> motion(int i, const Vector<T>& v, const Momentum<T>& p) {
        const auto f = linearise<Approximate>(Aim<T>(q(i), v, p), helix, cov, v, p, frame.t);
        Vector<T> unused;
        return engine::motion<Approximate>(f, f.l1(), f.l2(), p, false, unused);
    }
    __device__ void keep_pull(int i, const Pull<T>& p) {
        T* target = response + (first_weight + i) * 4;
        target[0] = p.force.x, target[1] = p.force.y, target[2] = p.force.z, target[3] = p.chi2;
    }
    __device__ Pull<T> pull(int i) const {
        const T* p = response + (first_weight + i) * 4;
        return {{p[0], p[1], p[2]}, p[3]};
    }

    __device__ T number(const void* source) const {
        const T value = source ? static_cast<const T*>(source)[problem] : T(0);
        return finite(value) ? value : T(0);
    }
    __device__ Vector<T> point(const void* source) const {
        const T* p = static_cast<const T*>(source) + problem * 3;
        const Vector<T> v = source ? Vector<T>{p[0], p[1], p[2]} : Vector<T>{};
        return keep<T>(finite(v), v);
    }
    __device__ Symmetric<T> matrix(const void* source) const {
        const T *a = static_cast<const T*>(source) + problem * 9, half = T(0.5);
        const Symmetric<T> m{a[0], (a[1] + a[3]) * half, (a[2] + a[6]) * half, a[4], (a[5] + a[7]) * half, a[8]};
        return keep<T>(finite(m), m);
    }
    __device__ bool solved(const int32_t* status) const { return status[problem] < singular; }
    __device__ void store(T value, void* target) const { static_cast<T*>(target)[problem] = value; }
    __device__ void store_status(T value, int32_t* target) const { target[problem] = static_cast<int32_t>(value); }
    __device__ void store(const Vector<T>& v, void* target) const {
        T* p = static_cast<T*>(target) + problem * 3;
        if (target) p[0] = v.x, p[1] = v.y, p[2] = v.z;
    }
    __device__ void store(const Symmetric<T>& m, void* target) const {
        T* a = static_cast<T*>(target) + problem * 9;
        if (target) a[0] = m.a11, a[1] = a[3] = m.a12, a[2] = a[6] = m.a13, a[4] = m.a22, a[5] = a[7] = m.a23, a[8] = m.a33;
    }
    template <int Each, class F> __device__ void write(void* target, F row) const {
        for (int i = 0; target && i < longest; ++i) {
            T numbers[Each];
            row(i, numbers);
            for (int k = 0; k < Each; ++k) static_cast<T*>(target)[(first_weight + i) * Each + k] = numbers[k];
        }
    }
    template <int Each, class F> __device__ void add(void* target, F row) const {
        for (int i = 0; target && i < longest; ++i) {
            T numbers[Each];
            row(i, numbers);
            for (int k = 0; k < Each; ++k) static_cast<T*>(target)[(first + i) * Each + k] += numbers[k];
        }
    }
};

__device__ int64_t index() { return blockIdx.x * int64_t(threads_per_block) + threadIdx.x; }

template <class T, class C, bool Ndive>
__global__ void __launch_bounds__(threads_per_block) forward_kernel(EngineVertexInputs in, EngineVertexOutputs out) {
    if (index() >= in.jets * in.vertices) return;
    Thread<T, C, Ndive> thread(in, index(), out.momenta, out.response, nullptr, false);
    for (int i = 0; i < thread.longest; ++i) thread.set_momentum(i, {T(0), T(0), T(0)});
    forward<Ndive, T>(thread, in, out);
}

// A thread does all vertices of a jet: the sums have a fixed order.
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
    if (index() < in.jets * in.vertices) weights_backward<T>(in, response, given, weights, index(), index() + 1);
}

unsigned int blocks(int64_t items) { return static_cast<unsigned int>((items + threads_per_block - 1) / threads_per_block); }

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
