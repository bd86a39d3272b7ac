// The vertex fit's mathematics, shared by the C++ and the CUDA kernel. Units: mm, rad, 1/mm.
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

#include "../lanes.h"

namespace engine {

template <class T> struct Symmetric { T a11{}, a12{}, a13{}, a22{}, a23{}, a33{}; };
template <class T> struct Vector { T x{}, y{}, z{}; };

// L D L^T factors of a symmetric matrix, eliminated in the order 3, 2, 1; the direction of the jet is 1, its pivot comes last.
template <class T> struct Factors {
    T i3, m1, m2, i2, n, pivot2, pivot1, i1;
    ENGINE_INLINE explicit Factors(const Symmetric<T>& m) {
        i3 = constant<T>(1) / m.a33;
        m1 = m.a13 * i3;
        m2 = m.a23 * i3;
        pivot2 = m.a22 - m.a23 * m2;
        T a12 = m.a12 - m.a13 * m2;
        i2 = constant<T>(1) / pivot2;
        n = a12 * i2;
        pivot1 = (m.a11 - m.a13 * m1) - a12 * n;
        i1 = constant<T>(1) / pivot1;
    }
    ENGINE_INLINE Vector<T> solve(const Vector<T>& b) const {
        T b2 = b.y - m2 * b.z;
        T x1 = (b.x - m1 * b.z - n * b2) * i1;
        T x2 = b2 * i2 - n * x1;
        return {x1, x2, b.z * i3 - m1 * x1 - m2 * x2};
    }
    ENGINE_INLINE Symmetric<T> inverse() const {
        T l31 = m2 * n - m1;  // the third row of L^-1 is (l31, -m2, 1) in the order of elimination
        Symmetric<T> c;
        c.a11 = i1;
        c.a12 = -n * i1;
        c.a13 = l31 * i1;
        c.a22 = i2 + n * n * i1;
        c.a23 = -m2 * i2 - n * l31 * i1;
        c.a33 = i3 + m2 * m2 * i2 + l31 * l31 * i1;
        return c;
    }
};

template <class T> ENGINE_INLINE Vector<T> operator*(const Symmetric<T>& m, const Vector<T>& v) {
    return {m.a11 * v.x + m.a12 * v.y + m.a13 * v.z, m.a12 * v.x + m.a22 * v.y + m.a23 * v.z, m.a13 * v.x + m.a23 * v.y + m.a33 * v.z};
}
template <class T> ENGINE_INLINE T dot(const Vector<T>& a, const Vector<T>& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

// A M A^T for a matrix given by its three rows.
template <class T> ENGINE_INLINE Symmetric<T> congruent(const Vector<T>& r1, const Vector<T>& r2, const Vector<T>& r3, const Symmetric<T>& m) {
    Vector<T> m1 = m * r1, m2 = m * r2, m3 = m * r3;
    return {dot(r1, m1), dot(r1, m2), dot(r1, m3), dot(r2, m2), dot(r2, m3), dot(r3, m3)};
}
template <class T> ENGINE_INLINE Vector<T> row1(const Symmetric<T>& m) { return {m.a11, m.a12, m.a13}; }
template <class T> ENGINE_INLINE Vector<T> row2(const Symmetric<T>& m) { return {m.a12, m.a22, m.a23}; }
template <class T> ENGINE_INLINE Vector<T> row3(const Symmetric<T>& m) { return {m.a13, m.a23, m.a33}; }

// a M b + b M a for symmetric a, M, b; and a M a.
template <class T> ENGINE_INLINE Symmetric<T> sandwich(const Symmetric<T>& a, const Symmetric<T>& m) { return congruent(row1(a), row2(a), row3(a), m); }

// The frame of a problem: U has the columns b1, b2, b3 in the laboratory.
template <class T> struct Frame {
    T c, s, t, phi, z;
    ENGINE_INLINE Vector<T> point_in(const Vector<T>& v) const { return {c * v.x + s * v.y, c * v.y - s * v.x, v.z - z}; }
    ENGINE_INLINE Vector<T> point_out(const Vector<T>& v) const { return {c * v.x - s * v.y, s * v.x + c * v.y, v.z + z}; }
    ENGINE_INLINE Vector<T> covector_in(const Vector<T>& v) const { return {c * v.x + s * v.y + t * v.z, c * v.y - s * v.x, v.z}; }      // U^T v
    ENGINE_INLINE Vector<T> vector_out(const Vector<T>& v) const { return {c * v.x - s * v.y, s * v.x + c * v.y, v.z + t * v.x}; }        // U v
    ENGINE_INLINE Vector<T> covector_out(const Vector<T>& v) const {  // U^-T v
        T x = v.x - t * v.z;
        return {c * x - s * v.y, s * x + c * v.y, v.z};
    }
    ENGINE_INLINE Symmetric<T> matrix_in(const Symmetric<T>& m) const {  // U^T m U
        T o{};
        return congruent<T>({c, s, t}, {-s, c, o}, {o, o, constant<T>(1)}, m);
    }
    ENGINE_INLINE Symmetric<T> matrix_out(const Symmetric<T>& m) const {  // U m U^T
        T o{};
        return congruent<T>({c, -s, o}, {s, c, o}, {t, o, constant<T>(1)}, m);
    }
};

// A track at the vertex, counted from its measured direction and curvature.
template <class T> struct Momentum { T phi, theta, rho; };

// A measured track in the frame of its problem: sine and cosine of phi0, cotangent t of theta0.
template <class T> struct Helix { T d0, z0, s, c, t, rho; };

// Zero at compile time: what it multiplies is not computed.
struct Zero {
    template <class T> friend ENGINE_INLINE Zero operator*(Zero, const T&) { return {}; }
    template <class T> friend ENGINE_INLINE const T& operator+(Zero, const T& b) { return b; }
    template <class T> friend ENGINE_INLINE const T& operator-(const T& b, Zero) { return b; }
};

template <class T> ENGINE_INLINE T corner(Zero) { return T{}; }
template <class T> ENGINE_INLINE T corner(const T& value) { return value; }

// The covariance of a track, variances alone or the whole upper triangle row by row, and its projections.
template <class T> struct Diagonal {
    static constexpr int size = 5;
    using Corner = Zero;
    T v[5];
};
template <class T> struct Full {
    static constexpr int size = 15;
    using Corner = T;
    T v[15];
};

// A track linearised at (v, p): G2 = rho Q^2/k, g = R + G2, a = 1 + rho G2; K12 = 0. The row of D for h1 has no z, that for h2 has 1 there.
template <class T, class Corner> struct Linear {
    T s, c, Q, ik, e1, e2, e3, e4, e5, y1, y2, d11, d12, d21, d22;
    T w11, w12, w22, x11, x13, x21, x22, x23;  // W and X = -N^T V E, E the last three columns of 1
    Corner x12;
    T t, u, R, k, G2, g, a, rho, k11, k13, k21, k22, k23, scale;
};

template <class T> ENGINE_INLINE void project(Linear<T, Zero>& f, const Diagonal<T>& cov) {
    const T* v = cov.v;
    f.x11 = f.k11 * v[2];
    f.x13 = f.k13 * v[4];
    f.x21 = f.k21 * v[2];
    f.x22 = f.k22 * v[3];
    f.x23 = f.k23 * v[4];
    f.w22 = v[0] + f.x11 * f.k11 + f.x13 * f.k13;
    f.w12 = f.x11 * f.k21 + f.x13 * f.k23;
    f.w11 = (v[1] + f.x22 * f.k22) + (f.x21 * f.k21 + f.x23 * f.k23);
}

template <class T> ENGINE_INLINE void project(Linear<T, T>& f, const Full<T>& cov) {
    const T* v = cov.v;  // 11 12 13 14 15 22 23 24 25 33 34 35 44 45 55
    f.x11 = f.k11 * v[9] + f.k13 * v[11] - v[2];
    f.x12 = f.k11 * v[10] + f.k13 * v[13] - v[3];
    f.x13 = f.k11 * v[11] + f.k13 * v[14] - v[4];
    f.x21 = f.k21 * v[9] + f.k22 * v[10] + f.k23 * v[11] - v[6];
    f.x22 = f.k21 * v[10] + f.k22 * v[12] + f.k23 * v[13] - v[7];
    f.x23 = f.k21 * v[11] + f.k22 * v[13] + f.k23 * v[14] - v[8];
    f.w22 = (v[0] - f.k11 * v[2] - f.k13 * v[4]) + f.x11 * f.k11 + f.x13 * f.k13;
    f.w12 = (v[1] - f.k11 * v[6] - f.k13 * v[8]) + f.x11 * f.k21 + f.x12 * f.k22 + f.x13 * f.k23;
    f.w11 = (v[5] - f.k21 * v[6] - f.k22 * v[7] - f.k23 * v[8]) + f.x21 * f.k21 + f.x22 * f.k22 + f.x23 * f.k23;
}

// The posterior covariance of p' at a fixed vertex: V345 - X^T W X, in the order of Symmetric.
template <class T> ENGINE_INLINE Symmetric<T> block345(const Diagonal<T>& c) { return {c.v[2], T{}, T{}, c.v[3], T{}, c.v[4]}; }
template <class T> ENGINE_INLINE Symmetric<T> block345(const Full<T>& c) { return {c.v[9], c.v[10], c.v[11], c.v[12], c.v[13], c.v[14]}; }

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
template <bool Approximate, class T, class C>
ENGINE_INLINE Linear<T, typename C::Corner> linearise(const Aim<T>& a, const Helix<T>& q, const C& cov, const Vector<T>& v, const Momentum<T>& p, const T& reference_t) {
    Linear<T, typename C::Corner> f;
    const T one = constant<T>(1), half = constant<T>(0.5);
    f.s = a.s, f.c = a.c, f.t = a.t, f.rho = a.rho, f.Q = a.Q, f.R = a.R, f.k = a.k, f.ik = a.ik;
    f.u = one + f.t * f.t;
    T rq = f.rho * f.Q;
    f.G2 = rq * f.Q * f.ik;
    f.g = f.R + f.G2;
    f.a = one + f.rho * f.G2;
    f.k11 = f.Q;
    f.k13 = half * f.Q * f.Q;
    if constexpr (Approximate) {
        T stretch = f.t * (one + f.rho * f.R);
        f.d11 = f.s + rq * f.c;
        f.d12 = rq * f.s - f.c;
        f.d21 = reference_t - stretch * f.c;
        f.d22 = -(stretch * f.s);
        f.k21 = -(f.t * f.R);
        f.k22 = f.Q * f.u;
        f.k23 = T{};
    } else {
        f.d11 = f.s;
        f.d12 = -f.c;
        f.d21 = reference_t - f.t * (f.c * f.a + rq * f.s);
        f.d22 = f.t * (rq * f.c - f.s * f.a);
        f.k21 = -(f.t * f.g);
        f.k22 = f.Q * f.k * f.u;
        f.k23 = -(f.t * f.Q * f.G2);
    }
    f.e1 = (q.d0 + f.R) + f.rho * f.k13;
    f.e2 = (q.z0 - v.z) + f.t * f.Q * f.k;
    f.e3 = rq - p.phi;
    f.e4 = -p.theta;
    f.e5 = -p.rho;
    f.y1 = (f.e1 + f.k13 * p.rho) - f.k11 * f.e3;
    f.y2 = (f.e2 - f.k21 * f.e3) + (f.k22 * p.theta + f.k23 * p.rho);
    project(f, cov);  // leaves the adjugate of C2 in w
    f.scale = one / T(f.w22 * f.w11 - f.w12 * f.w12);
    return f;
}

template <bool Approximate, class T, class C>
ENGINE_INLINE Linear<T, typename C::Corner> linearise(const Helix<T>& q, const C& cov, const Vector<T>& v, const Momentum<T>& p, const T& reference_t) {
    return linearise<Approximate>(Aim<T>(q, v, p), q, cov, v, p, reference_t);
}

// W D and the multipliers l = W y; the columns for z are those of W.
template <class T> struct Weighed {
    T r11, r12, r21, r22, l1, l2;
    // Takes the adjugate of C2 in w to W; its determinant comes late, the products with the adjugate do not wait for the division.
    template <class L> ENGINE_INLINE explicit Weighed(L& f) {
        T a11 = f.w11 * f.d11 - f.w12 * f.d21, a12 = f.w11 * f.d12 - f.w12 * f.d22, a21 = f.w22 * f.d21 - f.w12 * f.d11, a22 = f.w22 * f.d22 - f.w12 * f.d12;
        T b1 = f.w11 * f.y1 - f.w12 * f.y2, b2 = f.w22 * f.y2 - f.w12 * f.y1;
        r11 = a11 * f.scale, r12 = a12 * f.scale, r21 = a21 * f.scale, r22 = a22 * f.scale, l1 = b1 * f.scale, l2 = b2 * f.scale;
        f.w11 = f.w11 * f.scale, f.w22 = f.w22 * f.scale, f.w12 = -(f.w12 * f.scale);
    }
    // D^T W D and D^T l.
    template <class L> ENGINE_INLINE Symmetric<T> information(const L& f) const {
        return {f.d11 * r11 + f.d21 * r21, f.d11 * r12 + f.d21 * r22, r21, f.d12 * r12 + f.d22 * r22, r22, f.w22};
    }
    template <class L> ENGINE_INLINE Vector<T> force(const L& f) const { return {f.d11 * l1 + f.d21 * l2, f.d12 * l1 + f.d22 * l2, l2}; }
};

// The best momentum at the vertex v + step is here - (phi, theta, rho) step, to first order.
template <class T> struct Motion {
    Momentum<T> here;
    Vector<T> phi, theta, rho;
    ENGINE_INLINE Momentum<T> after(const Vector<T>& step) const {
        return {(here.phi - phi.x * step.x) - (phi.y * step.y + phi.z * step.z), (here.theta - theta.x * step.x) - (theta.y * step.y + theta.z * step.z),
                (here.rho - rho.x * step.x) - (rho.y * step.y + rho.z * step.z)};
    }
};

// `down` is D^T l. It gains what it does when the momentum moves to its best value at this vertex, to first order in that distance and
// without curvature: D changes. Without it the vertex lags an iteration behind the momenta and takes twice as many. Only near the
// solution, where the residuals are small; at the solution it vanishes.
template <bool Approximate, class T, class Corner>
ENGINE_INLINE Motion<T> motion(const Linear<T, Corner>& f, const Weighed<T>& w, const Momentum<T>& p, mask_t<T> near, Vector<T>& down) {
    Motion<T> m;
    m.here.rho = f.x13 * w.l1 + f.x23 * w.l2;
    m.here.theta = f.x12 * w.l1 + f.x22 * w.l2;
    T n = f.e3 + f.x11 * w.l1 + f.x21 * w.l2, turn = n + f.Q * (m.here.rho - p.rho);
    m.rho = {f.x13 * w.r11 + f.x23 * w.r21, f.x13 * w.r12 + f.x23 * w.r22, f.x13 * f.w12 + f.x23 * f.w22};
    m.theta = {f.x12 * w.r11 + f.x22 * w.r21, f.x12 * w.r12 + f.x22 * w.r22, f.x12 * f.w12 + f.x22 * f.w22};
    m.phi = {f.x11 * w.r11 + f.x21 * w.r21 + f.Q * m.rho.x - f.rho * f.c, f.x11 * w.r12 + f.x21 * w.r22 + f.Q * m.rho.y - f.rho * f.s,
             f.x11 * f.w12 + f.x21 * f.w22 + f.Q * m.rho.z};
    if constexpr (Approximate) {
        m.here.phi = p.phi + turn;
    } else {
        m.here.phi = p.phi + turn * f.ik;
        m.phi = {m.phi.x * f.ik, m.phi.y * f.ik, m.phi.z * f.ik};
        T e = w.l1 * turn + w.l2 * f.u * (m.here.theta - p.theta), across = w.l2 * f.t * n;
        down.x += select<T>(near, f.c * e + f.s * across, T{});
        down.y += select<T>(near, f.s * e - f.c * across, T{});
    }
    return m;
}

template <class T> ENGINE_INLINE void accumulate(Symmetric<T>& sum, const T& w, const Symmetric<T>& m) {
    sum.a11 += w * m.a11;
    sum.a12 += w * m.a12;
    sum.a13 += w * m.a13;
    sum.a22 += w * m.a22;
    sum.a23 += w * m.a23;
    sum.a33 += w * m.a33;
}

}  // namespace engine
