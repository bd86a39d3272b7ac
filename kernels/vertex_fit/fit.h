// The iteration of the vertex fit, for any lane type. `Tracks` holds the tracks of a problem: q(i), covariance(i), weight(i), momentum(i),
// its frame, prior and heaviest weight, and the motion found by the last pass. Who works on a problem has its tracks mine, mine + every, ... and
// calls collect where a sum over all of them is needed, agree where all must say yes. One alone begins such a sum with the prior.
#pragma once

#include "course.h"

namespace engine {

enum Status : int { converged = 0, not_converged = 1, singular = 2 };

struct Settings {
    double tolerance;
    int max_iterations;
    bool sandwich;
};

// Works on a problem alone.
struct Alone {
    static constexpr int mine = 0, every = 1;
    static constexpr bool begins = true;
    template <class... Sums> ENGINE_INLINE void collect(Sums&...) const {}
    template <class Mask> ENGINE_INLINE Mask agree(const Mask& mask) const { return mask; }
};

template <class T> struct Prior {
    bool given = false;
    mask_t<T> known = T{} > T{};  // finite
    Vector<T> position;           // in the frame of the problem, not sheared
    Symmetric<T> information;     // in the basis b, zero where none is known
    T noise{};                    // what may be rounding of the information: a line's along it. A diagonal matrix has none.
    // From the laboratory.
    ENGINE_INLINE void set(const Frame<T>& frame, const Vector<T>& place, const Symmetric<T>& matrix) {
        given = true, known = finite(place) & finite(matrix);
        const Symmetric<T> m = keep<T>(known, matrix);
        position = frame.point_in(keep<T>(known, place)), information = frame.matrix_in(m);
        const T mixed = absolute(m.a12) + absolute(m.a13) + absolute(m.a23), size = information.a11 + information.a22 + information.a33;
        noise = select<T>(mixed > T{}, constant<T>(rounding<T>) * size, T{});
    }
    // U^-1 (x0 - v): the basis b takes z - t x where x counts along b1.
    ENGINE_INLINE Vector<T> distance(const Vector<T>& v, const T& t) const {
        const Vector<T> d = position - v;
        return {d.x, d.y, d.z - t * d.x};
    }
};

template <class T> struct Fit {
    Vector<T> vertex;
    Symmetric<T> covariance;
    T chi2;
    T status;  // the value of Status as a floating-point number: one type for all lanes
};

// What a pass over the tracks adds up.
template <class T> struct Sums {
    Symmetric<T> m, spread;
    Vector<T> b;
    T chi2{}, straight{};
    ENGINE_INLINE Sums(const Prior<T>& prior, const Vector<T>& v, const T& reference_t, const T& share) {
        if (!prior.given) return;
        const Vector<T> away = prior.distance(v, reference_t);
        m = prior.information, spread = scaled(m, share);
        b = m * away, chi2 = dot(away, b);
    }
};

// One pass: the momenta after the last step, everything linearised at v and summed. (Sums that were returned would stay in memory: a tenth slower.)
// `share`: one over the heaviest weight; `spread` is that of the squared weights times it, which neither over- nor underflows before the others.
template <bool Approximate, class T, class Tracks> ENGINE_INLINE void pass(Tracks& tracks, const Course<T>& at, const T& share, Sums<T>& sums) {
    auto momentum = [&](int i) ENGINE_INLINED { return at.template follow<Approximate>(tracks, i); };
    each_linearised<Approximate, T>(tracks, at.v, at.iteration == 0, momentum, [&](int i, const Momentum<T>& p, const auto& f) ENGINE_INLINED {
        const T w = tracks.weight(i), scaled = w * f.scale, l1 = f.l1(), l2 = f.l2();
        const Symmetric<T> part = f.unscaled();
        add(sums.m, scaled, part);
        add(sums.spread, T(T(w * share) * scaled), part);
        Vector<T> down = f.force(l1, l2);
        tracks.keep_motion(i, motion<Approximate>(f, l1, l2, p, at.near, down));
        add(sums.b, w, down);
        sums.chi2 += w * T(f.y1 * l1 + f.y2 * l2);
        if (at.iteration) return;
        const T tilt = tracks.frame.t - f.t * f.c;
        sums.straight += w * T(f.w11 * f.s * f.s + constant<T>(2) * f.w12 * f.s * tilt + f.w22 * tilt * tilt);
    });
    tracks.collect(sums.m, sums.spread, sums.b, sums.chi2, sums.straight);
}

// chi2 as the published code has it: the measurement's residuals at the last (v, p), not profiled.
template <class T, class Tracks> ENGINE_INLINE T plain_chi2(Tracks& tracks, const Vector<T>& v) {
    T sum{};
    auto momentum = [&](int i) ENGINE_INLINED { return tracks.momentum(i); };
    each_linearised<true, T>(tracks, v, false, momentum, [&](int i, const Momentum<T>&, const auto& f) ENGINE_INLINED {
        const auto& cov = tracks.covariance(i);
        sum += tracks.weight(i) * T(f.e1 * f.e1 / cov.v11 + f.e2 * f.e2 / cov.v22 + f.e3 * f.e3 / cov.v33 + f.e4 * f.e4 / cov.v44 + f.e5 * f.e5 / cov.v55);
    });
    tracks.collect(sum);
    return sum;
}

// Whether the sums determine a vertex: every pivot is more than the rounding of its element and of the prior, as far as the elimination carries
// that; at the start also whether something tells where along the jet it is.
template <class T> ENGINE_INLINE mask_t<T> determined(const Sums<T>& sums, const Factors<T>& factors, const Prior<T>& prior, bool first) {
    const T digits = constant<T>(rounding<T>), one = constant<T>(1), noise = prior.noise;
    const T parallel = constant<T>(sizeof(scalar_t<T>) == 8 ? 1e-14 : 1e-11);  // information along the jet over across it: (opening angle)^2
    const T l31 = factors.m2 * factors.n - factors.m1;
    const T noise2 = noise * (one + factors.m2 * factors.m2), noise1 = noise * ((one + factors.n * factors.n) + l31 * l31);
    const Symmetric<T>& m = sums.m;
    const mask_t<T> regular = (m.a33 > noise) & (factors.pivot2 > digits * m.a22 + noise2) & (factors.pivot1 > digits * m.a11 + noise1);
    return first ? regular & ((prior.information.a11 > noise) | (sums.straight > parallel * (m.a22 + m.a33))) : regular;
}

// `weight`: what `spread` has been divided by.
template <class T> ENGINE_INLINE Symmetric<T> covariance_of(const Factors<T>& factors, const Symmetric<T>& spread, const T& weight, bool robust) {
    const Symmetric<T> inverse = factors.inverse();
    return robust ? scaled(sandwich(inverse, spread), weight) : inverse;
}

// From the point `start` of the frame.
template <bool Approximate, class T, class Tracks> ENGINE_INLINE Fit<T> fit(Tracks& tracks, const Vector<T>& start, const Settings& settings) {
    const T zero{}, one = constant<T>(1), heaviest = tracks.heaviest, weight = select<T>(heaviest > zero, heaviest, one), share = one / weight;
    const Limits<T> limits(heaviest, weight, settings.tolerance);
    const mask_t<T> none = zero > one;
    mask_t<T> active = one > zero, whole = none;  // whole: the last step was as long as Gauss and Newton want it
    Course<T> at{start, start, Vector<T>{}, none, none, none};
    Reach<T> reach;
    Fit<T> out;
    out.chi2 = zero, out.status = constant<T>(not_converged);
    T last = zero;
    for (; at.iteration < settings.max_iterations && any(active); ++at.iteration) {
        const bool first = at.iteration == 0;
        Sums<T> sums(tracks.begins ? tracks.prior : Prior<T>{}, at.v, tracks.frame.t, share);
        pass<Approximate, T>(tracks, at, share, sums);
        const Factors<T> factors(sums.m);
        const Vector<T> d = factors.solve(sums.b);
        const T gain = dot(sums.b, d);
        const Symmetric<T> covariance = covariance_of(factors, sums.spread, weight, settings.sandwich);
        const T trace = covariance.a11 + covariance.a22 + covariance.a33;
        const mask_t<T> sound = active & determined(sums, factors, tracks.prior, first) & finite(gain + d.x + d.y + d.z + sums.chi2) & finite(trace);
        const mask_t<T> good = Approximate || first ? sound : sound & (reach.rose(sums.chi2, heaviest) == none);
        out.status = select<T>(Approximate || first ? active & (good == none) : none, constant<T>(singular), out.status);
        out.covariance = keep<T>(good, covariance, out.covariance);
        out.chi2 = select<T>(good, sums.chi2 - gain, out.chi2);
        const mask_t<T> arrived = good & limits.arrived(gain, select<T>(whole, gain / last, one), last);
        if (!Approximate || at.iteration + 1 == settings.max_iterations) out.status = select<T>(Approximate ? good : arrived, zero, out.status);
        at.previous = keep<T>(good, at.v, at.previous), at.moving = good;
        if constexpr (Approximate) {
            at.step = keep<T>(good, d), active = good;
        } else {
            const T length = first ? one : select<T>(arrived, one, reach.next(dot(sums.b, at.step)));
            whole = good & (length == one);
            at.back = first ? none : active & (good == none);
            next_step(at, reach, good, sound, d, length, gain, sums.chi2);
            active = first ? good & (arrived == none) : active & (arrived == none);
        }
        at.go(tracks.frame.t);
        if (!Approximate && any(at.back)) at.call_back(tracks);
        last = select<T>(good, gain, last);
        at.near = limits.near(last);
    }
    if constexpr (!Approximate) settle(tracks, at, active, reach.objective, out.chi2);
    for (int i = tracks.mine; i < tracks.longest; i += Tracks::every) at.template follow<Approximate>(tracks, i);
    out.vertex = at.v;
    if constexpr (Approximate) out.chi2 = plain_chi2(tracks, at.v);
    return out;
}

}  // namespace engine
