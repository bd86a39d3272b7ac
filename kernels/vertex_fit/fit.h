// The iteration of the vertex fit, for any lane type. `Tracks` hands out the tracks of a problem: q(i), covariance(i), weight(i),
// momentum(i), and the motion found by the last pass, which the C++ kernel keeps and the CUDA kernel computes again.
#pragma once

#include "mathematics.h"

namespace engine {

enum Status : int { converged = 0, not_converged = 1, singular = 2 };

struct Settings {
    double tolerance;
    int max_iterations;
    bool sandwich;
};

template <class T> struct Prior {
    bool given = false;
    Vector<T> position;         // in the frame of the problem, not sheared
    Symmetric<T> information;   // in the basis b
    // U^T P (x0 - v): the basis b takes z - t x where x counts along b1.
    ENGINE_INLINE Vector<T> pull(const Vector<T>& v, T t) const {
        Vector<T> d = distance(v, t);
        return information * d;
    }
    ENGINE_INLINE Vector<T> distance(const Vector<T>& v, T t) const {
        Vector<T> d{position.x - v.x, position.y - v.y, position.z - v.z};
        d.z -= t * d.x;
        return d;
    }
};

template <class T> struct Fit {
    Vector<T> vertex;
    Symmetric<T> covariance;
    T chi2;
    T status;  // the value of Status as a floating-point number: one type for all lanes
};

template <class T> ENGINE_INLINE Symmetric<T> covariance_of(const Factors<T>& factors, const Symmetric<T>& spread, bool robust) {
    Symmetric<T> inverse = factors.inverse();
    return robust ? sandwich(inverse, spread) : inverse;
}

template <class T> ENGINE_INLINE Symmetric<T> keep(mask_t<T> mask, const Symmetric<T>& yes, const Symmetric<T>& no) {
    return {select<T>(mask, yes.a11, no.a11), select<T>(mask, yes.a12, no.a12), select<T>(mask, yes.a13, no.a13),
            select<T>(mask, yes.a22, no.a22), select<T>(mask, yes.a23, no.a23), select<T>(mask, yes.a33, no.a33)};
}

template <class T> ENGINE_INLINE mask_t<T> finite_matrix(const Symmetric<T>& m) { return finite(m.a11 + m.a12 + m.a13 + m.a22 + m.a23 + m.a33); }

// chi2 as the published code has it: the measurement's residuals at the last (v, p), not profiled.
template <class T, class Tracks> ENGINE_INLINE T plain_chi2(Tracks& tracks, int n, const Vector<T>& v, T reference_t) {
    T sum{};
    for (int i = 0; i < n; ++i) {
        const auto& cov = tracks.covariance(i);
        const auto f = linearise<true>(tracks.q(i), cov, v, tracks.momentum(i), reference_t);
        sum += tracks.weight(i) * T(f.e1 * f.e1 / cov.v[0] + f.e2 * f.e2 / cov.v[1] + f.e3 * f.e3 / cov.v[2] + f.e4 * f.e4 / cov.v[3] +
                                   f.e5 * f.e5 / cov.v[4]);
    }
    return sum;
}

// The momentum of track i after the last step, where it moves.
template <bool Approximate, class T, class Tracks>
ENGINE_INLINE Momentum<T> follow(Tracks& tracks, int i, const Vector<T>& previous, const Vector<T>& step, mask_t<T> moving) {
    Momentum<T> p = tracks.momentum(i), next = tracks.template motion<Approximate>(i, previous, p).after(step);
    p = {select<T>(moving, next.phi, p.phi), select<T>(moving, next.theta, p.theta), select<T>(moving, next.rho, p.rho)};
    tracks.set_momentum(i, p);
    return p;
}

// What a pass over the tracks adds up.
template <class T> struct Sums {
    Symmetric<T> m, spread;
    Vector<T> b;
    T chi2{}, straight{};
};
template <class T> ENGINE_INLINE Sums<T> start(const Prior<T>& prior, const Vector<T>& v, const T& reference_t) {
    if (!prior.given) return {};
    const Vector<T> pull = prior.pull(v, reference_t);
    return {prior.information, prior.information, pull, dot(prior.distance(v, reference_t), pull), T{}};
}

// One pass: the momenta after the last step, everything linearised at v and summed. Some tracks are aimed first and then finished: the
// processor sees a hundred instructions ahead, and the second track's division need not wait for the first one's sums.
template <bool Approximate, class T, class Tracks>
ENGINE_INLINE void pass(Tracks& tracks, int n, int iteration, const Vector<T>& v, const Vector<T>& previous, const Vector<T>& step, mask_t<T> moving,
                        mask_t<T> near, const T& reference_t, Sums<T>& sums) {
    constexpr int block = Tracks::block;
    for (int from = 0; from < n; from += block) {
        Aim<T> aims[block];
        Momentum<T> momenta[block];
        const int to = n < from + block ? n : from + block;
        for (int i = from; i < to; ++i) {
            momenta[i - from] = iteration ? follow<Approximate>(tracks, i, previous, step, moving) : tracks.momentum(i);
            aims[i - from] = Aim<T>(tracks.q(i), v, momenta[i - from], iteration == 0);
        }
        for (int i = from; i < to; ++i) {
            const Momentum<T>& p = momenta[i - from];
            auto f = linearise<Approximate>(aims[i - from], tracks.q(i), tracks.covariance(i), v, p, reference_t);
            const Weighed<T> weighed(f);
            const T w = tracks.weight(i);
            const Symmetric<T> part = weighed.information(f);
            accumulate(sums.m, w, part);
            accumulate(sums.spread, T(w * w), part);
            Vector<T> down = weighed.force(f);
            tracks.keep_motion(i, motion<Approximate>(f, weighed, p, near, down));
            sums.b.x += w * down.x;
            sums.b.y += w * down.y;
            sums.b.z += w * down.z;
            sums.chi2 += w * (f.y1 * weighed.l1 + f.y2 * weighed.l2);
            tracks.fetch_in_pass(iteration, i);
            if (iteration) continue;
            const T tilt = reference_t - f.t * f.c;
            sums.straight += w * (f.w11 * f.s * f.s + constant<T>(2) * f.w12 * f.s * tilt + f.w22 * tilt * tilt);
        }
    }
}

template <bool Approximate, class T, class Tracks>
ENGINE_INLINE Fit<T> fit(Tracks& tracks, int n, Vector<T> v, T reference_t, T heaviest, const Prior<T>& prior, const Settings& settings) {
    constexpr bool wide = sizeof(scalar_t<T>) == 8;
    const T zero{}, one = constant<T>(1);
    const T parallel = constant<T>(wide ? 1e-14 : 1e-11);   // information along the jet over across it: (opening angle)^2
    const T digits = constant<T>(wide ? 4e-15 : 2e-6);      // a pivot below this part of its element is rounding
    const T stalled = constant<T>(wide ? 1e-18 : 1e-5);     // below this a step that no longer shrinks is rounding
    const T limit = constant<T>(settings.tolerance) * select<T>(heaviest > zero, heaviest, one);
    const T least = constant<T>(1e-6);                      // no better convergence than this is trusted
    const T near = constant<T>(5e2);                        // chi2 and covariance are those of the point before the last step
    const T close = constant<T>(1e4) * heaviest;            // a step of a hundred standard deviations
    const mask_t<T> none = zero > one, all = one > zero;
    mask_t<T> active = all, moving = none;
    Fit<T> out{v, {}, zero, constant<T>(not_converged)};
    Vector<T> step{}, previous = v;
    T last = zero;
    for (int iteration = 0; iteration < settings.max_iterations; ++iteration) {
        Sums<T> sums = start(prior, v, reference_t);
        pass<Approximate>(tracks, n, iteration, v, previous, step, moving, iteration > 0 ? last < close : none, reference_t, sums);
        const Symmetric<T>& m = sums.m;
        Factors<T> factors(m);
        mask_t<T> regular = (m.a33 > zero) & (factors.pivot2 > digits * m.a22) & (factors.pivot1 > digits * m.a11);
        if (iteration == 0) {
            mask_t<T> constrained = prior.information.a11 + prior.information.a22 + prior.information.a33 > zero;
            regular = regular & (constrained | (sums.straight > parallel * (m.a22 + m.a33)));
        }
        Vector<T> d = factors.solve(sums.b);
        T gain = dot(sums.b, d);
        Symmetric<T> covariance = covariance_of(factors, sums.spread, settings.sandwich);
        mask_t<T> good = active & regular & finite(gain + d.x + d.y + d.z + sums.chi2) & finite(covariance.a11 + covariance.a22 + covariance.a33);
        out.status = select<T>(active & (regular == none), constant<T>(singular), out.status);
        out.covariance = keep<T>(good, covariance, out.covariance);
        out.chi2 = select<T>(good, sums.chi2 - gain, out.chi2);
        step = {select<T>(good, d.x, zero), select<T>(good, d.y, zero), select<T>(good, d.z, zero)};
        previous = v;
        v = {v.x + step.x, v.y + step.y, v.z + (step.z + reference_t * step.x)};
        moving = good;
        // The step just taken is still applied: what remains is the one to come, smaller by the ratio of the last two.
        T ratio = iteration ? gain / last : one, remaining = gain * select<T>(ratio < one, select<T>(ratio > least, ratio, least), one);
        mask_t<T> arrived = good & (((remaining < limit) & (gain < near * limit)) | ((gain < stalled * heaviest) & (gain > constant<T>(0.25) * last)));
        if (!Approximate || iteration + 1 == settings.max_iterations) out.status = select<T>(Approximate ? good : arrived, zero, out.status);
        active = Approximate ? good : good & (arrived == none);
        last = gain;
        if (!any(active)) break;
    }
    for (int i = 0; i < n; ++i) follow<Approximate>(tracks, i, previous, step, moving);
    out.vertex = v;
    if constexpr (Approximate) out.chi2 = plain_chi2(tracks, n, v, reference_t);
    return out;
}

}  // namespace engine
