// How a fit goes from point to point, for any lane type: which steps are followed how far, and where it ends.
#pragma once

#include "mathematics.h"

namespace engine {

// A fit under way: the last good point and the step from there to v, who follows it, and who has been called back to a shorter one.
template <class T> struct Course {
    Vector<T> v, previous, step;
    mask_t<T> moving, back, near;
    int iteration = 0;
    // The momentum of track i after the last step, where it moves.
    template <bool Approximate, class Tracks> ENGINE_INLINE Momentum<T> follow(Tracks& tracks, int i) const {
        Momentum<T> p = tracks.momentum(i);
        if (!iteration) return p;
        p = keep<T>(moving, tracks.template motion<Approximate>(i, previous, p).after(step), p);
        tracks.set_momentum(i, p);
        return p;
    }
    // To where the step leads, of those who follow it or have been called back to a shorter one.
    ENGINE_INLINE void go(const T& reference_t) {
        const Vector<T> there{previous.x + step.x, previous.y + step.y, previous.z + (step.z + reference_t * step.x)};
        v = keep<T>(moving | back, there, v);
    }
    // Who has been called back begins with the momenta that the measured helices have at v.
    template <class Tracks> ENGINE_INLINE void call_back(Tracks& tracks) const {
        for (int i = tracks.mine; i < tracks.longest; i += Tracks::every) {
            const Helix<T>& q = tracks.q(i);
            const Momentum<T> measured{q.rho * T(v.x * q.c + v.y * q.s), T{}, T{}};
            tracks.set_momentum(i, keep<T>(back, measured, tracks.momentum(i)));
        }
    }
};

// How far a step of Gauss and Newton is followed. They know nothing of the curvature of the residuals: where tracks are nearly parallel, steps
// along the jet are up to some times too long, swing about the minimum, or leave it for good.
template <class T> struct Reach {
    T length = constant<T>(1);  // of the last step, in steps of Gauss and Newton
    T objective{}, slope{};     // at the last good point: the objective, and half its fall with the step to first order
    // Whether the objective has risen by more than rounding, or the first order in the momenta, leaves open.
    ENGINE_INLINE mask_t<T> rose(const T& now, const T& heaviest) const {
        return now > objective + (constant<T>(0.03) * objective + constant<T>(sizeof(scalar_t<T>) == 8 ? 1e-3 : 1e-2) * heaviest);
    }
    // After a good step: where the slope would vanish along the last step if it went on changing as it did, if that differs by much.
    ENGINE_INLINE T next(const T& slope_now) const {
        const T one = constant<T>(1), fall = slope - slope_now, most = constant<T>(2), least = constant<T>(0.01);
        const T zero_at = length * slope / select<T>(fall > constant<T>(1e-3) * slope, fall, constant<T>(1e-3) * slope);
        const T within = select<T>(zero_at < most, select<T>(zero_at > least, zero_at, least), most);
        return select<T>(absolute(slope_now) > constant<T>(0.2) * slope, within, one);
    }
    // After a step that went up: the part of it where a parabola through what is known is least.
    ENGINE_INLINE T part(const T& now) const {
        const T half = constant<T>(0.5), least = constant<T>(0.1), at = slope / (now - objective + slope + slope);
        return select<T>(at > least, select<T>(at < half, at, half), least);
    }
    ENGINE_INLINE void begin(mask_t<T> good, const T& from_here, const T& gain, const T& now) {
        length = select<T>(good, from_here, length), slope = select<T>(good, from_here * gain, slope), objective = select<T>(good, now, objective);
    }
    ENGINE_INLINE void shorten(mask_t<T> back, const T& by) { length = select<T>(back, length * by, length), slope = select<T>(back, slope * by, slope); }
};

// What ends a fit.
template <class T> struct Limits {
    T heaviest, limit, close;
    ENGINE_INLINE Limits(const T& w, const T& weight, double tolerance) : heaviest(w), limit(constant<T>(tolerance) * weight), close(constant<T>(1e4) * w) {}
    // gain: what the step to come is to lower the objective by; ratio: to the step before, where both are whole. The step just taken is still
    // applied, so what remains is smaller by that, of which no better value than `least` is trusted; but chi2 and covariance are those of the
    // point before. Or the steps no longer shrink, and are rounding.
    ENGINE_INLINE mask_t<T> arrived(const T& gain, const T& ratio, const T& last) const {
        const T one = constant<T>(1), least = constant<T>(1e-6), near = constant<T>(5e2), rest = constant<T>(sizeof(scalar_t<T>) == 8 ? 1e-18 : 1e-5);
        const T remaining = gain * select<T>(ratio < one, select<T>(ratio > least, ratio, least), one);
        return ((remaining < limit) & (gain < near * limit)) | ((gain < rest * heaviest) & (gain > constant<T>(0.25) * last));
    }
    // A step of less than a hundred standard deviations.
    ENGINE_INLINE mask_t<T> near(const T& last) const { return last < close; }
};

// The step from the last good point: a new one, or less of the last one for those who went up by it. d, gain: of Gauss and Newton.
template <class T>
ENGINE_INLINE void next_step(Course<T>& at, Reach<T>& reach, mask_t<T> good, mask_t<T> sound, const Vector<T>& d, const T& length, const T& gain,
                             const T& now) {
    Vector<T> shorter;
    if (any(at.back)) {
        const T part = select<T>(sound, reach.part(now), constant<T>(0.1));
        shorter = at.step * part, reach.shorten(at.back, part);
    }
    at.step = keep<T>(good, Vector<T>(d * length), shorter), reach.begin(good, length, gain, now);
}

// Who is still active has not arrived, and stays at the best point that he has seen.
template <class T, class Tracks>
ENGINE_INLINE void settle(Tracks& tracks, Course<T>& at, mask_t<T> active, const T& objective, T& chi2) {
    const mask_t<T> none = T{} > T{};
    at.v = keep<T>(active, at.previous, at.v), at.moving = at.moving & (active == none), at.back = at.back & active;
    if (any(at.back)) at.call_back(tracks);
    chi2 = select<T>(active, objective, chi2);
}

}  // namespace engine
