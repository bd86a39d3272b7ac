// The track model of the vertex fit, shared by the C++ and the CUDA kernel. Units: mm, rad, 1/mm.
//
// A track measures q = (d0, z0, phi0, theta, rho) about the origin; at the vertex v = (x, y, z) it has p = (phi, theta, rho). With
// Q = x cos(phi) + y sin(phi), R = y cos(phi) - x sin(phi), t = cot(theta), k = 1 - rho R the prediction is (second order in rho)
//   h = (-R - rho Q^2/2,  z - t Q k,  phi - rho Q,  theta,  rho).
// Angles are counted from the measured ones, p = (phi - phi0, theta - theta0, rho - rho0): these are small, so short polynomials do for
// the sine, and nothing is lost in the residuals h345.
// In the coordinates (v, p' = h345) the last three rows are linear: a track collapses to two residuals y with covariance
//   C2 = N^T V N, N = [1; -K^T], K = dh12/dp', D = dh12/dv, W = C2^-1,
// the weighted sum of D^T W D is the normal matrix M, and l = V^-1 e = N l12 with l12 = W y are the multipliers of the residuals.
//
// A problem is solved in the frame of its heaviest track: rotated by its phi, z counted from its z0, and with the basis
// b1 = (1, 0, t_ref) along the track, b2 = (0, 1, 0), b3 = (0, 0, 1): nearly parallel tracks then lose no digits to cancellation.
#pragma once

#include "covariance.h"

namespace engine {

// The frame of a problem: U has the columns b1, b2, b3 in the laboratory.
template <class T> struct Frame {
    T c = constant<T>(1), s{}, t{}, phi{}, z{};
    ENGINE_INLINE Vector<T> point_in(const Vector<T>& v) const { return turned(c, s, {v.x, v.y, v.z - z}); }
    ENGINE_INLINE Vector<T> point_out(const Vector<T>& v) const { return turned_back(c, s, {v.x, v.y, v.z + z}); }
    ENGINE_INLINE Vector<T> covector_in(const Vector<T>& v) const { return {c * v.x + s * v.y + t * v.z, c * v.y - s * v.x, v.z}; }  // U^T v
    ENGINE_INLINE Vector<T> vector_out(const Vector<T>& v) const { return turned_back(c, s, {v.x, v.y, v.z + t * v.x}); }             // U v
    ENGINE_INLINE Vector<T> covector_out(const Vector<T>& v) const { return turned_back(c, s, {v.x - t * v.z, v.y, v.z}); }           // U^-T v
    ENGINE_INLINE Symmetric<T> matrix_in(const Symmetric<T>& m) const { return congruent<T>({c, s, t}, {-s, c, T{}}, {T{}, T{}, constant<T>(1)}, m); }
    ENGINE_INLINE Symmetric<T> matrix_out(const Symmetric<T>& m) const { return congruent<T>({c, -s, T{}}, {s, c, T{}}, {t, T{}, constant<T>(1)}, m); }
};

// A track's direction and curvature, as measured or counted from there.
template <class T> struct Momentum { T phi, theta, rho; };
template <class T> ENGINE_INLINE Momentum<T> keep(mask_t<T> mask, const Momentum<T>& yes, const Momentum<T>& no = Momentum<T>{}) {
    return {select<T>(mask, yes.phi, no.phi), select<T>(mask, yes.theta, no.theta), select<T>(mask, yes.rho, no.rho)};
}

// A measured track in the frame of its problem: sine and cosine of phi0, cotangent t of theta0.
template <class T> struct Helix { T d0, z0, s, c, t, rho; };

// A track linearised at (v, p): G2 = rho Q^2/k, g = R + G2, a = 1 + rho G2; K12 = 0. The row of D for h1 has no z, that for h2 has 1 there.
// C2 = N^T V N, W = C2^-1, X = -N^T V E with E the last three columns of 1.
template <class T, class Off> struct Linear {
    T s, c, t, u, rho, Q, R, k, ik, G2, g, a;
    T e1, e2, e3, e4, e5, y1, y2, d11, d12, d21, d22, k11, k13, k21, k22, k23, c11, c12, c22, scale, w11, w12, w22, x11, x13, x21, x22, x23;
    Off x12;

    ENGINE_INLINE void project(const Covariance<T, Off>& v) {
        x11 = (k11 * v.v33 + k13 * v.v35) - v.v13;
        x12 = (k11 * v.v34 + k13 * v.v45) - v.v14;
        x13 = (k13 * v.v55 + k11 * v.v35) - v.v15;
        x21 = (k21 * v.v33 + k22 * v.v34 + k23 * v.v35) - v.v23;
        x22 = (k22 * v.v44 + k21 * v.v34 + k23 * v.v45) - v.v24;
        x23 = (k23 * v.v55 + k21 * v.v35 + k22 * v.v45) - v.v25;
        c11 = (v.v11 - (k11 * v.v13 + k13 * v.v15)) + x11 * k11 + x13 * k13;
        c12 = ((x11 * k21 + x13 * k23) + k22 * x12) + (v.v12 - (k11 * v.v23 + k13 * v.v25));
        c22 = ((v.v22 - (k21 * v.v23 + k22 * v.v24 + k23 * v.v25)) + x22 * k22) + (x21 * k21 + x23 * k23);
        scale = constant<T>(1) / T(c11 * c22 - c12 * c12);
        w11 = c22 * scale, w12 = -(c12 * scale), w22 = c11 * scale;
    }
    // D^T adj(C2) D and l = W y = scale adj(C2) y: the scale comes late, and what can be done before the division does not wait for it.
    ENGINE_INLINE Symmetric<T> unscaled() const {
        const T r11 = c22 * d11 - c12 * d21, r12 = c22 * d12 - c12 * d22, r21 = c11 * d21 - c12 * d11, r22 = c11 * d22 - c12 * d12;
        return {d11 * r11 + d21 * r21, d11 * r12 + d21 * r22, r21, d12 * r12 + d22 * r22, r22, c11};
    }
    ENGINE_INLINE T l1() const { return T(c22 * y1 - c12 * y2) * scale; }
    ENGINE_INLINE T l2() const { return T(c11 * y2 - c12 * y1) * scale; }
    // D^T (a, b).
    ENGINE_INLINE Vector<T> force(const T& a, const T& b) const { return {d11 * a + d21 * b, d12 * a + d22 * b, b}; }
    // The rows of X, and X^T (k1, k2), for n = dphi0 + Q drho instead of dphi0.
    ENGINE_INLINE Vector<T> row1() const { return {x11 + Q * x13, x12, x13}; }
    ENGINE_INLINE Vector<T> row2() const { return {x21 + Q * x23, x22, x23}; }
    ENGINE_INLINE Vector<T> pulled(const T& k1, const T& k2) const {
        return {T(x11 + Q * x13) * k1 + T(x21 + Q * x23) * k2, x22 * k2 + k1 * x12, x13 * k1 + x23 * k2};
    }
};

// Sine and cosine of phi, tangent of theta: the lanes below 1/16 by short minimax polynomials, the others in full.
template <class T> ENGINE_INLINE void small_angles(const T& phi, const T& theta, T& sine, T& cosine, T& tangent) {
    const T one = constant<T>(1), limit = constant<T>(0.00390625);
    auto k = [](double value) { return constant<T>(value); };
    T z = phi * phi, y = theta * theta;
    if constexpr (sizeof(scalar_t<T>) == 8) {
        const T z2 = z * z, y2 = y * y;
        sine = phi + phi * z * ((k(-0.16666666666666153) + z * k(0.0083333333096819097)) - z2 * k(0.00019839655219102107));
        cosine = (one - z * k(0.5)) + z2 * ((k(0.041666666666666153) - z * k(0.0013888888865237263)) + z2 * k(2.4799972668668839e-5));
        tangent = theta + theta * y * ((k(0.33333333333331716) + y * k(0.13333333346581837)) + y2 * (k(0.053968084432710181) + y * k(0.021938883577929789)));
    } else {
        sine = phi + phi * z * (k(-0.16666666628824501) + z * k(0.0083325583205220294));
        cosine = one + z * (k(-0.5) + z * k(0.04166395408766405));
        tangent = theta + theta * y * (k(0.33333323023389151) + y * k(0.13354443921132426));
    }
    mask_t<T> far_phi = z > limit, far_theta = y > limit;
    if (!any(far_phi | far_theta)) return;
    T s, c;
    sine_cosine(phi, s, c);
    sine = select<T>(far_phi, s, sine);
    cosine = select<T>(far_phi, c, cosine);
    sine_cosine(theta, s, c);
    tangent = select<T>(far_theta, s / c, tangent);
}

// A track's direction at the vertex and the point of closest approach, the first half of its linearisation.
template <class T> struct Aim {
    T s, c, t, rho, Q, R, k, ik;
    Aim() = default;
    // `fresh`: p is zero.
    ENGINE_INLINE Aim(const Helix<T>& q, const Vector<T>& v, const Momentum<T>& p, bool fresh = false) {
        const T one = constant<T>(1);
        T sine, cosine, tangent{}, below = one;
        s = q.s, c = q.c;
        if (!fresh) {
            small_angles(p.phi, p.theta, sine, cosine, tangent);
            s = q.s * cosine + q.c * sine;
            c = q.c * cosine - q.s * sine;
            below = one + q.t * tangent;
        }
        rho = q.rho + p.rho;
        Q = v.x * c + v.y * s;
        R = v.y * c - v.x * s;
        k = one - rho * R;
        const T inverse = one / T(k * below);  // one division for two
        ik = inverse * below;
        t = (q.t - tangent) * (inverse * k);  // cot(a + b) = (cot a - tan b)/(1 + cot a tan b)
    }
};

// Linearise a track at the point v of the frame (z from the frame's origin). Approximate: the published Jacobians.
template <bool Approximate, class T, class Off>
ENGINE_INLINE Linear<T, Off> linearise(const Aim<T>& aim, const Helix<T>& q, const Covariance<T, Off>& cov, const Vector<T>& v, const Momentum<T>& p,
                                       const T& reference_t) {
    Linear<T, Off> f;
    const T one = constant<T>(1), half = constant<T>(0.5);
    f.s = aim.s, f.c = aim.c, f.t = aim.t, f.rho = aim.rho, f.Q = aim.Q, f.R = aim.R, f.k = aim.k, f.ik = aim.ik;
    f.u = one + f.t * f.t;
    const T rq = f.rho * f.Q;
    f.G2 = rq * f.Q * f.ik;
    f.g = f.R + f.G2;
    f.a = one + f.rho * f.G2;
    f.k11 = f.Q;
    f.k13 = half * f.Q * f.Q;
    if constexpr (Approximate) {
        const T stretch = f.t * (one + f.rho * f.R);
        f.d11 = f.s + rq * f.c, f.d12 = rq * f.s - f.c;
        f.d21 = reference_t - stretch * f.c, f.d22 = -(stretch * f.s);
        f.k21 = -(f.t * f.R), f.k22 = f.Q * f.u, f.k23 = T{};
    } else {
        f.d11 = f.s, f.d12 = -f.c;
        f.d21 = reference_t - f.t * (f.c * f.a + rq * f.s), f.d22 = f.t * (rq * f.c - f.s * f.a);
        f.k21 = -(f.t * f.g), f.k22 = f.Q * f.k * f.u, f.k23 = -(f.t * f.Q * f.G2);
    }
    f.e1 = (q.d0 + f.R) + f.rho * f.k13;
    f.e2 = (q.z0 - v.z) + f.t * f.Q * f.k;
    f.e3 = rq - p.phi, f.e4 = -p.theta, f.e5 = -p.rho;
    f.y1 = (f.e1 + f.k13 * p.rho) - f.k11 * f.e3;
    f.y2 = (f.e2 - f.k21 * f.e3) + (f.k22 * p.theta + f.k23 * p.rho);
    f.project(cov);
    return f;
}

// body(i, p, f) for each own track, with its momentum p = momentum(i), linearised at v. Some tracks are aimed first and then finished: the
// processor sees a hundred instructions ahead, and the second track's division need not wait for the first one's sums.
template <bool Approximate, class T, class Tracks, class Momenta, class Body>
ENGINE_INLINE void each_linearised(Tracks& tracks, const Vector<T>& v, bool fresh, Momenta momentum, Body body) {
    constexpr int block = Tracks::block, every = Tracks::every;
    for (int from = tracks.mine; from < tracks.longest; from += block * every) {
        Aim<T> aims[block];
        Momentum<T> p[block];
        const int to = tracks.longest < from + block * every ? tracks.longest : from + block * every;
        for (int i = from, k = 0; i < to; i += every, ++k) p[k] = momentum(i), aims[k] = Aim<T>(tracks.q(i), v, p[k], fresh);
        for (int i = from, k = 0; i < to; i += every, ++k)
            body(i, p[k], linearise<Approximate>(aims[k], tracks.q(i), tracks.covariance(i), v, p[k], tracks.frame.t));
    }
}

// The best momentum at the vertex v + step, to first order: here + (turn, 0, 0) - X^T W D step.
template <class T> struct Motion {
    Momentum<T> here;
    Vector<T> a, b;  // X^T W
    T d11, d12, d21, d22, turn_x, turn_y;
    ENGINE_INLINE Momentum<T> after(const Vector<T>& step) const {
        const T s1 = d11 * step.x + d12 * step.y, s2 = (step.z + d21 * step.x) + d22 * step.y;
        return {((here.phi + turn_x * step.x) + turn_y * step.y) - (a.x * s1 + b.x * s2), here.theta - (a.y * s1 + b.y * s2), here.rho - (a.z * s1 + b.z * s2)};
    }
};

// `down` is D^T l. It gains what it does when the momentum moves to its best value at this vertex, to first order in that distance and
// without curvature: D changes. Without it the vertex lags an iteration behind the momenta and takes twice as many. Only near the
// solution, where the residuals are small; at the solution it vanishes.
template <bool Approximate, class T, class Off>
ENGINE_INLINE Motion<T> motion(const Linear<T, Off>& f, const T& l1, const T& l2, const Momentum<T>& p, mask_t<T> near, Vector<T>& down) {
    const Vector<T> best = f.pulled(l1, l2);
    const T turn = (f.e3 - f.Q * p.rho) + best.x, ik = Approximate ? constant<T>(1) : f.ik;
    Motion<T> m{{p.phi + turn * ik, best.y, best.z}, f.pulled(f.w11, f.w12), f.pulled(f.w12, f.w22), f.d11, f.d12, f.d21, f.d22, {}, {}};
    const T along = f.rho * ik;
    m.turn_x = along * f.c, m.turn_y = along * f.s;
    m.a.x = m.a.x * ik, m.b.x = m.b.x * ik;
    if constexpr (!Approximate) {
        const T e = l1 * turn + l2 * f.u * (best.y - p.theta), across = l2 * f.t * (turn - f.Q * (best.z - p.rho));
        down.x += select<T>(near, f.c * e + f.s * across, T{});
        down.y += select<T>(near, f.s * e - f.c * across, T{});
    }
    return m;
}

}  // namespace engine
