// What a CUDA device works with: a group of threads that has a problem to itself, and what a thread of it knows of its tracks.
#pragma once

#include <cuda_runtime.h>

#include "problem.h"

namespace engine {
namespace {

// Neighbouring threads of a warp. All of them get the same bits: a butterfly of sums, each of two numbers that both threads hold.
struct Group {
    static constexpr int every = 16;
    int mine = threadIdx.x % every;
    bool begins = mine == 0;
    unsigned members = 0xffffu << (threadIdx.x % 32 - mine);

    template <class T> __device__ T from(const T& value, int distance) const { return __shfl_xor_sync(members, value, distance); }
    __device__ bool agree(bool mask) const { return __all_sync(members, mask); }
    template <class... Sums> __device__ void collect(Sums&... sums) const {
        for (int distance = every / 2; distance; distance /= 2) (gather(sums, distance), ...);
    }

private:
    // Not fused with a product before it, whose rounding the other thread would not see.
    static __device__ float sum(float a, float b) { return __fadd_rn(a, b); }
    static __device__ double sum(double a, double b) { return __dadd_rn(a, b); }
    template <class T> __device__ void gather(T& value, int distance) const { value = sum(value, from(value, distance)); }
    template <class T> __device__ void gather(Vector<T>& v, int distance) const {
        const Vector<T> other(from(v.x, distance), from(v.y, distance), from(v.z, distance));
        v = {sum(v.x, other.x), sum(v.y, other.y), sum(v.z, other.z)};
    }
    template <class T> __device__ void gather(Symmetric<T>& m, int distance) const {
        Vector<T> upper(m.a11, m.a12, m.a13), lower(m.a22, m.a23, m.a33);
        gather(upper, distance), gather(lower, distance);
        m = {upper.x, upper.y, upper.z, lower.x, lower.y, lower.z};
    }
};

template <class T, class C, bool Approximate> struct Thread : Group {
    static constexpr int block = 1;
    const EngineVertexInputs& in;
    T *momentum_rows, *response_rows;  // of the outputs
    const T* cotangents;          // of the momenta, or null
    bool counted;                 // whether the former count from the measured ones
    int64_t problem, first, first_weight;
    int longest, current = -1;
    Frame<T> frame;
    Prior<T> prior;
    T heaviest = -1;
    // The current track, and what is known of it.
    bool good = false, has_momentum = false, has_motion = false, has_response = false, has_gradient = false;
    Helix<T> helix;
    T phi, theta, w;  // the angles as measured
    C cov;
    Momentum<T> p;
    Motion<T> moves;
    Response<T> answer;
    Gradient<T, C> change;

    __device__ Thread(const EngineVertexInputs& inputs, int64_t which, void* to_momenta, void* to_response, const void* ct_momenta, bool solved)
        : in(inputs), momentum_rows(static_cast<T*>(to_momenta)), response_rows(static_cast<T*>(to_response)), cotangents(static_cast<const T*>(ct_momenta)),
          counted(!solved), problem(which) {
        const int64_t jet = problem / in.vertices;
        first = in.offsets ? in.offsets[jet] : jet * in.padded;
        longest = static_cast<int>(in.offsets ? in.offsets[jet + 1] - first : in.padded);
        first_weight = first * in.jet_stride + problem % in.vertices * in.vertex_stride;
        set_frame();
        if (in.prior_information) prior.set(frame, stored_point(in.prior_position), stored_matrix(in.prior_information));
    }

    // That of the heaviest track, of several the first.
    __device__ void set_frame() {
        Frame<T> best;
        int which = longest;
        for (int i = mine; i < longest; i += every) {
            load(i);
            if (good && w > heaviest) heaviest = w, which = i, best.phi = phi, best.t = helix.t, best.z = helix.z0;
        }
        for (int distance = every / 2; distance; distance /= 2) {
            const T w2 = from(heaviest, distance), phi2 = from(best.phi, distance), t2 = from(best.t, distance), z2 = from(best.z, distance);
            const int which2 = from(which, distance);
            if (w2 > heaviest || (w2 == heaviest && which2 < which)) heaviest = w2, which = which2, best.phi = phi2, best.t = t2, best.z = z2;
        }
        heaviest = heaviest > 0 ? heaviest : T(0);
        sine_cosine(best.phi, best.s, best.c);
        frame = best, current = -1;
    }

    // Everything is read before anything is tested: the loads wait for the memory together. What cannot be a track (masked, not finite, a
    // variance that is not positive, along the beam) is an empty one of no weight.
    __device__ void load(int i) {
        if (i == current) return;
        current = i, has_momentum = has_motion = has_response = has_gradient = false;
        const int64_t row = first + i;
        T q[5] = {}, v[C::width] = {}, zero = 0, sum = 0;
        good = !in.mask || in.mask[row], w = 0;
        if (good) {
            for (int k = 0; k < 5; ++k) q[k] = static_cast<const T*>(in.tracks)[row * 5 + k];
            for (int k = 0; k < C::width; ++k) v[k] = static_cast<const T*>(in.covariance)[row * C::width + k];
            w = static_cast<const T*>(in.weights)[first_weight + i];
        }
        for (int k = 0; k < C::size; ++k) cov[k] = k < 5 ? v[C::upper(k)] : (v[C::upper(k)] + v[C::lower(k)]) * T(0.5), sum += cov[k] * zero;
        for (int k = 0; k < 5; ++k) sum += q[k] * zero;
        good = good & (w >= 0) & cov.positive() & (sum + w * zero == 0);
        T sine = 1, cosine = 0;
        if (good) sine_cosine(q[3], sine, cosine), good = absolute(sine) > T(1e-5);
        for (int k = 0; k < C::size; ++k) cov[k] = good ? cov[k] : T(C::no_track(k));
        phi = good ? q[2] : T(0), theta = good ? q[3] : T(0), w = good ? w : T(0);
        helix = good ? Helix<T>{q[0], q[1] - frame.z, T(0), T(1), cosine / sine, q[4]} : Helix<T>{T(0), T(0), T(0), T(1), T(0), T(0)};
        if (good) sine_cosine(phi - frame.phi, helix.s, helix.c);
    }
    __device__ const Helix<T>& q(int i) { return load(i), helix; }
    __device__ const C& covariance(int i) { return load(i), cov; }
    __device__ T weight(int i) { return load(i), w; }
    __device__ bool valid(int i) { return load(i), good; }
    __device__ Momentum<T> measured(int i) { return load(i), Momentum<T>{phi, theta, helix.rho}; }
    __device__ const Momentum<T>& momentum(int i) {
        load(i);
        if (has_momentum) return p;
        const T* found = momentum_rows + (first_weight + i) * 3;
        p = {found[0], found[1], found[2]}, has_momentum = true;
        if (!counted) p = good ? Momentum<T>{p.phi - phi, p.theta - theta, p.rho - helix.rho} : Momentum<T>{T(0), T(0), T(0)};
        return p;
    }
    __device__ void set_momentum(int i, const Momentum<T>& value) {
        load(i);
        T* target = momentum_rows + (first_weight + i) * 3;
        target[0] = value.phi, target[1] = value.theta, target[2] = value.rho;
        p = value, has_momentum = true;
    }
    __device__ Momentum<T> momentum_cotangent(int i) {
        const T* p = cotangents + (first_weight + i) * 3;
        return cotangents && valid(i) ? Momentum<T>{p[0], p[1], p[2]} : Momentum<T>{T(0), T(0), T(0)};
    }
    __device__ void keep_motion(int, const Motion<T>& m) { moves = m, has_motion = true; }
    template <bool> __device__ const Motion<T>& motion(int i, const Vector<T>& v, const Momentum<T>& from_here) {
        load(i);
        if (has_motion) return moves;
        const auto f = linearise<Approximate>(Aim<T>(helix, v, from_here), helix, cov, v, from_here, frame.t);
        Vector<T> unused;
        return moves = engine::motion<Approximate>(f, f.l1(), f.l2(), from_here, false, unused);
    }
    __device__ void keep_response(int, const Response<T>& r) { answer = r, has_response = true; }
    template <class F> __device__ const Response<T>& response(int i, const F& make) {
        load(i);
        return has_response ? answer : answer = make(i);
    }
    __device__ void keep_gradient(int, const Gradient<T, C>& g) { change = g, has_gradient = true; }
    template <class F> __device__ const Gradient<T, C>& gradient(int i, const F& make) {
        load(i);
        return has_gradient ? change : change = make(i);
    }
    __device__ void keep_pull(int i, const Pull<T>& p) {
        T* target = response_rows + (first_weight + i) * 4;
        target[0] = p.force.x, target[1] = p.force.y, target[2] = p.force.z, target[3] = p.chi2;
    }
    __device__ Pull<T> pull(int i) const {
        const T* p = response_rows + (first_weight + i) * 4;
        return {{p[0], p[1], p[2]}, p[3]};
    }

    __device__ T stored_number(const void* source) const { return source ? static_cast<const T*>(source)[problem] : T(0); }
    __device__ Vector<T> stored_point(const void* source) const {
        const T* p = static_cast<const T*>(source) + problem * 3;
        return source ? Vector<T>{p[0], p[1], p[2]} : Vector<T>{};
    }
    __device__ Symmetric<T> stored_matrix(const void* source) const {
        const T *a = static_cast<const T*>(source) + problem * 9, half = T(0.5);
        return {a[0], (a[1] + a[3]) * half, (a[2] + a[6]) * half, a[4], (a[5] + a[7]) * half, a[8]};
    }
    __device__ bool solved(const int32_t* status) const { return status[problem] < singular; }
    // What all know, the first writes.
    __device__ void store(T value, void* target) const {
        if (mine == 0) static_cast<T*>(target)[problem] = value;
    }
    __device__ void store_status(T value, int32_t* target) const {
        if (mine == 0) target[problem] = static_cast<int32_t>(value);
    }
    __device__ void store(const Vector<T>& v, void* target) const {
        T* p = static_cast<T*>(target) + problem * 3;
        if (target && mine == 0) p[0] = v.x, p[1] = v.y, p[2] = v.z;
    }
    __device__ void store(const Symmetric<T>& m, void* target) const {
        T* a = static_cast<T*>(target) + problem * 9;
        if (target && mine == 0) a[0] = m.a11, a[1] = a[3] = m.a12, a[2] = a[6] = m.a13, a[4] = m.a22, a[5] = a[7] = m.a23, a[8] = m.a33;
    }
    template <int Each, class F> __device__ void write(void* target, F row) const {
        for (int i = mine; target && i < longest; i += every) {
            T numbers[Each];
            row(i, numbers);
            for (int k = 0; k < Each; ++k) static_cast<T*>(target)[(first_weight + i) * Each + k] = numbers[k];
        }
    }
    template <int Each, class F> __device__ void add(void* target, F row) const {
        for (int i = mine; target && i < longest; i += every) {
            T numbers[Each];
            row(i, numbers);
            for (int k = 0; k < Each; ++k) static_cast<T*>(target)[(first + i) * Each + k] += numbers[k];
        }
    }
};

}  // namespace
}  // namespace engine
