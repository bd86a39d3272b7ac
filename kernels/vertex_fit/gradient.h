// Derivatives of the fit's result by the implicit function theorem, for any lane type.
//
// The objective's second derivatives in (v, p') are J^T G J - L, with L = l1 h1'' + l2 h2'' (the other rows of h are linear in p').
// With S = V345 - X^T W X (covariance of p' at fixed v), Y = -X^T W D, Z = L_pv + L_pp Y and H = (1 - S L_pp)^-1 S a track adds
//   D^T W D - L_vv - Y^T L_pv - Z^T J,   J = Y + H Z = dp'/dv,
// to the exact normal matrix A. For cotangents c_v and c_p the adjoint state is lambda = A^-1 (c_v + sum J^T c_p), m = w J lambda + H c_p,
//   c = w L_pv lambda + L_pp m + c_p,  a = -W (X c + w D lambda),  u = (-a, K^T a + c):
// u is the gradient with respect to q, and -(u l^T + l u^T)/2 the one with respect to V.
//
// A track writes them in its own one-forms: e = (c, s) dv along it, m = (-s, c) dv across, z; n = dphi0 + Q drho, o = dtheta, r = drho.
// There D = (0, -1, 0), (d, x, 1), and nothing depends on z a second time.
#pragma once

#include "fit.h"

namespace engine {

// A quadratic form: of (e, m) (mm = 0), of e and m with (n, o, r), of (n, o, r).
template <class T> struct Form {
    T ee, em;
    Vector<T> e, m;
    Symmetric<T> p;
};

// alpha1 h1'' + alpha2 h2'' at fixed (v, p').
template <class T, class L> ENGINE_INLINE Form<T> curvature(const L& f, const T& alpha1, const T& alpha2) {
    const T k1 = alpha1 * f.ik, k2 = -alpha2 * f.t, v = alpha2 * f.u, rq = f.rho * f.Q, one = constant<T>(1);
    const T A = (f.Q * f.Q + f.G2 * f.R) * f.ik, B = (rq + rq) * f.ik, C = f.rho * f.G2 * f.ik;
    const T E = (B - C * rq) * f.ik, N = (B * f.R - C * f.Q) * f.ik, k3 = k2 * f.rho;
    Form<T> h;
    h.ee = k1 * f.rho + k3 * (E + rq * f.ik), h.em = k3 * C;
    h.e = {k1 + k3 * (N + f.Q * f.ik), v * f.a, k2 * f.G2 * (one + f.ik)}, h.m = {k2 * (one + C), -v * rq, -k2 * f.Q};
    h.p = {k1 * f.R + k2 * (N - f.Q * f.ik), v * f.g, k2 * A, -(v + v) * f.t * f.Q * f.k, -v * f.Q * f.R, T{}};
    return h;
}

// Less kappa phi'': phi'' = [e r + r dQ + rho m f + f (rho dR + R r)]/k with f = (rho e + n)/k, dQ = (e + R n)/k, dR = m - Q f.
template <class T, class L> ENGINE_INLINE void subtract_turning(Form<T>& h, const L& f, const T& kappa) {
    const T once = kappa * f.ik * f.ik, cubed = once * f.ik * f.rho * f.Q;
    h.ee += cubed * f.rho * f.rho;
    h.em -= once * f.rho * f.rho;
    h.e.x += cubed * f.rho, h.e.z -= once;
    h.m.x -= once * f.rho;
    h.p.a11 += cubed, h.p.a13 -= once * f.R;
}

// H = (1 - S L)^-1 S: symmetric, S itself where the second derivatives vanish.
template <class T> ENGINE_INLINE Symmetric<T> stiffened(const Symmetric<T>& s, const Symmetric<T>& l) {
    const T one = constant<T>(1);
    const Vector<T> c1 = l * s.row1(), c2 = l * s.row2(), c3 = l * s.row3();
    const Vector<T> f1{one - c1.x, -c1.y, -c1.z}, f2{-c2.x, one - c2.y, -c2.z}, f3{-c3.x, -c3.y, one - c3.z};
    const Vector<T> g1 = cross(f2, f3), g2 = cross(f3, f1), g3 = cross(f1, f2);  // the columns of the adjugate
    const T d = one / dot(f1, g1);
    const Vector<T> r1{g1.x * d, g2.x * d, g3.x * d}, r2{g1.y * d, g2.y * d, g3.y * d}, r3{g1.z * d, g2.z * d, g3.z * d};
    return {dot(r1, s.row1()), dot(r1, s.row2()), dot(r1, s.row3()), dot(r2, s.row2()), dot(r2, s.row3()), dot(r3, s.row3())};
}

// Cotangents of the whole problem, in the basis b; gamma_m and gamma_s: those of M and of the sum of w^2 D^T W D (covariance only).
template <class T> struct Cotangents {
    Vector<T> vertex;
    T chi2{};
    bool covariance = false;
    Symmetric<T> gamma_m, gamma_s;
};

// From the cotangent of the covariance, in gamma_m, to those of the normal matrix and its spread: C = M^-1 B M^-1, or C = M^-1.
template <class T> ENGINE_INLINE void differentiate_covariance(Cotangents<T>& ct, const Symmetric<T>& m, const Symmetric<T>& spread, bool robust) {
    const Symmetric<T> inverse = Factors<T>(m).inverse(), gamma = sandwich(inverse, ct.gamma_m);  // M^-1 Cbar M^-1
    ct.gamma_m = Symmetric<T>{};
    if (!robust) return add(ct.gamma_m, constant<T>(-1), gamma);
    ct.gamma_s = gamma;  // Mbar = -(gamma B M^-1 + its transpose)
    const Vector<T> p1 = inverse * (spread * gamma.row1()), p2 = inverse * (spread * gamma.row2()), p3 = inverse * (spread * gamma.row3());
    ct.gamma_m = {-(p1.x + p1.x), -(p1.y + p2.x), -(p1.z + p3.x), -(p2.y + p2.y), -(p2.z + p3.y), -(p3.z + p3.z)};
}

// What a track adds to the exact problem, and what its gradient needs.
template <class T> struct Response {
    T c, s, Q, k13, k21, k22, k23, w11, w12, w22;  // of the linearised track
    T w, l1, l2, d, x, chi2, direct{};             // direct: of the covariance on the weight
    Vector<T> force, x1, x2, ce, cm, cz, cp;       // c: the columns of -J
    Symmetric<T> stiff;
    Form<T> h;
    T omega11{}, omega12{}, omega22{};
};

// Gradient of <Gamma, D^T W D> at fixed (v, p') into omega, and through D and K into cp and the cotangent `push` of v.
template <class T, class L> ENGINE_INLINE void covariance_part(Response<T>& r, const L& f, const Cotangents<T>& ct, Vector<T>& push) {
    const T two = constant<T>(2), zero{}, one = constant<T>(1);
    const Symmetric<T> part = f.unscaled();
    r.direct = f.scale * T(inner(ct.gamma_m, part) + two * r.w * inner(ct.gamma_s, part));
    Symmetric<T> sum;
    add(sum, r.w, ct.gamma_m);
    add(sum, T(r.w * r.w), ct.gamma_s);
    const Symmetric<T> gamma = matrix_turned_back(f.c, T(-f.s), sum);
    const Vector<T> g2 = gamma.row1() * r.d + gamma.row2() * r.x + gamma.row3();  // D Gamma: -row2 of Gamma, and this
    const T q11 = gamma.a22, q12 = -g2.y, q22 = r.d * g2.x + r.x * g2.y + g2.z;   // D Gamma D^T
    const T p11 = f.w11 * q11 + f.w12 * q12, p12 = f.w11 * q12 + f.w12 * q22, p21 = f.w12 * q11 + f.w22 * q12, p22 = f.w12 * q12 + f.w22 * q22;
    r.omega11 = -(p11 * f.w11 + p12 * f.w12), r.omega12 = -(p11 * f.w12 + p12 * f.w22), r.omega22 = -(p21 * f.w12 + p22 * f.w22);
    for (int row = 0; row < 2; ++row) {
        const T wa = row ? f.w12 : f.w11, wb = row ? f.w22 : f.w12, oa = row ? r.omega12 : r.omega11, ob = row ? r.omega22 : r.omega12;
        const T e = two * T(wb * g2.x - wa * gamma.a12), m = two * T(wb * g2.y - wa * gamma.a22);  // the cotangent of this row of D
        const Vector<T> p = r.x1 * T(two * oa) + r.x2 * T(two * ob);                              // and of K
        const Form<T> h = curvature(f, row ? zero : one, row ? one : zero);
        push.x += (h.ee * e + h.em * m) + dot(h.e, p), push.y += h.em * e + dot(h.m, p);
        const Vector<T> along = h.e * e + h.m * m, turn = h.p * p;
        r.cp = r.cp + along + turn;
    }
}

// Adds a track to the exact normal matrix and, where more than the weights is asked for (Whole), to the right-hand side of the adjoint problem.
template <bool Approximate, bool Whole, class T, class Off>
ENGINE_INLINE Response<T> respond(const Linear<T, Off>& f, const Covariance<T, Off>& v, const T& w, const Momentum<T>& ct_p, const Cotangents<T>& ct,
                                  Symmetric<T>& exact, Vector<T>& rhs) {
    Response<T> r;
    r.c = f.c, r.s = f.s, r.Q = f.Q, r.k13 = f.k13, r.k21 = f.k21, r.k22 = f.k22, r.k23 = f.k23, r.w11 = f.w11, r.w12 = f.w12, r.w22 = f.w22;
    r.w = w, r.d = f.d21 * f.c + f.d22 * f.s, r.x = f.d22 * f.c - f.d21 * f.s;
    r.l1 = f.l1(), r.l2 = f.l2();
    r.x1 = f.row1(), r.x2 = f.row2();
    Vector<T> excess;
    if constexpr (Approximate) {  // p is not at its minimum: the multipliers are those of the residuals themselves
        r.l1 = f.e1 / v.v11, r.l2 = f.e2 / v.v22;
        const T phi = f.e3 / v.v33 + (f.k11 * r.l1 + f.k21 * r.l2), rho = f.e5 / v.v55 + (f.k13 * r.l1 + f.k23 * r.l2);
        excess = {phi, f.e4 / v.v44 + f.k22 * r.l2, rho - f.Q * phi};
    }
    r.h = curvature(f, r.l1, r.l2);
    if constexpr (Approximate) subtract_turning(r.h, f, T(f.k * excess.x));
    const Vector<T> a = f.pulled(f.w11, f.w12), bz = f.pulled(f.w12, f.w22), bm = bz * r.x - a;  // a = X^T W, b = X^T W D (be = d bz)
    const T swept = f.Q * v.v55 + v.v35;
    const Symmetric<T> block{(v.v33 + f.Q * v.v35) + f.Q * swept, v.v34 + f.Q * v.v45, swept, v.v44, v.v45, v.v55};
    r.stiff = stiffened(less(less(block, r.x1, a), r.x2, bz), r.h.p);
    const Vector<T> lz = r.h.p * bz, zm = r.h.m - r.h.p * bm, ze = r.h.e - lz * r.d;  // the columns of Z; lz is minus the third
    r.ce = bz * r.d - r.stiff * ze, r.cm = bm - r.stiff * zm, r.cz = bz + r.stiff * lz;
    const T ez = f.w22 * r.d, mz = f.w22 * r.x - f.w12, top = f.w12 * r.x - f.w11;  // of W D
    const T ee = (r.d * T(ez + dot(bz, r.h.e)) - r.h.ee) + dot(ze, r.ce), em = (r.d * T(mz + dot(bz, r.h.m)) - r.h.em) + dot(ze, r.cm);
    const T mm = (r.x * mz - top) + dot(bm, r.h.m) + dot(zm, r.cm);
    add(exact, w, matrix_turned_back<T>(f.c, f.s, {ee, em, ez + dot(ze, r.cz), mm, mz + dot(zm, r.cz), f.w22 - dot(lz, r.cz)}));
    r.force = {r.d * r.l2, r.x * r.l2 - r.l1, r.l2}, r.chi2 = r.l1 * f.y1 + r.l2 * f.y2;
    if constexpr (Approximate) r.force = r.force - vector(dot(r.ce, excess), dot(r.cm, excess), dot(r.cz, excess));
    if constexpr (Whole) {
        r.cp = {ct_p.phi * f.ik, ct_p.theta, ct_p.rho};
        Vector<T> push{r.cp.x * f.rho, T{}, T{}};
        if (ct.covariance) covariance_part(r, f, ct, push);
        rhs = rhs + turned_back<T>(f.c, f.s, push - vector(dot(r.ce, r.cp), dot(r.cm, r.cp), dot(r.cz, r.cp)));
    }
    return r;
}

// The gradients of a track: of its weight, and where `whole` also of its parameters and of the entries of its covariance.
template <class T, class C> struct Gradient {
    T w, q[5], v[C::size];
    Gradient() = default;
    ENGINE_INLINE Gradient(const Response<T>& r, const Vector<T>& lambda, const Cotangents<T>& ct, bool whole) {
        const Vector<T> at = turned(r.c, r.s, lambda);
        w = (dot(r.force, at) + ct.chi2 * r.chi2) + r.direct;
        for (int k = 0; !whole && k < 5; ++k) q[k] = T{};
        for (int k = 0; !whole && k < C::size; ++k) v[k] = T{};
        if (!whole) return;
        const Vector<T> j = (r.ce * at.x + r.cm * at.y) + r.cz * at.z, m = r.stiff * r.cp - j * r.w;
        const Vector<T> direct = r.h.e * at.x + r.h.m * at.y, c = (r.h.p * m + r.cp) + direct * r.w;
        const T s1 = dot(r.x1, c) - r.w * at.y, s2 = dot(r.x2, c) + r.w * T((at.z + r.d * at.x) + r.x * at.y);
        const T a1 = -(r.w11 * s1 + r.w12 * s2), a2 = -(r.w12 * s1 + r.w22 * s2), wg = r.w * ct.chi2, half = constant<T>(-0.5), one = constant<T>(1);
        T u[5] = {-a1, -a2, (c.x + r.Q * a1) + r.k21 * a2, c.y + r.k22 * a2, ((c.z + r.Q * c.x) + r.k13 * a1) + r.k23 * a2};
        const T l[5] = {r.l1, r.l2, -(r.Q * r.l1 + r.k21 * r.l2), -(r.k22 * r.l2), -(r.k13 * r.l1 + r.k23 * r.l2)};
        for (int i = 0; i < 5; ++i) u[i] = u[i] + wg * l[i], q[i] = u[i] + wg * l[i];
        const T n1[5] = {one, T{}, -r.Q, T{}, -r.k13}, n2[5] = {T{}, one, -r.k21, -r.k22, -r.k23};
        for (int k = 0; k < C::size; ++k) {
            const int i = C::full ? C::upper(k) / 5 : k, j = C::full ? C::upper(k) % 5 : k;
            v[k] = half * T(u[i] * l[j] + u[j] * l[i]);
            if (ct.covariance) v[k] += (r.omega11 * n1[i] * n1[j] + r.omega22 * n2[i] * n2[j]) + r.omega12 * T(n1[i] * n2[j] + n2[i] * n1[j]);
        }
    }
    ENGINE_INLINE mask_t<T> all_finite() const {
        T sum = w * T{};
        for (int k = 0; k < 5; ++k) sum += q[k] * T{};
        for (int k = 0; k < C::size; ++k) sum += v[k] * T{};
        return sum == T{};
    }
};

// Gradients with respect to the prior's position and information, in the laboratory.
template <class T>
ENGINE_INLINE void prior_gradient(const Frame<T>& frame, const Prior<T>& prior, const Vector<T>& v, const Vector<T>& lambda, const Cotangents<T>& ct,
                                  Vector<T>& position, Symmetric<T>& information) {
    const Vector<T> d = prior.distance(v, frame.t), push = lambda + d * T(ct.chi2 + ct.chi2);
    position = frame.covector_out(prior.information * push);
    const Vector<T> a = frame.vector_out(d), l = frame.vector_out(lambda);
    // d (l + chi2_bar d)^T, made symmetric.
    const Vector<T> b = l + a * ct.chi2;
    const T half = constant<T>(0.5);
    information = {a.x * b.x, half * T(a.x * b.y + a.y * b.x), half * T(a.x * b.z + a.z * b.x), a.y * b.y, half * T(a.y * b.z + a.z * b.y), a.z * b.z};
    if (!ct.covariance) return;
    add(information, constant<T>(1), frame.matrix_out(ct.gamma_m));
    add(information, constant<T>(1), frame.matrix_out(ct.gamma_s));
}

}  // namespace engine
