// Vertex fit on the processor: every lane of a pack holds another (jet, vertex) problem, threads take contiguous ranges of jets.
#include "cpu.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#include "gradient.h"

namespace engine {
namespace {

template <class T, class C> struct Slot {
    T q[5];
    C cov;
    T w, valid;
    Momentum<T> p;
};

// The tracks of one pack of problems, and what is needed to write results back.
template <class T, class C> struct Pack {
    using S = scalar_t<T>;
    static constexpr int lanes = scalar_of<T>::lanes;
    int used = 0, longest = 0, count[lanes];
    int64_t problem[lanes], first_track[lanes], first_weight[lanes];
    std::vector<Slot<T, C>> slots;
    std::vector<Kept<T>> kept;            // forward
    std::vector<Linear<T>> linears;       // backward, for the covariance's cotangent
    std::vector<Response<T>> responses;   // backward
    std::vector<Gradient<T>> gradients;
    Frame<T> frame;
    Prior<T> prior;
    Vector<T> seed;
    T heaviest;

    ENGINE_INLINE const T* q(int i) const { return slots[i].q; }
    ENGINE_INLINE const C& covariance(int i) const { return slots[i].cov; }
    ENGINE_INLINE T weight(int i) const { return slots[i].w; }
    ENGINE_INLINE const Momentum<T>& momentum(int i) const { return slots[i].p; }
    ENGINE_INLINE void set_momentum(int i, const Momentum<T>& p) { slots[i].p = p; }
    ENGINE_INLINE const Kept<T>& linear(int i, const Vector<T>&, const Momentum<T>&) const { return kept[i]; }
    template <bool Approximate> ENGINE_INLINE void keep(int i, const Linear<T>& f) { kept[i].template copy<Approximate>(f); }
};

template <class T> ENGINE_INLINE void put(T& lanes, int lane, scalar_t<T> value) { reinterpret_cast<scalar_t<T>*>(&lanes)[lane] = value; }
template <class T> ENGINE_INLINE scalar_t<T> get(const T& lanes, int lane) { return reinterpret_cast<const scalar_t<T>*>(&lanes)[lane]; }

template <class S> inline int64_t start_of(const EngineVertexInputs& in, int64_t jet) { return in.offsets ? in.offsets[jet] : jet * in.padded; }

constexpr int upper[15] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 18, 19, 24}, lower[15] = {0, 5, 10, 15, 20, 6, 11, 16, 21, 12, 17, 22, 18, 23, 24};

template <class S, class T, class C> ENGINE_INLINE void load_symmetric(Symmetric<T>& m, int lane, const S* a, C half) {
    put(m.a11, lane, a[0]), put(m.a22, lane, a[4]), put(m.a33, lane, a[8]);
    put(m.a12, lane, (a[1] + a[3]) * half), put(m.a13, lane, (a[2] + a[6]) * half), put(m.a23, lane, (a[5] + a[7]) * half);
}
template <class S, class T> ENGINE_INLINE void store_symmetric(const Symmetric<T>& m, int lane, S* a) {
    a[0] = get(m.a11, lane), a[4] = get(m.a22, lane), a[8] = get(m.a33, lane);
    a[1] = a[3] = get(m.a12, lane), a[2] = a[6] = get(m.a13, lane), a[5] = a[7] = get(m.a23, lane);
}

// Copy the tracks of up to `lanes` problems into the pack; a masked track is not read.
template <class T, class C> ENGINE_INLINE void gather(Pack<T, C>& pack, const EngineVertexInputs& in, int64_t first, int64_t last) {
    using S = scalar_t<T>;
    const S *tracks = static_cast<const S*>(in.tracks), *variances = static_cast<const S*>(in.covariance), *weights = static_cast<const S*>(in.weights);
    pack.used = static_cast<int>(std::min<int64_t>(last - first, pack.lanes));
    pack.longest = 0;
    for (int lane = 0; lane < pack.used; ++lane) {
        int64_t jet = (first + lane) / in.vertices, vertex = (first + lane) % in.vertices, begin = start_of<S>(in, jet);
        pack.problem[lane] = first + lane;
        pack.first_track[lane] = begin;
        pack.first_weight[lane] = begin * in.jet_stride + vertex * in.vertex_stride;
        pack.count[lane] = static_cast<int>(start_of<S>(in, jet + 1) - begin);
        pack.longest = std::max(pack.longest, pack.count[lane]);
    }
    if (static_cast<size_t>(pack.longest) > pack.slots.size()) pack.slots.resize(pack.longest);
    static constexpr S nothing[25] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}, no_weight = -1;
    for (int i = 0; i < pack.longest; ++i) {
        Slot<T, C>& slot = pack.slots[i];
        const S *track[pack.lanes], *variance[pack.lanes], *weight[pack.lanes];
        for (int lane = 0; lane < pack.lanes; ++lane) {
            const bool inside = lane < pack.used && i < pack.count[lane];
            const int64_t row = inside ? pack.first_track[lane] + i : 0;
            const bool real = inside && (!in.mask || in.mask[row]);
            track[lane] = real ? tracks + row * 5 : nothing;
            variance[lane] = real ? variances + row * (C::size == 5 ? 5 : 25) : nothing;
            weight[lane] = real ? weights + pack.first_weight[lane] + i : &no_weight;
        }
#pragma GCC unroll 5
        for (int k = 0; k < 5; ++k) slot.q[k] = load_lanes<T>(track, k);
#pragma GCC unroll 15
        for (int k = 0; k < C::size; ++k) {
            slot.cov.v[k] = load_lanes<T>(variance, C::size == 5 ? k : upper[k]);
            if (C::size == 15 && upper[k] != lower[k]) slot.cov.v[k] = (slot.cov.v[k] + load_lanes<T>(variance, lower[k])) * constant<T>(0.5);
        }
        slot.w = load_lanes<T>(weight, 0);
    }
}

// Replace what cannot be a track (not finite, a variance that is not positive, along the beam) by an empty one of no weight.
template <class T, class C> ENGINE_INLINE void clean(Pack<T, C>& pack) {
    using S = scalar_t<T>;
    const T zero{}, one = constant<T>(1), large = constant<T>(64);
    T best = constant<T>(-1);
    pack.frame = {one, zero, zero, zero, zero};
    for (int i = 0; i < pack.longest; ++i) {
        Slot<T, C>& slot = pack.slots[i];
        T sum = slot.q[0] + slot.q[1] + slot.q[2] + slot.q[3] + slot.q[4], largest = zero, sine, cosine;
        mask_t<T> good = finite(sum) & (slot.w >= zero);
        for (int k = 0; k < 5; ++k) {
            T variance = slot.cov.v[C::size == 5 ? k : (k < 1 ? 0 : k < 2 ? 5 : k < 3 ? 9 : k < 4 ? 12 : 14)];
            good = good & (variance > zero) & finite(variance) & finite(slot.q[k]);
        }
        for (int k = 0; k < C::size; ++k) largest += absolute(slot.cov.v[k]);
        good = good & finite(largest);
        // Angles beyond ten turns are not reduced exactly by the fast sine: they are brought near zero first, lane by lane.
        mask_t<T> turned = good & ((absolute(slot.q[2]) > large) | (absolute(slot.q[3]) > large));
        if (any(turned)) {
            for (int lane = 0; lane < pack.used; ++lane) {
                put(slot.q[2], lane, std::remainder(get(slot.q[2], lane), S(6.283185307179586)));
                put(slot.q[3], lane, std::remainder(get(slot.q[3], lane), S(6.283185307179586)));
            }
        }
        T theta = select<T>(good, slot.q[3], constant<T>(1.5));
        sine_cosine(theta, sine, cosine);
        good = good & (absolute(sine) > constant<T>(1e-5));
        for (int k = 0; k < 5; ++k) slot.q[k] = select<T>(good, slot.q[k], k == 3 ? constant<T>(1.5) : zero);
        for (int k = 0; k < C::size; ++k) slot.cov.v[k] = select<T>(good, slot.cov.v[k], constant<T>(C::size == 5 || k == 0 || k == 5 || k == 9 || k == 12 || k == 14));
        mask_t<T> weighted = good & finite(slot.w) & (slot.w > zero);
        slot.valid = select<T>(good & finite(slot.w), one, zero);
        slot.w = select<T>(weighted, slot.w, zero);
        mask_t<T> better = (slot.valid > zero) & (slot.w > best);
        best = select<T>(better, slot.w, best);
        pack.frame.phi = select<T>(better, slot.q[2], pack.frame.phi);
        pack.frame.t = select<T>(better, cosine / sine, pack.frame.t);
        pack.frame.z = select<T>(better, slot.q[1], pack.frame.z);
    }
    pack.heaviest = select<T>(best > zero, best, zero);
    sine_cosine(pack.frame.phi, pack.frame.s, pack.frame.c);
    for (int i = 0; i < pack.longest; ++i) {
        Slot<T, C>& slot = pack.slots[i];
        mask_t<T> good = slot.valid > zero;
        slot.q[1] = select<T>(good, slot.q[1] - pack.frame.z, zero);
        slot.q[2] = select<T>(good, slot.q[2] - pack.frame.phi, zero);
        slot.p = {slot.q[2], slot.q[3], slot.q[4]};
    }
}

template <class T> ENGINE_INLINE Vector<T> load_points(const void* source, const int64_t* problem, int used) {
    const scalar_t<T>* points = static_cast<const scalar_t<T>*>(source);
    Vector<T> v{};
    for (int lane = 0; points && lane < used; ++lane) {
        const scalar_t<T>* point = points + problem[lane] * 3;
        put(v.x, lane, point[0]), put(v.y, lane, point[1]), put(v.z, lane, point[2]);
    }
    mask_t<T> good = finite(v.x + v.y + v.z) & finite(v.x) & finite(v.y) & finite(v.z);
    return {select<T>(good, v.x, T{}), select<T>(good, v.y, T{}), select<T>(good, v.z, T{})};
}

template <class T, class C> ENGINE_INLINE void constrain(Pack<T, C>& pack, const EngineVertexInputs& in) {
    using S = scalar_t<T>;
    Vector<T> start = load_points<T>(in.seed ? in.seed : in.prior_position, pack.problem, pack.used);
    pack.seed = pack.frame.point_in(start);
    pack.prior.given = in.prior_information != nullptr;
    if (!pack.prior.given) return;
    Symmetric<T> information{};
    for (int lane = 0; lane < pack.used; ++lane)
        load_symmetric(information, lane, static_cast<const S*>(in.prior_information) + pack.problem[lane] * 9, S(0.5));
    mask_t<T> good = finite(information.a11 + information.a12 + information.a13 + information.a22 + information.a23 + information.a33);
    information = keep<T>(good, information, Symmetric<T>{});
    pack.prior.information = pack.frame.matrix_in(information);
    pack.prior.position = pack.frame.point_in(load_points<T>(in.prior_position, pack.problem, pack.used));
}

template <class T, class C, bool Ndive>
ENGINE_INLINE void run_forward(const EngineVertexInputs& in, const EngineVertexOutputs& out, int64_t first, int64_t last) {
    using S = scalar_t<T>;
    Pack<T, C> pack;
    const Settings settings{in.tolerance, in.max_iterations, in.sandwich != 0};
    S *vertex = static_cast<S*>(out.vertex), *covariance = static_cast<S*>(out.covariance), *chi2 = static_cast<S*>(out.chi2);
    S* momenta = static_cast<S*>(out.momenta);
    for (int64_t begin = first; begin < last; begin += pack.lanes) {
        gather(pack, in, begin, last);
        clean(pack);
        constrain(pack, in);
        if (static_cast<size_t>(pack.longest) > pack.kept.size()) pack.kept.resize(pack.longest);
        Fit<T> result = fit<Ndive, T>(pack, pack.longest, pack.seed, pack.frame.t, pack.heaviest, pack.prior, settings);
        Vector<T> point = pack.frame.point_out(result.vertex), seed = pack.frame.point_out(pack.seed);
        Symmetric<T> spread = pack.frame.matrix_out(result.covariance);
        mask_t<T> sound = finite(point.x + point.y + point.z) & finite_matrix(spread) & finite(result.chi2);
        mask_t<T> solved = sound & (result.status < constant<T>(singular));
        point = {select<T>(solved, point.x, seed.x), select<T>(solved, point.y, seed.y), select<T>(solved, point.z, seed.z)};
        spread = keep<T>(solved, spread, Symmetric<T>{});
        T sum = select<T>(solved, result.chi2, T{}), status = select<T>(sound, result.status, constant<T>(singular));
        for (int lane = 0; lane < pack.used; ++lane) {
            int64_t problem = pack.problem[lane];
            vertex[problem * 3] = get(point.x, lane), vertex[problem * 3 + 1] = get(point.y, lane), vertex[problem * 3 + 2] = get(point.z, lane);
            store_symmetric(spread, lane, covariance + problem * 9);
            chi2[problem] = get(sum, lane);
            out.status[problem] = static_cast<int32_t>(get(status, lane));
        }
        for (int i = 0; i < pack.longest; ++i) {
            Slot<T, C>& slot = pack.slots[i];
            mask_t<T> good = (slot.valid > T{}) & finite(slot.p.phi + slot.p.theta + slot.p.rho);
            T phi = select<T>(good, slot.p.phi + pack.frame.phi, T{}), theta = select<T>(good, slot.p.theta, T{}), rho = select<T>(good, slot.p.rho, T{});
            S elsewhere[3], *target[pack.lanes];
            for (int lane = 0; lane < pack.lanes; ++lane)
                target[lane] = lane < pack.used && i < pack.count[lane] ? momenta + (pack.first_weight[lane] + i) * 3 : elsewhere;
            store_lanes(phi, target, 0), store_lanes(theta, target, 1), store_lanes(rho, target, 2);
        }
    }
}

// Momenta, or their cotangents, of one track a lane; zeros where there is none.
template <class T, class C> ENGINE_INLINE Momentum<T> load_triple(const Pack<T, C>& pack, int i, const void* source) {
    using S = scalar_t<T>;
    static constexpr S nothing[3] = {0, 0, 0};
    if (!source) return {T{}, T{}, T{}};
    const S* triple[pack.lanes];
    for (int lane = 0; lane < pack.lanes; ++lane)
        triple[lane] = lane < pack.used && i < pack.count[lane] ? static_cast<const S*>(source) + (pack.first_weight[lane] + i) * 3 : nothing;
    mask_t<T> good = pack.slots[i].valid > T{};
    Momentum<T> p{load_lanes<T>(triple, 0), load_lanes<T>(triple, 1), load_lanes<T>(triple, 2)};
    return {select<T>(good, p.phi, T{}), select<T>(good, p.theta, T{}), select<T>(good, p.rho, T{})};
}
template <class T, class C> ENGINE_INLINE Momentum<T> load_momentum(const Pack<T, C>& pack, int i, const EngineVertexOutputs& solution) {
    Momentum<T> p = load_triple(pack, i, solution.momenta);
    mask_t<T> good = pack.slots[i].valid > T{};
    return {select<T>(good, p.phi - pack.frame.phi, T{}), select<T>(good, p.theta, constant<T>(1.5)), p.rho};
}

// The cotangents of a pack, in its frame; gamma_m holds that of the covariance itself until differentiate_covariance.
template <class T, class C>
ENGINE_INLINE Cotangents<T> load_cotangents(const Pack<T, C>& pack, const EngineVertexCotangents& given) {
    using S = scalar_t<T>;
    Cotangents<T> ct;
    ct.vertex = pack.frame.covector_in(load_points<T>(given.vertex, pack.problem, pack.used));
    for (int lane = 0; given.chi2 && lane < pack.used; ++lane) put(ct.chi2, lane, static_cast<const S*>(given.chi2)[pack.problem[lane]]);
    ct.chi2 = select<T>(finite(ct.chi2), ct.chi2, T{});
    ct.covariance = given.covariance != nullptr;
    if (!ct.covariance) return ct;
    Symmetric<T> bar{};
    for (int lane = 0; lane < pack.used; ++lane) load_symmetric(bar, lane, static_cast<const S*>(given.covariance) + pack.problem[lane] * 9, S(0.5));
    ct.gamma_m = pack.frame.matrix_in(keep<T>(finite_matrix(bar), bar, Symmetric<T>{}));
    return ct;
}

template <class T, class C>
ENGINE_INLINE void store_track(const Pack<T, C>& pack, int i, const Gradient<T>& g, const Response<T>& r, mask_t<T> sound, bool with_covariance,
                               const EngineVertexGradients& out) {
    using S = scalar_t<T>;
    const Slot<T, C>& slot = pack.slots[i];
    mask_t<T> good = sound & (slot.valid > T{});
    S elsewhere[25], *target[pack.lanes];
    auto aim = [&](void* base, const int64_t* first, int width) __attribute__((always_inline)) {
        for (int lane = 0; lane < pack.lanes; ++lane)
            target[lane] = lane < pack.used && i < pack.count[lane] ? static_cast<S*>(base) + (first[lane] + i) * width : elsewhere;
    };
    if (out.weights) {
        aim(out.weights, pack.first_weight, 1);
        store_lanes(select<T>(good, g.weight, T{}), target, 0);
    }
    if (!out.tracks && !out.covariance) return;
    for (S& value : elsewhere) value = 0;
    T v[C::size], n[5][2] = {{constant<T>(1), T{}}, {T{}, constant<T>(1)}, {-r.k11, -r.k21}, {T{}, -r.k22}, {-r.k13, -r.k23}};
    for (int a = 0, k = 0; a < 5; ++a) {
        for (int b = a; b < (C::size == 5 ? a + 1 : 5); ++b, ++k) {
            v[k] = constant<T>(-0.5) * (g.u[a] * g.l[b] + g.u[b] * g.l[a]);
            if (with_covariance)
                v[k] += r.omega11 * n[a][0] * n[b][0] + r.omega12 * (n[a][0] * n[b][1] + n[a][1] * n[b][0]) + r.omega22 * n[a][1] * n[b][1];
            v[k] = select<T>(good, v[k], T{});
        }
    }
    if (out.tracks) {
        aim(out.tracks, pack.first_track, 5);
        for (int k = 0; k < 5; ++k) add_lanes(select<T>(good, g.q[k], T{}), target, k);
    }
    if (!out.covariance) return;
    aim(out.covariance, pack.first_track, C::size == 5 ? 5 : 25);
    for (int k = 0; k < C::size; ++k) {
        add_lanes(v[k], target, C::size == 5 ? k : upper[k]);
        if (C::size == 15 && upper[k] != lower[k]) add_lanes(v[k], target, lower[k]);
    }
}

template <class T, class C, bool Ndive>
ENGINE_INLINE void run_backward(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& given,
                                const EngineVertexGradients& out, int64_t first, int64_t last) {
    using S = scalar_t<T>;
    Pack<T, C> pack;
    const T zero{};
    const bool whole = out.tracks || out.covariance;
    for (int64_t begin = first; begin < last; begin += pack.lanes) {
        gather(pack, in, begin, last);
        clean(pack);
        constrain(pack, in);
        if (static_cast<size_t>(pack.longest) > pack.responses.size()) pack.responses.resize(pack.longest), pack.gradients.resize(pack.longest);
        Vector<T> v = pack.frame.point_in(load_points<T>(solution.vertex, pack.problem, pack.used));
        T solved{};
        for (int lane = 0; lane < pack.used; ++lane) put(solved, lane, S(solution.status[pack.problem[lane]] < singular));
        Cotangents<T> ct = load_cotangents(pack, given);
        if (ct.covariance) {
            pack.linears.resize(std::max<size_t>(pack.linears.size(), pack.longest));
            for (int i = 0; i < pack.longest; ++i) pack.linears[i] = linearise<false>(pack.q(i), pack.covariance(i), v, load_momentum(pack, i, solution), pack.frame.t);
            Symmetric<T> m = pack.prior.given ? pack.prior.information : Symmetric<T>{}, spread = m;
            for (int i = 0; i < pack.longest; ++i) {
                Symmetric<T> part = information(pack.linears[i]);
                accumulate(m, pack.slots[i].w, part);
                accumulate(spread, pack.slots[i].w * pack.slots[i].w, part);
            }
            differentiate_covariance(ct, m, spread, in.sandwich != 0);
        }
        Symmetric<T> exact = pack.prior.given ? pack.prior.information : Symmetric<T>{};
        Vector<T> rhs = ct.vertex;
        for (int i = 0; i < pack.longest; ++i) {
            Linear<T> f = linearise<false>(pack.q(i), pack.covariance(i), v, load_momentum(pack, i, solution), pack.frame.t);
            respond<Ndive>(pack.responses[i], f, pack.covariance(i), pack.weight(i), load_triple(pack, i, given.momenta), ct, exact, rhs);
        }
        Vector<T> lambda = Factors<T>(exact).solve(rhs);
        mask_t<T> sound = (solved > zero) & finite(lambda.x) & finite(lambda.y) & finite(lambda.z) & finite_matrix(ct.gamma_m) & finite_matrix(ct.gamma_s);
        for (int i = 0; i < pack.longest; ++i) {  // one track that is not finite silences the whole problem
            adjoint<Ndive>(pack.gradients[i], pack.responses[i], lambda, ct, whole);
            T sum = probe(pack.gradients[i], pack.responses[i], whole, ct.covariance);
            sound = sound & (finite(sum) | (pack.slots[i].valid == zero));
        }
        for (int i = 0; i < pack.longest; ++i) store_track(pack, i, pack.gradients[i], pack.responses[i], sound, ct.covariance, out);
        if (!pack.prior.given) continue;
        Vector<T> position;
        Symmetric<T> information;
        prior_gradient(pack.frame, pack.prior, v, lambda, ct, position, information);
        sound = sound & finite_matrix(information) & finite(position.x + position.y + position.z);
        information = keep<T>(sound, information, Symmetric<T>{});
        position = {select<T>(sound, position.x, zero), select<T>(sound, position.y, zero), select<T>(sound, position.z, zero)};
        for (int lane = 0; lane < pack.used; ++lane) {
            int64_t problem = pack.problem[lane];
            S* point = static_cast<S*>(out.prior_position) + problem * 3;
            if (out.prior_position) point[0] = get(position.x, lane), point[1] = get(position.y, lane), point[2] = get(position.z, lane);
            if (out.prior_information) store_symmetric(information, lane, static_cast<S*>(out.prior_information) + problem * 9);
        }
    }
}

using Forward = void (*)(const EngineVertexInputs&, const EngineVertexOutputs&, int64_t, int64_t);
using Backward = void (*)(const EngineVertexInputs&, const EngineVertexOutputs&, const EngineVertexCotangents&, const EngineVertexGradients&, int64_t, int64_t);

// One function for every level, precision and kind of problem: the attribute that selects instructions takes no templates.
#define ENGINE_INSTANCE(target, name, S, bytes, C, NDIVE)                                                                                          \
    target void forward_##name(const EngineVertexInputs& in, const EngineVertexOutputs& out, int64_t a, int64_t b) {                         \
        run_forward<Lanes<S, bytes>, C<Lanes<S, bytes>>, NDIVE>(in, out, a, b);                                                                                          \
    }                                                                                                                                        \
    target void backward_##name(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& ct,         \
                                const EngineVertexGradients& out, int64_t a, int64_t b) {                                                    \
        run_backward<Lanes<S, bytes>, C<Lanes<S, bytes>>, NDIVE>(in, solution, ct, out, a, b);                                                                           \
    }
#define ENGINE_LEVEL(target, level, bytes)                                           \
    ENGINE_INSTANCE(target, double_diagonal_##level, double, bytes, Diagonal, false) \
    ENGINE_INSTANCE(target, double_full_##level, double, bytes, Full, false)         \
    ENGINE_INSTANCE(target, float_diagonal_##level, float, bytes, Diagonal, false)   \
    ENGINE_INSTANCE(target, float_full_##level, float, bytes, Full, false)
// The published fit is there for comparisons: one level of it is enough.
#define ENGINE_TABLE(kind, level)                                                       \
    {                                                                                   \
        kind##_float_diagonal_##level, kind##_float_full_##level, kind##_float_ndive,   \
        kind##_double_diagonal_##level, kind##_double_full_##level, kind##_double_ndive \
    }

ENGINE_INSTANCE(, double_ndive, double, 16, Diagonal, true)
ENGINE_INSTANCE(, float_ndive, float, 16, Diagonal, true)

ENGINE_LEVEL(, baseline, 16)
#if ENGINE_HAS_CLONES
ENGINE_LEVEL(__attribute__((target("arch=x86-64-v3"))), v3, 32)
ENGINE_LEVEL(__attribute__((target("arch=x86-64-v4"))), v4, 64)
const Forward forward_table[3][6] = {ENGINE_TABLE(forward, baseline), ENGINE_TABLE(forward, v3), ENGINE_TABLE(forward, v4)};
const Backward backward_table[3][6] = {ENGINE_TABLE(backward, baseline), ENGINE_TABLE(backward, v3), ENGINE_TABLE(backward, v4)};
#else
const Forward forward_table[1][6] = {ENGINE_TABLE(forward, baseline)};
const Backward backward_table[1][6] = {ENGINE_TABLE(backward, baseline)};
#endif

int detected_level() {
#if ENGINE_HAS_CLONES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
    return 0;
}
std::atomic<int> level{detected_level()};

int kind_of(const EngineVertexInputs& in, int double_precision) { return (double_precision ? 3 : 0) + (in.ndive ? 2 : in.full_covariance ? 1 : 0); }

// Whole jets a thread, so that no two threads add to the same track.
template <class F> int in_threads(const EngineVertexInputs& in, int threads, F work) {
    int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, in.jets / 32));
    std::atomic<int> failed{0};
    auto guarded = [&](int64_t part) {
        try {
            work(in.jets * part / parts * in.vertices, in.jets * (part + 1) / parts * in.vertices);
        } catch (...) {
            failed = 1;
        }
    };
    std::vector<std::thread> others;
    try {
        for (int64_t part = 1; part < parts; ++part) others.emplace_back(guarded, part);
    } catch (...) {
        failed = 1;
    }
    guarded(0);
    for (std::thread& other : others) other.join();
    return failed;
}

}  // namespace
}  // namespace engine

int engine_vertex_fit(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, int threads) {
    engine::Forward run = engine::forward_table[engine::level][engine::kind_of(*in, double_precision)];
    return engine::in_threads(*in, threads, [&](int64_t first, int64_t last) { run(*in, *out, first, last); });
}

int engine_vertex_fit_backward(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                               const EngineVertexGradients* out, int double_precision, int threads) {
    engine::Backward run = engine::backward_table[engine::level][engine::kind_of(*in, double_precision)];
    return engine::in_threads(*in, threads, [&](int64_t first, int64_t last) { run(*in, *solution, *cotangents, *out, first, last); });
}

int engine_vertex_fit_level(int highest) {
    engine::level = std::min(highest < 0 ? 2 : highest, engine::detected_level());
    return engine::level;
}
