// The iteration of the vertex fit, for any lane type. `Tracks` holds the tracks of a problem: q(i), covariance(i), weight(i), momentum(i),
// its frame, prior and heaviest weight, and the motion found by the last pass. Who works on a problem has its tracks mine, mine + every, ... and
// calls collect where a sum over all of them is needed, agree where all must say yes.
#pragma once

#include "mathematics.h"

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
    template <class... Sums> ENGINE_INLINE void collect(Sums&...) const {}
    template <class Mask> ENGINE_INLINE Mask agree(const Mask& mask) const { return mask; }
};

template <class T> struct Prior {
    bool given = false;
    Vector<T> position;        // in the frame of the problem, not sheared
    Symmetric<T> information;  // in the basis b, zero where none is given
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
    ENGINE_INLINE void add_prior(const Prior<T>& prior, const Vector<T>& v, const T& reference_t) {
        if (!prior.given) return;
        const Vector<T> away = prior.distance(v, reference_t), pull = prior.information * away;
        const T one = constant<T>(1);
        add(m, one, prior.information), add(spread, one, prior.information), add(b, one, pull);
        chi2 += dot(away, pull);
    }
};

// A fit under way: where the last step came from, and who still moves.
template <class T> struct Course {
    Vector<T> v, previous, step;
    mask_t<T> moving, near;
    int iteration = 0;
    // The momentum of track i after the last step, where it moves.
    template <bool Approximate, class Tracks> ENGINE_INLINE Momentum<T> follow(Tracks& tracks, int i) const {
        Momentum<T> p = tracks.momentum(i);
        if (!iteration) return p;
        p = keep<T>(moving, tracks.template motion<Approximate>(i, previous, p).after(step), p);
        tracks.set_momentum(i, p);
        return p;
    }
};

// One pass: the momenta after the last step, everything linearised at v and summed.
template <bool Approximate, class T, class Tracks> ENGINE_INLINE Sums<T> pass(Tracks& tracks, const Course<T>& at) {
    Sums<T> sums;
    auto momentum = [&](int i) ENGINE_INLINED { return at.template follow<Approximate>(tracks, i); };
    each_linearised<Approximate, T>(tracks, at.v, at.iteration == 0, momentum, [&](int i, const Momentum<T>& p, const auto& f) ENGINE_INLINED {
        const T w = tracks.weight(i), scaled = w * f.scale, l1 = f.l1(), l2 = f.l2();
        const Symmetric<T> part = f.unscaled();
        add(sums.m, scaled, part);
        add(sums.spread, T(w * scaled), part);
        Vector<T> down = f.force(l1, l2);
        tracks.keep_motion(i, motion<Approximate>(f, l1, l2, p, at.near, down));
        add(sums.b, w, down);
        sums.chi2 += w * T(f.y1 * l1 + f.y2 * l2);
        if (at.iteration) return;
        const T tilt = tracks.frame.t - f.t * f.c;
        sums.straight += w * T(f.w11 * f.s * f.s + constant<T>(2) * f.w12 * f.s * tilt + f.w22 * tilt * tilt);
    });
    tracks.collect(sums.m, sums.spread, sums.b, sums.chi2, sums.straight);
    sums.add_prior(tracks.prior, at.v, tracks.frame.t);
    return sums;
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

// From the point `start` of the frame.
template <bool Approximate, class T, class Tracks> ENGINE_INLINE Fit<T> fit(Tracks& tracks, const Vector<T>& start, const Settings& settings) {
    constexpr bool wide = sizeof(scalar_t<T>) == 8;
    const T zero{}, one = constant<T>(1), heaviest = tracks.heaviest;
    const T parallel = constant<T>(wide ? 1e-14 : 1e-11);  // information along the jet over across it: (opening angle)^2
    const T digits = constant<T>(wide ? 4e-15 : 2e-6);     // a pivot below this part of its element is rounding
    const T stalled = constant<T>(wide ? 1e-18 : 1e-5);    // below this a step that no longer shrinks is rounding
    const T limit = constant<T>(settings.tolerance) * select<T>(heaviest > zero, heaviest, one);
    const T least = constant<T>(1e-6);                     // no better convergence than this is trusted
    const T near = constant<T>(5e2);                       // chi2 and covariance are those of the point before the last step
    const T close = constant<T>(1e4) * heaviest;           // a step of a hundred standard deviations
    const mask_t<T> none = zero > one;
    mask_t<T> active = one > zero;
    Course<T> at{start, start, Vector<T>{}, none, none};
    Fit<T> out;
    out.chi2 = zero, out.status = constant<T>(not_converged);
    T last = zero;
    for (; at.iteration < settings.max_iterations && any(active); ++at.iteration) {
        const Sums<T> sums = pass<Approximate, T>(tracks, at);
        const Symmetric<T>& m = sums.m;
        const Factors<T> factors(m);
        mask_t<T> regular = (m.a33 > zero) & (factors.pivot2 > digits * m.a22) & (factors.pivot1 > digits * m.a11);
        if (at.iteration == 0) {
            const Symmetric<T>& known = tracks.prior.information;
            regular = regular & ((known.a11 + known.a22 + known.a33 > zero) | (sums.straight > parallel * (m.a22 + m.a33)));
        }
        const Vector<T> d = factors.solve(sums.b);
        const T gain = dot(sums.b, d);
        Symmetric<T> covariance = factors.inverse();
        if (settings.sandwich) covariance = sandwich(covariance, sums.spread);
        const mask_t<T> good = active & regular & finite(gain + d.x + d.y + d.z + sums.chi2) & finite(covariance.a11 + covariance.a22 + covariance.a33);
        out.status = select<T>(active & (regular == none), constant<T>(singular), out.status);
        out.covariance = keep<T>(good, covariance, out.covariance);
        out.chi2 = select<T>(good, sums.chi2 - gain, out.chi2);
        at.step = keep<T>(good, d), at.previous = at.v, at.moving = good;
        at.v = {at.v.x + at.step.x, at.v.y + at.step.y, at.v.z + (at.step.z + tracks.frame.t * at.step.x)};
        // The step just taken is still applied: what remains is the one to come, smaller by the ratio of the last two.
        const T ratio = at.iteration ? gain / last : one, remaining = gain * select<T>(ratio < one, select<T>(ratio > least, ratio, least), one);
        const mask_t<T> arrived = good & (((remaining < limit) & (gain < near * limit)) | ((gain < stalled * heaviest) & (gain > constant<T>(0.25) * last)));
        if (!Approximate || at.iteration + 1 == settings.max_iterations) out.status = select<T>(Approximate ? good : arrived, zero, out.status);
        active = Approximate ? good : good & (arrived == none);
        last = gain;
        at.near = last < close;
    }
    for (int i = tracks.mine; i < tracks.longest; i += Tracks::every) at.template follow<Approximate>(tracks, i);
    out.vertex = at.v;
    if constexpr (Approximate) out.chi2 = plain_chi2(tracks, at.v);
    return out;
}

}  // namespace engine
