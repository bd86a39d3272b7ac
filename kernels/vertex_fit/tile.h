// A tile: as many (jet, vertex) problems as a pack has lanes, transposed once into columns of lanes. Everything it needs of memory comes
// from one block, so that a translation unit of wider instructions defines no function that another could share.
#pragma once

#include "../rows.h"
#include "cpu.h"
#include "gradient.h"

namespace engine {

template <class T> ENGINE_INLINE void put(T& lanes, int lane, scalar_t<T> value) { reinterpret_cast<scalar_t<T>*>(&lanes)[lane] = value; }
template <class T> ENGINE_INLINE scalar_t<T> get(const T& lanes, int lane) { return reinterpret_cast<const scalar_t<T>*>(&lanes)[lane]; }
template <class T> ENGINE_INLINE Vector<T> keep(mask_t<T> mask, const Vector<T>& yes, const Vector<T>& no) {
    return {select<T>(mask, yes.x, no.x), select<T>(mask, yes.y, no.y), select<T>(mask, yes.z, no.z)};
}
template <class T> ENGINE_INLINE mask_t<T> finite_vector(const Vector<T>& v) { return finite(v.x) & finite(v.y) & finite(v.z); }

inline constexpr int upper[15] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 18, 19, 24}, lower[15] = {0, 5, 10, 15, 20, 6, 11, 16, 21, 12, 17, 22, 18, 23, 24};

template <class T, class C> struct Tile {
    using S = scalar_t<T>;
    static constexpr int block = 4, lanes = scalar_of<T>::lanes, width = C::size == 5 ? 5 : 25;
    struct Slot {
        Helix<T> q;
        C cov;
        T w;
        Momentum<T> p;
    };
    struct Angles { T phi, theta, valid; };  // as measured
    // Packs a track (and `lanes` more for rows shorter than a block): slots, angles, motions, columns, spare rows, and for the backward
    // pass pulls and responses.
    static constexpr int packs = sizeof(Slot) / sizeof(T) + 3 + sizeof(Motion<T>) / sizeof(T) + 25 + 25 + 5 + sizeof(Response<T>) / sizeof(T);

    const EngineVertexInputs& in;
    const void* momenta = nullptr;  // of the solution, where there is one
    struct Target {
        const void* numbers = nullptr;
        int each = 0;
    } targets[2];  // what will be written of every track
    int used = 0, longest = 0, shortest = 0, count[lanes];
    int64_t problem[lanes], first_track[lanes], first_weight[lanes], total;
    int64_t ahead, stride;  // the tracks of the next tile: the first, and how many are fetched with each of this one
    Slot* slots;
    Angles* angles;
    Motion<T>* motions;
    T* columns;
    S* spare;
    Pull<T>* pulls;
    Response<T>* responses;
    Frame<T> frame;
    Prior<T> prior;
    Vector<T> seed;
    T heaviest;

    ENGINE_INLINE Tile(const EngineVertexInputs& inputs, void* memory, int64_t most) : in(inputs) {
        total = in.offsets ? in.offsets[in.jets] : in.jets * in.padded;
        T* next = static_cast<T*>(memory);
        const int64_t room = most + lanes;
        auto take = [&](int64_t size) { return next += room * size, next - room * size; };
        slots = reinterpret_cast<Slot*>(take(sizeof(Slot) / sizeof(T)));
        motions = reinterpret_cast<Motion<T>*>(take(sizeof(Motion<T>) / sizeof(T)));
        angles = reinterpret_cast<Angles*>(take(3));
        columns = take(25);
        spare = reinterpret_cast<S*>(take(25));
        pulls = reinterpret_cast<Pull<T>*>(take(5));
        responses = reinterpret_cast<Response<T>*>(take(sizeof(Response<T>) / sizeof(T)));
    }

    // What the fit asks for.
    ENGINE_INLINE const Helix<T>& q(int i) const { return slots[i].q; }
    ENGINE_INLINE const C& covariance(int i) const { return slots[i].cov; }
    ENGINE_INLINE const T& weight(int i) const { return slots[i].w; }
    ENGINE_INLINE const Momentum<T>& momentum(int i) const { return slots[i].p; }
    ENGINE_INLINE void set_momentum(int i, const Momentum<T>& p) { slots[i].p = p; }
    template <bool> ENGINE_INLINE const Motion<T>& motion(int i, const Vector<T>&, const Momentum<T>&) const { return motions[i]; }
    ENGINE_INLINE void keep_motion(int i, const Motion<T>& m) { motions[i] = m; }
    ENGINE_INLINE mask_t<T> valid(int i) const { return angles[i].valid > T{}; }

    // Read the problems from `first` on.
    ENGINE_INLINE void read(int64_t first, int64_t last) {
        used = last - first < lanes ? static_cast<int>(last - first) : lanes;
        longest = 0;
        int64_t jet = first / in.vertices, vertex = first % in.vertices;
        for (int lane = 0; lane < lanes; ++lane) {
            const int64_t begin = start(jet);
            problem[lane] = jet * in.vertices + vertex;
            first_track[lane] = begin;
            first_weight[lane] = begin * in.jet_stride + vertex * in.vertex_stride;
            count[lane] = lane < used ? static_cast<int>(start(jet + 1) - begin) : 0;
            longest = lane && longest > count[lane] ? longest : count[lane];
            shortest = lane && shortest < count[lane] ? shortest : count[lane];
            if (lane + 1 < used && ++vertex == in.vertices) vertex = 0, ++jet;
        }
        ahead = start(jet + 1 < in.jets ? jet + 1 : in.jets);
        const int64_t next = jet + 1 + lanes / in.vertices;
        stride = (start(next < in.jets ? next : in.jets) - ahead) / (longest ? longest : 1) + 1;
        load_tracks();
        clean();
        constrain();
    }

    ENGINE_INLINE Rows<T> rows(const int64_t* firsts, int each) const {
        Rows<T> out;
        for (int lane = 0; lane < lanes; ++lane) out.first[lane] = firsts[lane] * each, out.count[lane] = count[lane] * each;
        return out;
    }
    // `each` numbers a track from source to columns; first: first_track or first_weight.
    ENGINE_INLINE void load_each(const void* source, const int64_t* first, int each) {
        const int64_t end = first == first_weight ? total * in.vertices : total;
        load_columns<T>(columns, longest * each < lanes ? lanes : longest * each, source, end * each, rows(first, each), spare);
    }
    template <bool Add> ENGINE_INLINE void store_each(void* target, const int64_t* first, int each) {
        store_columns<Add, T>(columns, longest * each < lanes ? lanes : longest * each, target, rows(first, each), spare);
    }

    ENGINE_INLINE Vector<T> load_points(const void* source) const {
        const S* points = static_cast<const S*>(source);
        Vector<T> v{};
        for (int lane = 0; points && lane < used; ++lane) {
            const S* point = points + problem[lane] * 3;
            put(v.x, lane, point[0]), put(v.y, lane, point[1]), put(v.z, lane, point[2]);
        }
        return keep<T>(finite_vector(v), v, Vector<T>{});
    }
    ENGINE_INLINE Symmetric<T> load_matrices(const void* source) const {
        Symmetric<T> m{};
        for (int lane = 0; lane < used; ++lane) {
            const S *a = static_cast<const S*>(source) + problem[lane] * 9, half = S(0.5);
            put(m.a11, lane, a[0]), put(m.a22, lane, a[4]), put(m.a33, lane, a[8]);
            put(m.a12, lane, (a[1] + a[3]) * half), put(m.a13, lane, (a[2] + a[6]) * half), put(m.a23, lane, (a[5] + a[7]) * half);
        }
        return keep<T>(finite_matrix(m), m, Symmetric<T>{});
    }
    ENGINE_INLINE void store_points(const Vector<T>& v, void* target) const {
        for (int lane = 0; target && lane < used; ++lane) {
            S* point = static_cast<S*>(target) + problem[lane] * 3;
            point[0] = get(v.x, lane), point[1] = get(v.y, lane), point[2] = get(v.z, lane);
        }
    }
    ENGINE_INLINE void store_matrices(const Symmetric<T>& m, void* target) const {
        for (int lane = 0; target && lane < used; ++lane) {
            S* a = static_cast<S*>(target) + problem[lane] * 9;
            a[0] = get(m.a11, lane), a[4] = get(m.a22, lane), a[8] = get(m.a33, lane);
            a[1] = a[3] = get(m.a12, lane), a[2] = a[6] = get(m.a13, lane), a[5] = a[7] = get(m.a23, lane);
        }
    }

    // In which pass over the tracks what is sent for: what the next tile reads, and where this one will write. A little with every track:
    // the processor waits for nothing then, while all of it at once would fill its ten line buffers.
    ENGINE_INLINE void fetch_in_pass(int pass, int i) const {
        if (pass == 0) fetch(in.tracks, i, 5), fetch(in.weights, i, 1), fetch_target(0, i);
        else if (pass == 1) fetch(in.covariance, i, width), fetch(momenta, i, 3), fetch_target(1, i);
    }

private:
    ENGINE_INLINE int64_t start(int64_t jet) const { return in.offsets ? in.offsets[jet] : jet * in.padded; }

    // The next tile's share of track i, `each` numbers a track (or what lies `back` from there), on its way to the second-level cache while
    // this one is computed.
    ENGINE_INLINE void fetch(const void* source, int i, int each, int64_t back = 0) const {
        if (!source) return;
        const char* from = static_cast<const char*>(source) + (ahead + back + i * stride) * each * sizeof(S);
        for (int64_t byte = 0; byte < int64_t(stride * each * sizeof(S)); byte += 64) __builtin_prefetch(from + byte, 0, 2);
    }

    ENGINE_INLINE void fetch_target(int which, int i) const { fetch(targets[which].numbers, i, targets[which].each, first_track[0] - ahead); }

    // Whatever a masked track holds is loaded with its neighbours, and dropped before it meets arithmetic.
    ENGINE_INLINE void load_tracks() {
        for (int i = 0; i < longest; ++i) {
            T there = constant<T>(1);
            for (int lane = 0; (in.mask || i >= shortest) && lane < lanes; ++lane) put(there, lane, i < count[lane] && (!in.mask || in.mask[first_track[lane] + i]));
            angles[i].valid = there;
        }
        load_each(in.tracks, first_track, 5);
        for (int i = 0; i < longest; ++i) {
            const T* q = columns + i * 5;
            slots[i].q.d0 = q[0], slots[i].q.z0 = q[1], slots[i].q.rho = q[4];
            angles[i].phi = q[2], angles[i].theta = q[3];
        }
        load_each(in.covariance, first_track, width);
        for (int i = 0; i < longest; ++i) {
            const T* v = columns + i * width;
            for (int k = 0; k < C::size; ++k) {
                slots[i].cov.v[k] = v[width == 5 ? k : upper[k]];
                if (width == 25 && upper[k] != lower[k]) slots[i].cov.v[k] = (v[upper[k]] + v[lower[k]]) * constant<T>(0.5);
            }
        }
        load_each(in.weights, first_weight, 1);
        for (int i = 0; i < longest; ++i) slots[i].w = columns[i];
    }

    static constexpr bool on_diagonal(int k) { return C::size == 5 || k == 0 || k == 5 || k == 9 || k == 12 || k == 14; }

    // What cannot be a track (not finite, a variance that is not positive, along the beam) becomes an empty one of no weight. Short loops:
    // the processor looks ahead from one track into the next.
    ENGINE_INLINE void clean() {
        const T zero{}, least = constant<T>(1e-5);
        for (int i = 0; i < longest; ++i) {
            const Slot& slot = slots[i];
            T sum = (slot.q.d0 * zero + slot.q.z0 * zero) + (angles[i].phi * zero + angles[i].theta * zero) + slot.q.rho * zero, others = slot.w * zero;
            mask_t<T> good = valid(i) & (slot.w >= zero);
            for (int k = 0; k < C::size; ++k) {
                if (on_diagonal(k)) good = good & (slot.cov.v[k] > zero);
                others += slot.cov.v[k] * zero;
            }
            keep_where(i, good & (sum + others == zero));
        }
        for (int i = 0; i < longest; ++i) {
            T sine, cosine;
            reduce(angles[i].phi), reduce(angles[i].theta);
            sine_cosine(angles[i].theta, sine, cosine);
            slots[i].q.t = cosine / sine;
            keep_where(i, absolute(sine) > least);
        }
        choose_frame();
        for (int i = 0; i < longest; ++i) {
            Slot& slot = slots[i];
            sine_cosine(select<T>(valid(i), angles[i].phi - frame.phi, zero), slot.q.s, slot.q.c);
            slot.q.z0 = select<T>(valid(i), slot.q.z0 - frame.z, zero);
            slot.p = {zero, zero, zero};
        }
    }
    ENGINE_INLINE void keep_where(int i, mask_t<T> good) {
        if (!any(~good)) return;
        const T zero{};
        Slot& slot = slots[i];
        slot.q.d0 = select<T>(good, slot.q.d0, zero);
        slot.q.z0 = select<T>(good, slot.q.z0, zero);
        slot.q.rho = select<T>(good, slot.q.rho, zero);
        slot.q.t = select<T>(good, slot.q.t, zero);
        slot.w = select<T>(good, slot.w, zero);
        for (int k = 0; k < C::size; ++k) slot.cov.v[k] = select<T>(good, slot.cov.v[k], constant<T>(on_diagonal(k)));
        angles[i] = {select<T>(good, angles[i].phi, zero), select<T>(good, angles[i].theta, constant<T>(1.5)), select<T>(good, angles[i].valid, zero)};
    }
    // Angles beyond ten turns are not reduced exactly by the fast sine: they are brought near zero first, lane by lane.
    ENGINE_INLINE void reduce(T& angle) {
        if (!any(absolute(angle) > constant<T>(64))) return;
        for (int lane = 0; lane < lanes; ++lane) {
            const S value = get(angle, lane);
            if (value > S(64) || value < S(-64)) put(angle, lane, S(__builtin_remainder(value, S(6.283185307179586))));
        }
    }
    // That of the heaviest track.
    ENGINE_INLINE void choose_frame() {
        T best = constant<T>(-1);
        frame = {constant<T>(1), T{}, T{}, T{}, T{}};
        for (int i = 0; i < longest; ++i) {
            const mask_t<T> better = valid(i) & (slots[i].w > best);
            best = select<T>(better, slots[i].w, best);
            frame.phi = select<T>(better, angles[i].phi, frame.phi);
            frame.t = select<T>(better, slots[i].q.t, frame.t);
            frame.z = select<T>(better, slots[i].q.z0, frame.z);
        }
        heaviest = select<T>(best > T{}, best, T{});
        sine_cosine(frame.phi, frame.s, frame.c);
    }

    ENGINE_INLINE void constrain() {
        seed = frame.point_in(load_points(in.seed ? in.seed : in.prior_position));
        prior.given = in.prior_information != nullptr;
        if (!prior.given) return;
        prior.information = frame.matrix_in(load_matrices(in.prior_information));
        prior.position = frame.point_in(load_points(in.prior_position));
    }
};

}  // namespace engine
