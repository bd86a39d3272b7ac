// Vertex fit on a CUDA device: a thread a jet. The linearisation of the last pass is computed again instead of being kept, so that
// nothing but the momenta (which are an output) passes through memory between the iterations.
#include <cuda_runtime.h>

#include "cpu.h"
#include "gradient.h"

namespace engine {
namespace {

constexpr int threads_per_block = 64;
__device__ constexpr int upper[15] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 18, 19, 24}, lower[15] = {0, 5, 10, 15, 20, 6, 11, 16, 21, 12, 17, 22, 18, 23, 24};

template <class T> __device__ bool sound(T x) { return finite(x); }

// The tracks of one problem, read from the inputs whenever they are needed.
template <class T, class C, bool Approximate> struct Tracks {
    static constexpr int block = 1;
    const EngineVertexInputs& in;
    T* momenta;
    int64_t first, first_weight;
    Frame<T> frame;
    int current = -1;
    bool valid = false;
    Helix<T> helix;
    T phi, theta, w = 0;  // the angles as measured
    C cov;

    __device__ void load(int i) {
        if (i == current) return;
        current = i;
        int64_t row = first + i;
        valid = !in.mask || in.mask[row];
        w = 0;
        helix = {T(0), T(0), T(0), T(1), T(0), T(0)};
        phi = theta = 0;
        for (int k = 0; k < C::size; ++k) cov.v[k] = T(C::size == 5 || k == 0 || k == 5 || k == 9 || k == 12 || k == 14);
        if (!valid) return;
        const T *q = static_cast<const T*>(in.tracks) + row * 5, *v = static_cast<const T*>(in.covariance) + row * (C::size == 5 ? 5 : 25);
        T weight = static_cast<const T*>(in.weights)[first_weight + i];
        valid = sound(weight) && weight >= 0;
        for (int k = 0; k < 5; ++k) {
            T variance = v[C::size == 5 ? k : 6 * k];
            valid = valid && sound(q[k]) && sound(variance) && variance > 0;
        }
        if (C::size == 15)
            for (int k = 0; k < 25; ++k) valid = valid && sound(v[k]);
        T sine, cosine;
        sine_cosine(q[3], sine, cosine);
        valid = valid && absolute(sine) > T(1e-5);
        if (!valid) return;
        phi = q[2], theta = q[3];
        helix = {q[0], q[1] - frame.z, T(0), T(1), cosine / sine, q[4]};
        sine_cosine(phi - frame.phi, helix.s, helix.c);
        for (int k = 0; k < C::size; ++k) cov.v[k] = C::size == 5 ? v[k] : (v[upper[k]] + v[lower[k]]) * T(0.5);
        w = weight;
    }
    __device__ const Helix<T>& q(int i) { load(i); return helix; }
    __device__ const C& covariance(int i) { load(i); return cov; }
    __device__ T weight(int i) { load(i); return w; }
    __device__ Momentum<T> momentum(int i) const { const T* p = momenta + (first_weight + i) * 3; return {p[0], p[1], p[2]}; }
    __device__ void set_momentum(int i, const Momentum<T>& p) {
        T* target = momenta + (first_weight + i) * 3;
        target[0] = p.phi, target[1] = p.theta, target[2] = p.rho;
    }
    __device__ void keep_motion(int, const Motion<T>&) {}
    __device__ void fetch_in_pass(int, int) {}
    template <bool> __device__ Motion<T> motion(int i, const Vector<T>& v, const Momentum<T>& p) {
        load(i);
        auto f = linearise<Approximate>(helix, cov, v, p, frame.t);
        Vector<T> unused;
        return engine::motion<Approximate>(f, Weighed<T>(f), p, false, unused);
    }

    // The frame of the heaviest track; returns its weight.
    __device__ T choose(int n) {
        T best = -1, turned = 0, t = 0, z = 0;
        frame = {T(1), T(0), T(0), T(0), T(0)};
        for (int i = 0; i < n; ++i) {
            load(i);
            if (!valid || !(w > best)) continue;
            best = w, turned = phi, t = helix.t, z = helix.z0;
        }
        frame.phi = turned, frame.t = t, frame.z = z;
        sine_cosine(turned, frame.s, frame.c);
        current = -1;
        return best > 0 ? best : T(0);
    }
};

template <class T> __device__ Vector<T> point_at(const void* points, int64_t problem) {
    if (!points) return {};
    const T* p = static_cast<const T*>(points) + problem * 3;
    return sound(p[0]) && sound(p[1]) && sound(p[2]) ? Vector<T>{p[0], p[1], p[2]} : Vector<T>{};
}
template <class T> __device__ Symmetric<T> matrix_at(const void* matrices, int64_t problem) {
    const T* a = static_cast<const T*>(matrices) + problem * 9;
    for (int k = 0; k < 9; ++k)
        if (!sound(a[k])) return {};
    return {a[0], (a[1] + a[3]) * T(0.5), (a[2] + a[6]) * T(0.5), a[4], (a[5] + a[7]) * T(0.5), a[8]};
}
template <class T> __device__ void store_matrix(const Symmetric<T>& m, void* matrices, int64_t problem) {
    T* a = static_cast<T*>(matrices) + problem * 9;
    a[0] = m.a11, a[1] = a[3] = m.a12, a[2] = a[6] = m.a13, a[4] = m.a22, a[5] = a[7] = m.a23, a[8] = m.a33;
}
template <class T> __device__ void store_point(const Vector<T>& v, void* points, int64_t problem) {
    T* p = static_cast<T*>(points) + problem * 3;
    p[0] = v.x, p[1] = v.y, p[2] = v.z;
}
template <class T> __device__ bool sound(const Vector<T>& v) { return sound(v.x) && sound(v.y) && sound(v.z); }
template <class T> __device__ bool sound(const Symmetric<T>& m) { return finite_matrix(m); }

__device__ int64_t start_of(const EngineVertexInputs& in, int64_t jet) { return in.offsets ? in.offsets[jet] : jet * in.padded; }

template <class T, class Tr> __device__ Prior<T> prior_of(const EngineVertexInputs& in, const Tr& tracks, int64_t problem) {
    Prior<T> prior;
    prior.given = in.prior_information != nullptr;
    if (!prior.given) return prior;
    prior.information = tracks.frame.matrix_in(matrix_at<T>(in.prior_information, problem));
    prior.position = tracks.frame.point_in(point_at<T>(in.prior_position, problem));
    return prior;
}

template <class T, class C, bool Ndive> __global__ void __launch_bounds__(threads_per_block) forward_kernel(EngineVertexInputs in, EngineVertexOutputs out) {
    const int64_t problem = blockIdx.x * int64_t(threads_per_block) + threadIdx.x;
    if (problem >= in.jets * in.vertices) return;
    const int64_t jet = problem / in.vertices, first = start_of(in, jet);
    const int n = static_cast<int>(start_of(in, jet + 1) - first);
    Tracks<T, C, Ndive> tracks{in, static_cast<T*>(out.momenta), first, first * in.jet_stride + problem % in.vertices * in.vertex_stride};
    tracks.frame = {T(1), T(0), T(0), T(0), T(0)};
    const T heaviest = tracks.choose(n);
    const Prior<T> prior = prior_of<T>(in, tracks, problem);
    const Vector<T> start = point_at<T>(in.seed ? in.seed : in.prior_position, problem);
    for (int i = 0; i < n; ++i) tracks.set_momentum(i, {T(0), T(0), T(0)});
    const Settings settings{in.tolerance, in.max_iterations, in.sandwich != 0};
    Fit<T> result = fit<Ndive, T>(tracks, n, tracks.frame.point_in(start), tracks.frame.t, heaviest, prior, settings);
    Vector<T> point = tracks.frame.point_out(result.vertex);
    Symmetric<T> spread = tracks.frame.matrix_out(result.covariance);
    const bool fine = sound(point) && sound(spread) && sound(result.chi2), solved = fine && result.status < T(singular);
    store_point(solved ? point : start, out.vertex, problem);
    store_matrix(solved ? spread : Symmetric<T>{}, out.covariance, problem);
    static_cast<T*>(out.chi2)[problem] = solved ? result.chi2 : T(0);
    out.status[problem] = fine ? static_cast<int32_t>(result.status) : singular;
    for (int i = 0; i < n; ++i) {
        tracks.load(i);
        Momentum<T> p = tracks.momentum(i);
        p = {tracks.phi + p.phi, tracks.theta + p.theta, tracks.helix.rho + p.rho};
        const bool keep = tracks.valid && sound(p.phi) && sound(p.theta) && sound(p.rho);
        tracks.set_momentum(i, keep ? p : Momentum<T>{T(0), T(0), T(0)});
    }
}

// One problem's gradients, added to those of its jet. A thread does all vertices of a jet: the sums have a fixed order.
template <class T, class C, bool Ndive>
__device__ void backward_problem(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& given,
                                 const EngineVertexGradients& out, int64_t jet, int64_t problem) {
    const int64_t first = start_of(in, jet);
    const int n = static_cast<int>(start_of(in, jet + 1) - first);
    Tracks<T, C, false> tracks{in, static_cast<T*>(solution.momenta), first, first * in.jet_stride + problem % in.vertices * in.vertex_stride};
    tracks.frame = {T(1), T(0), T(0), T(0), T(0)};
    tracks.choose(n);
    const Prior<T> prior = prior_of<T>(in, tracks, problem);
    const Vector<T> v = tracks.frame.point_in(point_at<T>(solution.vertex, problem));
    auto linear = [&](int i) {
        const Helix<T>& q = tracks.q(i);
        Momentum<T> p = tracks.momentum(i);
        p = tracks.valid ? Momentum<T>{p.phi - tracks.phi, p.theta - tracks.theta, p.rho - q.rho} : Momentum<T>{T(0), T(0), T(0)};
        return linearise<false>(q, tracks.cov, v, p, tracks.frame.t);
    };
    auto momentum_cotangent = [&](int i) {
        if (!given.momenta || !tracks.valid) return Momentum<T>{T(0), T(0), T(0)};
        const T* bar = static_cast<const T*>(given.momenta) + (tracks.first_weight + i) * 3;
        return Momentum<T>{bar[0], bar[1], bar[2]};
    };
    Cotangents<T> ct;
    ct.vertex = tracks.frame.covector_in(point_at<T>(given.vertex, problem));
    ct.chi2 = given.chi2 ? static_cast<const T*>(given.chi2)[problem] : T(0);
    if (!sound(ct.chi2)) ct.chi2 = 0;
    ct.covariance = given.covariance != nullptr;
    Symmetric<T> exact = prior.given ? prior.information : Symmetric<T>{};
    if (ct.covariance) {
        Symmetric<T> m = exact, spread = exact;
        for (int i = 0; i < n; ++i) {
            auto f = linear(i);
            Symmetric<T> part = Weighed<T>(f).information(f);
            accumulate(m, tracks.w, part);
            accumulate(spread, tracks.w * tracks.w, part);
        }
        ct.gamma_m = tracks.frame.matrix_in(matrix_at<T>(given.covariance, problem));
        differentiate_covariance(ct, m, spread, in.sandwich != 0);
    }
    Vector<T> rhs = ct.vertex;
    for (int i = 0; i < n; ++i) {
        auto f = linear(i);
        Response<T> r;
        respond<Ndive>(r, f, tracks.cov, tracks.w, momentum_cotangent(i), ct, exact, rhs);
    }
    const Vector<T> lambda = Factors<T>(exact).solve(rhs);
    const bool whole = out.tracks || out.covariance;
    bool fine = solution.status[problem] < singular && sound(lambda) && sound(ct.gamma_m) && sound(ct.gamma_s);
    for (int pass = 0; pass < 2 && fine; ++pass) {  // first look whether all is finite, then write
        for (int i = 0; i < n; ++i) {
            auto f = linear(i);
            Response<T> r;
            Symmetric<T> unused_matrix;
            Vector<T> unused;
            if (!tracks.valid) continue;
            const T weight = respond<Ndive>(r, f, tracks.cov, tracks.w, momentum_cotangent(i), ct, unused_matrix, unused).gradient(lambda, ct.chi2);
            Gradient<T> g{};
            if (whole) g = adjoint(r, lambda, ct);
            if (pass == 0) {
                fine = fine && sound(weight) && (!whole || sound(probe(g, r, ct.covariance)));
                continue;
            }
            if (out.weights) static_cast<T*>(out.weights)[tracks.first_weight + i] = weight;
            for (int k = 0; out.tracks && k < 5; ++k) static_cast<T*>(out.tracks)[(first + i) * 5 + k] += g.q[k];
            if (!out.covariance) continue;
            const T n1[5] = {T(1), T(0), -r.k11, T(0), -r.k13}, n2[5] = {T(0), T(1), -r.k21, -r.k22, -r.k23};
            for (int a = 0; a < 5; ++a) {
                for (int b = C::size == 5 ? a : 0; b < (C::size == 5 ? a + 1 : 5); ++b) {
                    T value = T(-0.5) * (g.u[a] * g.l[b] + g.u[b] * g.l[a]);
                    if (ct.covariance) value += r.omega11 * n1[a] * n1[b] + r.omega12 * (n1[a] * n2[b] + n2[a] * n1[b]) + r.omega22 * n2[a] * n2[b];
                    static_cast<T*>(out.covariance)[C::size == 5 ? (first + i) * 5 + a : (first + i) * 25 + a * 5 + b] += value;
                }
            }
        }
    }
    if (!prior.given || !fine) return;
    Vector<T> position;
    Symmetric<T> information;
    prior_gradient(tracks.frame, prior, v, lambda, ct, position, information);
    if (!sound(position) || !sound(information)) return;
    if (out.prior_position) store_point(position, out.prior_position, problem);
    if (out.prior_information) store_matrix(information, out.prior_information, problem);
}

template <class T, class C, bool Ndive>
__global__ void __launch_bounds__(threads_per_block)
    backward_kernel(EngineVertexInputs in, EngineVertexOutputs solution, EngineVertexCotangents given, EngineVertexGradients out) {
    const int64_t jet = blockIdx.x * int64_t(threads_per_block) + threadIdx.x;
    if (jet >= in.jets) return;
    for (int64_t k = 0; k < in.vertices; ++k) backward_problem<T, C, Ndive>(in, solution, given, out, jet, jet * in.vertices + k);
}

unsigned int blocks(int64_t items) { return static_cast<unsigned int>((items + threads_per_block - 1) / threads_per_block); }

const char* launched() {
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class T> const char* forward(const EngineVertexInputs& in, const EngineVertexOutputs& out, cudaStream_t stream) {
    const unsigned int grid = blocks(in.jets * in.vertices);
    if (grid == 0) return nullptr;
    if (in.ndive) forward_kernel<T, Diagonal<T>, true><<<grid, threads_per_block, 0, stream>>>(in, out);
    else if (in.full_covariance) forward_kernel<T, Full<T>, false><<<grid, threads_per_block, 0, stream>>>(in, out);
    else forward_kernel<T, Diagonal<T>, false><<<grid, threads_per_block, 0, stream>>>(in, out);
    return launched();
}

template <class T>
const char* backward(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& ct, const EngineVertexGradients& out,
                     cudaStream_t stream) {
    const unsigned int grid = blocks(in.jets);
    if (grid == 0) return nullptr;
    if (in.ndive) backward_kernel<T, Diagonal<T>, true><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
    else if (in.full_covariance) backward_kernel<T, Full<T>, false><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
    else backward_kernel<T, Diagonal<T>, false><<<grid, threads_per_block, 0, stream>>>(in, solution, ct, out);
    return launched();
}

}  // namespace
}  // namespace engine

const char* engine_vertex_fit_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, void* stream) {
    auto run = double_precision ? engine::forward<double> : engine::forward<float>;
    return run(*in, *out, static_cast<cudaStream_t>(stream));
}

const char* engine_vertex_fit_backward_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                                            const EngineVertexGradients* out, int double_precision, void* stream) {
    auto run = double_precision ? engine::backward<double> : engine::backward<float>;
    return run(*in, *solution, *cotangents, *out, static_cast<cudaStream_t>(stream));
}
