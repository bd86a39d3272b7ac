// Extrapolation on the processor: every lane of a pack holds another track, whatever its jet.
#include "cpu.h"

#include "mathematics.h"

namespace engine {
namespace {

template <class T> struct Pack {
    static constexpr int lanes = scalar_of<T>::lanes;
    int used = 0;
    int64_t row[lanes], jet[lanes];
    Perigee<T> track, ct;
    T x, y, z;
};

template <class S, class T> ENGINE_INLINE void put_perigee(Perigee<T>& p, int lane, const S* v) {
    put(p.d0, lane, v[0]), put(p.z0, lane, v[1]), put(p.phi, lane, v[2]), put(p.theta, lane, v[3]), put(p.rho, lane, v[4]);
}

template <class T> ENGINE_INLINE void clear(Pack<T>& pack) {
    const T zero{};
    pack.track = {zero, zero, zero, constant<T>(1.5), zero};
    pack.ct = {zero, zero, zero, zero, zero};
    pack.x = pack.y = pack.z = zero;
    pack.used = 0;
}

// What cannot be extrapolated (not finite, along the beam, angles beyond ten turns) becomes a harmless track; true where it can.
template <class T> ENGINE_INLINE mask_t<T> clean(Pack<T>& pack) {
    Perigee<T>& p = pack.track;
    const T zero{}, large = constant<T>(64);
    mask_t<T> good = finite(p.d0) & finite(p.z0) & (absolute(p.phi) < large) & (absolute(p.theta) < large) & finite(p.rho) & finite(pack.x) & finite(pack.y) & finite(pack.z);
    T sine, cosine, theta = select<T>(good, p.theta, constant<T>(1.5));
    sine_cosine(theta, sine, cosine);
    good = good & (absolute(sine) > constant<T>(1e-5));
    p = {select<T>(good, p.d0, zero), select<T>(good, p.z0, zero), select<T>(good, p.phi, zero), select<T>(good, p.theta, constant<T>(1.5)), select<T>(good, p.rho, zero)};
    pack.x = select<T>(good, pack.x, zero), pack.y = select<T>(good, pack.y, zero), pack.z = select<T>(good, pack.z, zero);
    return good;
}

// Calls flush with full packs of tracks that are not masked; masked rows of `out` are zeroed.
template <class T, class Flush> ENGINE_INLINE void for_packs(const EngineExtrapolateInputs& in, const void* cotangent, void* out, Flush flush) {
    using S = scalar_t<T>;
    const S *tracks = static_cast<const S*>(in.tracks), *points = static_cast<const S*>(in.points), *ct = static_cast<const S*>(cotangent);
    Pack<T> pack;
    clear(pack);
    for (int64_t jet = 0; jet < in.jets; ++jet) {
        int64_t row = in.offsets ? in.offsets[jet] : jet * in.padded, end = in.offsets ? in.offsets[jet + 1] : row + in.padded;
        for (; row < end; ++row) {
            if (in.mask && !in.mask[row]) {
                for (int k = 0; k < 5; ++k) static_cast<S*>(out)[row * 5 + k] = 0;
                continue;
            }
            int lane = pack.used++;
            pack.row[lane] = row, pack.jet[lane] = jet;
            put_perigee(pack.track, lane, tracks + row * 5);
            if (ct) put_perigee(pack.ct, lane, ct + row * 5);
            put(pack.x, lane, points[jet * 3]), put(pack.y, lane, points[jet * 3 + 1]), put(pack.z, lane, points[jet * 3 + 2]);
            if (pack.used < pack.lanes) continue;
            flush(pack);
            clear(pack);
        }
    }
    if (pack.used) flush(pack);
}

template <class T> ENGINE_INLINE void run_forward(const EngineExtrapolateInputs& in, void* out) {
    using S = scalar_t<T>;
    for_packs<T>(in, nullptr, out, [&](Pack<T>& pack) __attribute__((always_inline)) {
        mask_t<T> good = clean(pack);
        Perigee<T> p = moved(pack.track, pack.x, pack.y, pack.z);
        good = good & finite(p.d0) & finite(p.z0) & finite(p.phi);
        for (int lane = 0; lane < pack.used; ++lane) {
            S* target = static_cast<S*>(out) + pack.row[lane] * 5;
            bool keep = good[lane] != 0;
            target[0] = keep ? get(p.d0, lane) : S(0), target[1] = keep ? get(p.z0, lane) : S(0), target[2] = keep ? get(p.phi, lane) : S(0);
            target[3] = keep ? get(p.theta, lane) : S(0), target[4] = keep ? get(p.rho, lane) : S(0);
        }
    });
}

template <class T> ENGINE_INLINE void run_backward(const EngineExtrapolateInputs& in, const void* cotangent, void* tracks, void* points) {
    using S = scalar_t<T>;
    for (int64_t i = 0; i < in.jets * 3; ++i) static_cast<S*>(points)[i] = 0;
    for_packs<T>(in, cotangent, tracks, [&](Pack<T>& pack) __attribute__((always_inline)) {
        mask_t<T> good = clean(pack);
        MovedGradient<T> g = moved_gradient(pack.track, pack.x, pack.y, pack.ct);
        good = good & finite(g.d0) & finite(g.z0) & finite(g.phi) & finite(g.theta) & finite(g.rho) & finite(g.x) & finite(g.y);
        for (int lane = 0; lane < pack.used; ++lane) {
            S *target = static_cast<S*>(tracks) + pack.row[lane] * 5, *sum = static_cast<S*>(points) + pack.jet[lane] * 3;
            bool keep = good[lane] != 0;
            target[0] = keep ? get(g.d0, lane) : S(0), target[1] = keep ? get(g.z0, lane) : S(0), target[2] = keep ? get(g.phi, lane) : S(0);
            target[3] = keep ? get(g.theta, lane) : S(0), target[4] = keep ? get(g.rho, lane) : S(0);
            if (keep) sum[0] += get(g.x, lane), sum[1] += get(g.y, lane), sum[2] += get(g.z, lane);
        }
    });
}

// Packs of 32 bytes on every level: the baseline handles them in halves.
#define ENGINE_INSTANCE(name, T)                                                                                                             \
    ENGINE_CLONES void forward_##name(const EngineExtrapolateInputs& in, void* out) { run_forward<T>(in, out); }                             \
    ENGINE_CLONES void backward_##name(const EngineExtrapolateInputs& in, const void* ct, void* tracks, void* points) {                      \
        run_backward<T>(in, ct, tracks, points);                                                                                             \
    }
using Doubles = Lanes<double, 32>;
using Floats = Lanes<float, 32>;
ENGINE_INSTANCE(double, Doubles)
ENGINE_INSTANCE(float, Floats)

}  // namespace
}  // namespace engine

void engine_extrapolate(const EngineExtrapolateInputs* in, void* out, int double_precision) {
    double_precision ? engine::forward_double(*in, out) : engine::forward_float(*in, out);
}

void engine_extrapolate_backward(const EngineExtrapolateInputs* in, const void* cotangent, void* tracks, void* points, int double_precision) {
    double_precision ? engine::backward_double(*in, cotangent, tracks, points) : engine::backward_float(*in, cotangent, tracks, points);
}
