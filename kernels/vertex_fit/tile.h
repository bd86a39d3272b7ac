// A tile: as many (jet, vertex) problems as a pack has lanes, transposed once into columns of lanes. Everything it needs of memory comes
// from one block, so that a translation unit of wider instructions defines no function that another could share.
#pragma once

#include "../rows.h"
#include "problem.h"

namespace engine {

template <class T, class C> struct Tile : Alone {
    using S = scalar_t<T>;
    static constexpr int block = 4, lanes = scalar_of<T>::lanes;
    struct Slot {
        Helix<T> q;
        C cov;
        T w;
        Momentum<T> p;
    };
    struct Rest {  // what the passes over the tracks seldom need
        T phi, theta, valid;  // as measured
        Momentum<T> cotangent;
    };
    union Waiting {  // from one pass to the next
        Motion<T> motion;
        Pull<T> pull;
        Gradient<T, C> gradient;
        Waiting() = delete;
    };
    // Bytes a track (and `lanes` more tracks, for rows shorter than a block): slots, the rest, what waits, columns, spare rows and responses.
    static constexpr int64_t bytes = sizeof(Slot) + sizeof(Rest) + sizeof(Waiting) + 2 * 25 * sizeof(T) + sizeof(Response<T>);

    const EngineVertexInputs& in;
    const void *to_momenta, *to_response;  // where they will be written, to be fetched ahead
    int used = 0, longest = 0, shortest = 0, pass = 0, count[lanes];
    int64_t problem[lanes], first_track[lanes], first_weight[lanes], total;
    int64_t ahead, stride;  // the tracks of the next tile: the first, and how many are fetched with each of this one
    Slot* slots;
    Rest* rest;
    Waiting* waiting;
    T* columns;
    S* spare;
    Response<T>* responses;
    Frame<T> frame;
    Prior<T> prior;
    T heaviest;

    // memory: (most + lanes) * bytes, aligned to a pack; most: the longest list of tracks.
    ENGINE_INLINE Tile(const EngineVertexInputs& inputs, void* memory, int64_t most, const void* momenta = nullptr, const void* response = nullptr)
        : in(inputs), to_momenta(momenta), to_response(response), total(in.offsets ? in.offsets[in.jets] : in.jets * in.padded) {
        const int64_t room = most + lanes;
        slots = static_cast<Slot*>(memory);
        rest = reinterpret_cast<Rest*>(slots + room);
        waiting = reinterpret_cast<Waiting*>(rest + room);
        columns = reinterpret_cast<T*>(waiting + room);
        spare = reinterpret_cast<S*>(columns + room * 25);
        responses = reinterpret_cast<Response<T>*>(columns + room * 50);
    }

    ENGINE_INLINE const Helix<T>& q(int i) const { return slots[i].q; }
    ENGINE_INLINE const C& covariance(int i) const { return slots[i].cov; }
    ENGINE_INLINE const T& weight(int i) const { return slots[i].w; }
    ENGINE_INLINE const Momentum<T>& momentum(int i) const { return slots[i].p; }
    ENGINE_INLINE void set_momentum(int i, const Momentum<T>& p) { slots[i].p = p; }
    ENGINE_INLINE mask_t<T> valid(int i) const { return rest[i].valid > T{}; }
    ENGINE_INLINE Momentum<T> measured(int i) const { return {rest[i].phi, rest[i].theta, slots[i].q.rho}; }
    ENGINE_INLINE const Momentum<T>& momentum_cotangent(int i) const { return rest[i].cotangent; }
    ENGINE_INLINE void keep_motion(int i, const Motion<T>& m) { waiting[i].motion = m, fetch_ahead(i); }
    template <bool> ENGINE_INLINE const Motion<T>& motion(int i, const Vector<T>&, const Momentum<T>&) const { return waiting[i].motion; }
    ENGINE_INLINE void keep_pull(int i, const Pull<T>& p) { waiting[i].pull = p; }
    ENGINE_INLINE const Pull<T>& pull(int i) const { return waiting[i].pull; }
    ENGINE_INLINE void keep_response(int i, const Response<T>& r) { responses[i] = r; }
    template <class F> ENGINE_INLINE const Response<T>& response(int i, const F&) const { return responses[i]; }
    ENGINE_INLINE void keep_gradient(int i, const Gradient<T, C>& g) { waiting[i].gradient = g; }
    template <class F> ENGINE_INLINE const Gradient<T, C>& gradient(int i, const F&) const { return waiting[i].gradient; }

    // Take the problems from `first` on, at most up to `last`.
    ENGINE_INLINE void take(int64_t first, int64_t last) {
        used = last - first < lanes ? static_cast<int>(last - first) : lanes;
        longest = shortest = pass = 0;
        int64_t jet = first / in.vertices, vertex = first % in.vertices;
        for (int lane = 0; lane < lanes; ++lane) {
            const int64_t begin = start(jet);
            problem[lane] = jet * in.vertices + vertex;
            first_track[lane] = begin;
            first_weight[lane] = begin * in.jet_stride + vertex * in.vertex_stride;
            count[lane] = lane < used ? static_cast<int>(start(jet + 1) - begin) : 0;
            longest = longest > count[lane] ? longest : count[lane];
            shortest = lane && shortest < count[lane] ? shortest : count[lane];
            if (lane + 1 < used && ++vertex == in.vertices) vertex = 0, ++jet;
        }
        ahead = start(jet + 1);
        stride = (start(jet + 1 + lanes / in.vertices) - ahead) / (longest ? longest : 1) + 1;
        load();
        clean();
        if (in.prior_information) prior.set(frame, stored_point(in.prior_position), stored_matrix(in.prior_information));
    }
    // The momenta of a solution and their cotangents (or null).
    ENGINE_INLINE void take_solution(const void* found, const void* cotangents) {
        read<3>(found, first_weight, [&](int i, const T* p) ENGINE_INLINED {
            slots[i].p = keep<T>(valid(i), Momentum<T>{p[0] - rest[i].phi, p[1] - rest[i].theta, p[2] - slots[i].q.rho});
        });
        for (int i = 0; !cotangents && i < longest; ++i) rest[i].cotangent = Momentum<T>{};
        if (!cotangents) return;
        read<3>(cotangents, first_weight, [&](int i, const T* p) ENGINE_INLINED { rest[i].cotangent = keep<T>(valid(i), Momentum<T>{p[0], p[1], p[2]}); });
    }

    // What a list holds for each problem; null: zero.
    template <int N> ENGINE_INLINE void numbers(const void* source, T (&out)[N]) const { from_lanes(source, problem, source ? used : 0, out); }
    ENGINE_INLINE T stored_number(const void* source) const {
        T a[1] = {};
        numbers(source, a);
        return a[0];
    }
    ENGINE_INLINE Vector<T> stored_point(const void* source) const {
        T a[3] = {};
        numbers(source, a);
        return {a[0], a[1], a[2]};
    }
    ENGINE_INLINE Symmetric<T> stored_matrix(const void* source) const {
        T a[9] = {};
        numbers(source, a);
        const T half = constant<T>(0.5);
        return {a[0], (a[1] + a[3]) * half, (a[2] + a[6]) * half, a[4], (a[5] + a[7]) * half, a[8]};
    }
    ENGINE_INLINE mask_t<T> solved(const int32_t* status) const {
        T out{};
        for (int lane = 0; lane < used; ++lane) put(out, lane, status[problem[lane]] < singular);
        return out > T{};
    }
    ENGINE_INLINE void store_status(const T& value, int32_t* target) const {
        for (int lane = 0; lane < used; ++lane) target[problem[lane]] = static_cast<int32_t>(get(value, lane));
    }
    // Nothing happens where the target is null.
    template <int N> ENGINE_INLINE void store_numbers(const T (&values)[N], void* target) const { to_lanes(values, problem, target ? used : 0, target); }
    ENGINE_INLINE void store(const T& value, void* target) const { store_numbers<1>({value}, target); }
    ENGINE_INLINE void store(const Vector<T>& v, void* target) const { store_numbers<3>({v.x, v.y, v.z}, target); }
    ENGINE_INLINE void store(const Symmetric<T>& m, void* target) const {
        store_numbers<9>({m.a11, m.a12, m.a13, m.a12, m.a22, m.a23, m.a13, m.a23, m.a33}, target);
    }
    // `Each` numbers of every track from row(i, numbers), laid out as the weights; added to what lies there, laid out as the tracks.
    template <int Each, class F> ENGINE_INLINE void write(void* target, F row) { to_rows<false, Each>(target, first_weight, row); }
    template <int Each, class F> ENGINE_INLINE void add(void* target, F row) { to_rows<true, Each>(target, first_track, row); }

private:
    ENGINE_INLINE int64_t start(int64_t jet) const { return in.offsets ? in.offsets[jet < in.jets ? jet : in.jets] : jet * in.padded; }

    ENGINE_INLINE Rows<T> rows(const int64_t* firsts, int each) const {
        Rows<T> out;
        for (int lane = 0; lane < lanes; ++lane) out.first[lane] = firsts[lane] * each, out.count[lane] = count[lane] * each;
        return out;
    }
    template <bool Add, int Each, class F> ENGINE_INLINE void to_rows(void* target, const int64_t* firsts, F row) {
        if (!target) return;
        for (int i = 0; i < longest; ++i) row(i, columns + i * Each);
        store_columns<Add, T>(columns, longest * Each < lanes ? lanes : longest * Each, target, rows(firsts, Each), spare);
    }
    template <int Each, class F> ENGINE_INLINE void read(const void* source, const int64_t* firsts, F row) {
        const int64_t end = firsts == first_weight ? total * in.vertices : total;
        load_columns<T>(columns, longest * Each < lanes ? lanes : longest * Each, source, end * Each, rows(firsts, Each), spare);
        for (int i = 0; i < longest; ++i) row(i, columns + i * Each);
    }

    // What the next tile reads and where this one will write, on its way to the second-level cache. A little with every track of the first two
    // passes: the processor waits for nothing then, while all of it at once would fill its ten line buffers.
    ENGINE_INLINE void fetch_ahead(int i) {
        pass += i == 0;
        if (pass == 1) fetch(in.tracks, i, 5, ahead), fetch(in.weights, i, 1, ahead), fetch(to_momenta, i, 3, first_track[0]);
        if (pass == 2) fetch(in.covariance, i, C::width, ahead), fetch(to_response, i, 4, first_track[0]);
    }
    ENGINE_INLINE void fetch(const void* source, int i, int each, int64_t from) const {
        if (!source) return;
        const char* at = static_cast<const char*>(source) + (from + i * stride) * each * sizeof(S);
        for (int64_t byte = 0; byte < int64_t(stride * each * sizeof(S)); byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }

    // Whatever a masked track holds is loaded with its neighbours, and dropped before it meets arithmetic.
    ENGINE_INLINE void load() {
        for (int i = 0; i < longest; ++i) {
            T there = constant<T>(1);
            for (int lane = 0; (in.mask || i >= shortest) && lane < lanes; ++lane)
                put(there, lane, i < count[lane] && (!in.mask || in.mask[first_track[lane] + i]));
            rest[i].valid = there;
        }
        read<5>(in.tracks, first_track, [&](int i, const T* q) ENGINE_INLINED {
            slots[i].q.d0 = q[0], slots[i].q.z0 = q[1], slots[i].q.rho = q[4];
            rest[i].phi = q[2], rest[i].theta = q[3];
        });
        read<C::width>(in.covariance, first_track, [&](int i, const T* v) ENGINE_INLINED {
            for (int k = 0; k < C::size; ++k) slots[i].cov[k] = k < 5 ? v[C::upper(k)] : T((v[C::upper(k)] + v[C::lower(k)]) * constant<T>(0.5));
        });
        read<1>(in.weights, first_weight, [&](int i, const T* w) ENGINE_INLINED { slots[i].w = *w; });
    }
    // What cannot be a track (not finite, a variance that is not positive, along the beam) becomes an empty one of no weight. Short loops:
    // the processor looks ahead from one track into the next. The frame is that of the heaviest track.
    ENGINE_INLINE void clean() {
        const T zero{};
        for (int i = 0; i < longest; ++i) {
            Slot& slot = slots[i];
            T sum = (slot.q.d0 * zero + slot.q.z0 * zero) + (rest[i].phi * zero + rest[i].theta * zero) + slot.q.rho * zero, others = slot.w * zero;
            for (int k = 0; k < C::size; ++k) others += slot.cov[k] * zero;
            keep_where(i, valid(i) & (slot.w >= zero) & slot.cov.positive() & (sum + others == zero));
        }
        frame = {};
        heaviest = constant<T>(-1);
        for (int i = 0; i < longest; ++i) {
            T sine, cosine;
            rest[i].phi = near_zero(rest[i].phi), rest[i].theta = near_zero(rest[i].theta);
            sine_cosine(rest[i].theta, sine, cosine);
            slots[i].q.t = cosine / sine;
            keep_where(i, absolute(sine) > constant<T>(1e-5));
            const mask_t<T> better = valid(i) & (slots[i].w > heaviest);
            heaviest = select<T>(better, slots[i].w, heaviest);
            frame.phi = select<T>(better, rest[i].phi, frame.phi);
            frame.t = select<T>(better, slots[i].q.t, frame.t);
            frame.z = select<T>(better, slots[i].q.z0, frame.z);
        }
        heaviest = select<T>(heaviest > zero, heaviest, zero);
        sine_cosine(frame.phi, frame.s, frame.c);
        for (int i = 0; i < longest; ++i) {
            Slot& slot = slots[i];
            sine_cosine(select<T>(valid(i), rest[i].phi - frame.phi, zero), slot.q.s, slot.q.c);
            slot.q.z0 = select<T>(valid(i), slot.q.z0 - frame.z, zero);
            slot.p = Momentum<T>{};
        }
    }
    ENGINE_INLINE void keep_where(int i, mask_t<T> good) {
        if (!any(~good)) return;
        const T zero{};
        Slot& slot = slots[i];
        for (T* value : {&slot.q.d0, &slot.q.z0, &slot.q.rho, &slot.q.t, &slot.w, &rest[i].phi, &rest[i].valid}) *value = select<T>(good, *value, zero);
        for (int k = 0; k < C::size; ++k) slot.cov[k] = select<T>(good, slot.cov[k], constant<T>(C::no_track(k)));
        rest[i].theta = select<T>(good, rest[i].theta, constant<T>(1.5));
    }
};

}  // namespace engine
