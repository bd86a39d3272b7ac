// Derivatives of the fit's result by the implicit function theorem, for any lane type.
//
// The objective's second derivatives in (v, p') are J^T G J - L, with L = l1 h1'' + l2 h2'' (the other rows of h are linear in p').
// With S = V345 - X^T W X (covariance of p' at fixed v), Y = X^T W D, Z = L_pv + L_pp Y and H = (1 - S L_pp)^-1 S a track adds
//   D^T W D - L_vv - Y^T L_pv - Z^T J,   J = Y + H Z = dp'/dv,
// to the exact normal matrix A. For cotangents c_v and c_p the adjoint state is lambda = A^-1 (c_v + sum J^T c_p), m = w J lambda + H c_p,
//   c = w L_pv lambda + L_pp m + c_p,  a = W (X c - w D lambda),  u = (-a, K^T a + c):
// u is the gradient with respect to q, and -(u l^T + l u^T)/2 the one with respect to V.
#pragma once

#include "fit.h"

namespace engine {

// A quadratic form in the one-forms e = (c, s) dv, m = (-s, c) dv, n = dphi0 + Q drho, r = drho, o = dtheta (mm = rr = 0).
template <class T> struct Form {
    T ee, em, en, er, mn, mr, nn, nr, oe, om, on, orr, oo;
};

// alpha1 h1'' + alpha2 h2'' at fixed (v, p').
template <class T, class L> ENGINE_INLINE Form<T> curvature(const L& f, T alpha1, T alpha2) {
    T k1 = alpha1 * f.ik, k2 = -alpha2 * f.t, v = alpha2 * f.u, rq = f.rho * f.Q;
    T A = (f.Q * f.Q + f.G2 * f.R) * f.ik, B = (rq + rq) * f.ik, C = f.rho * f.G2 * f.ik;
    T E = (B - C * rq) * f.ik, N = (B * f.R - C * f.Q) * f.ik;
    Form<T> h;
    h.ee = k1 * f.rho + k2 * f.rho * (E + rq * f.ik);
    h.em = k2 * f.rho * C;
    h.en = k1 + k2 * f.rho * (N + f.Q * f.ik);
    h.er = k2 * f.G2 * (constant<T>(1) + f.ik);
    h.mn = k2 * (constant<T>(1) + C);
    h.mr = -k2 * f.Q;
    h.nn = k1 * f.R + k2 * (N - f.Q * f.ik);
    h.nr = k2 * A;
    h.oe = v * f.a;
    h.om = -v * rq;
    h.on = v * f.g;
    h.orr = -v * f.Q * f.R;
    h.oo = -(constant<T>(2) * v) * f.t * f.Q * f.k;
    return h;
}

template <class T, class L> ENGINE_INLINE void subtract_turning(Form<T>& h, const L& f, T kappa) {
    // phi'' = [e r + r dQ + rho m f + f (rho dR + R r)]/k with f = (rho e + n)/k, dQ = (e + R n)/k, dR = m - Q f
    T i2 = f.ik * f.ik, rq = f.rho * f.Q;
    h.ee += kappa * rq * f.rho * f.rho * i2 * f.ik;
    h.em -= kappa * f.rho * f.rho * i2;
    h.en += kappa * rq * f.rho * i2 * f.ik;
    h.er -= kappa * i2;
    h.mn -= kappa * f.rho * i2;
    h.nn += kappa * rq * i2 * f.ik;
    h.nr -= kappa * f.R * i2;
}

// What a track adds to the exact problem, kept for the second pass.
template <class T> struct Response {
    T w, l1, l2, d11, d12, d21, d22, w11, w12, w22, k11, k13, k21, k22, k23;
    T x[2][3], lv[3][2], j[3][3], cp[3], omega11, omega12, omega22;
    Symmetric<T> lp, h;
};

// What the gradient of a track's weight needs: force lambda + chi2 of the track times its cotangent + direct.
template <class T> struct Pull {
    Vector<T> force;
    T chi2, direct;
    ENGINE_INLINE T gradient(const Vector<T>& lambda, const T& ct_chi2) const { return (dot(force, lambda) + ct_chi2 * chi2) + direct; }
};

template <class T, class L> ENGINE_INLINE Symmetric<T> posterior(const L& f, const Symmetric<T>& v) {
    T a1 = f.x11 * f.w11 + f.x21 * f.w12, a2 = f.x12 * f.w11 + f.x22 * f.w12, a3 = f.x13 * f.w11 + f.x23 * f.w12;
    T b1 = f.x11 * f.w12 + f.x21 * f.w22, b2 = f.x12 * f.w12 + f.x22 * f.w22, b3 = f.x13 * f.w12 + f.x23 * f.w22;
    return {v.a11 - f.x11 * a1 - f.x21 * b1, v.a12 - f.x11 * a2 - f.x21 * b2, v.a13 - f.x11 * a3 - f.x21 * b3,
            v.a22 - f.x12 * a2 - f.x22 * b2, v.a23 - f.x12 * a3 - f.x22 * b3, v.a33 - f.x13 * a3 - f.x23 * b3};
}

// H = (1 - S L)^-1 S: symmetric, S itself where the second derivatives vanish.
template <class T> ENGINE_INLINE Symmetric<T> stiffened(const Symmetric<T>& s, const Symmetric<T>& l) {
    const T one = constant<T>(1);
    Vector<T> s1 = row1(s), s2 = row2(s), s3 = row3(s), c1 = row1(l), c2 = row2(l), c3 = row3(l);
    T f11 = one - dot(s1, c1), f12 = -dot(s1, c2), f13 = -dot(s1, c3);
    T f21 = -dot(s2, c1), f22 = one - dot(s2, c2), f23 = -dot(s2, c3);
    T f31 = -dot(s3, c1), f32 = -dot(s3, c2), f33 = one - dot(s3, c3);
    T a11 = f22 * f33 - f23 * f32, a12 = f13 * f32 - f12 * f33, a13 = f12 * f23 - f13 * f22;
    T a21 = f23 * f31 - f21 * f33, a22 = f11 * f33 - f13 * f31, a23 = f13 * f21 - f11 * f23;
    T a31 = f21 * f32 - f22 * f31, a32 = f12 * f31 - f11 * f32, a33 = f11 * f22 - f12 * f21;
    T d = one / (f11 * a11 + f12 * a21 + f13 * a31);
    Vector<T> r1{a11 * d, a12 * d, a13 * d}, r2{a21 * d, a22 * d, a23 * d}, r3{a31 * d, a32 * d, a33 * d};
    return {dot(r1, s1), dot(r1, s2), dot(r1, s3), dot(r2, s2), dot(r2, s3), dot(r3, s3)};
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
    Symmetric<T> inverse = Factors<T>(m).inverse(), gamma = sandwich(inverse, ct.gamma_m);  // M^-1 Cbar M^-1
    if (!robust) {
        ct.gamma_m = Symmetric<T>{};
        accumulate(ct.gamma_m, constant<T>(-1), gamma);
        return;
    }
    ct.gamma_s = gamma;  // Mbar = -(gamma B M^-1 + its transpose)
    Vector<T> b1 = row1(spread), b2 = row2(spread), b3 = row3(spread), i1 = row1(inverse), i2 = row2(inverse), i3 = row3(inverse);
    Vector<T> g[3] = {row1(gamma), row2(gamma), row3(gamma)}, p[3];
    for (int r = 0; r < 3; ++r) {
        Vector<T> gb{dot(g[r], b1), dot(g[r], b2), dot(g[r], b3)};
        p[r] = {dot(gb, i1), dot(gb, i2), dot(gb, i3)};
    }
    ct.gamma_m = {-(p[0].x + p[0].x), -(p[0].y + p[1].x), -(p[0].z + p[2].x), -(p[1].y + p[1].y), -(p[1].z + p[2].y), -(p[2].z + p[2].z)};
}

// Gradient of <Gamma, D^T W D> at fixed (v, p') into omega, and through D and K into cp and the returned cotangent of v.
template <class T, class L>
ENGINE_INLINE Vector<T> covariance_part(Response<T>& r, T& direct, const L& f, const Symmetric<T>& part, const Cotangents<T>& ct) {
    const T two = constant<T>(2), w = r.w;
    Symmetric<T> gamma;
    accumulate(gamma, w, ct.gamma_m);
    accumulate(gamma, T(w * w), ct.gamma_s);
    auto inner = [&](const Symmetric<T>& g) {
        return g.a11 * part.a11 + g.a22 * part.a22 + g.a33 * part.a33 + two * (g.a12 * part.a12 + g.a13 * part.a13 + g.a23 * part.a23);
    };
    direct = inner(ct.gamma_m) + two * w * inner(ct.gamma_s);
    Vector<T> d1{f.d11, f.d12, T{}}, d2{f.d21, f.d22, constant<T>(1)}, g1 = gamma * d1, g2 = gamma * d2;
    T q11 = dot(d1, g1), q12 = dot(d1, g2), q22 = dot(d2, g2);  // D Gamma D^T
    T p11 = f.w11 * q11 + f.w12 * q12, p12 = f.w11 * q12 + f.w12 * q22, p21 = f.w12 * q11 + f.w22 * q12, p22 = f.w12 * q12 + f.w22 * q22;
    r.omega11 = -(p11 * f.w11 + p12 * f.w12);
    r.omega12 = -(p11 * f.w12 + p12 * f.w22);
    r.omega22 = -(p21 * f.w12 + p22 * f.w22);
    Vector<T> along{};
    for (int row = 0; row < 2; ++row) {
        T wa = row ? f.w12 : f.w11, wb = row ? f.w22 : f.w12, oa = row ? r.omega12 : r.omega11, ob = row ? r.omega22 : r.omega12;
        T b1 = two * (wa * g1.x + wb * g2.x), b2 = two * (wa * g1.y + wb * g2.y);  // the cotangent of this row of D
        T phi = two * (f.x11 * oa + f.x21 * ob), theta = two * (f.x12 * oa + f.x22 * ob), rho = two * (f.x13 * oa + f.x23 * ob);
        Form<T> h = curvature(f, constant<T>(row == 0), constant<T>(row == 1));
        T e = f.c * b1 + f.s * b2, m = f.c * b2 - f.s * b1, n = phi + f.Q * rho;
        T he = h.ee * e + h.em * m + h.en * n + h.er * rho + h.oe * theta, hm = h.em * e + h.mn * n + h.mr * rho + h.om * theta;
        T hn = h.en * e + h.mn * m + h.nn * n + h.nr * rho + h.on * theta, hr = h.er * e + h.mr * m + h.nr * n + h.orr * theta;
        along.x += f.c * he - f.s * hm;
        along.y += f.s * he + f.c * hm;
        r.cp[0] += hn;
        r.cp[1] += h.oe * e + h.om * m + h.on * n + h.orr * rho + h.oo * theta;
        r.cp[2] += f.Q * hn + hr;
    }
    return along;
}

// First pass over a track: adds its part to the exact normal matrix and to the right-hand side of the adjoint problem.
template <bool Approximate, class T, class C>
ENGINE_INLINE Pull<T> respond(Response<T>& r, Linear<T, typename C::Corner>& f, const C& cov, const T& w, const Momentum<T>& ct_p, const Cotangents<T>& ct,
                              Symmetric<T>& exact, Vector<T>& rhs) {
    const Weighed<T> weighed(f);
    r.w = w;
    r.d11 = f.d11, r.d12 = f.d12, r.d21 = f.d21, r.d22 = f.d22;
    r.w11 = f.w11, r.w12 = f.w12, r.w22 = f.w22;
    r.k11 = f.k11, r.k13 = f.k13, r.k21 = f.k21, r.k22 = f.k22, r.k23 = f.k23;
    T excess[3];
    Form<T> h;
    if constexpr (Approximate) {  // p is not at its minimum: the multipliers are those of the residuals themselves
        r.l1 = f.e1 / cov.v[0], r.l2 = f.e2 / cov.v[1];
        excess[0] = f.e3 / cov.v[2] + f.k11 * r.l1 + f.k21 * r.l2;
        excess[1] = f.e4 / cov.v[3] + f.k22 * r.l2;
        excess[2] = f.e5 / cov.v[4] + f.k13 * r.l1 + f.k23 * r.l2;
        h = curvature(f, r.l1, r.l2);
        subtract_turning(h, f, T(f.k * excess[0]));
    } else {
        r.l1 = weighed.l1, r.l2 = weighed.l2;
        h = curvature(f, r.l1, r.l2);
    }
    Symmetric<T> part = weighed.information(f);
    Pull<T> pull{{f.d11 * r.l1 + f.d21 * r.l2, f.d12 * r.l1 + f.d22 * r.l2, r.l2}, r.l1 * f.y1 + r.l2 * f.y2, T{}};
    r.cp[0] = ct_p.phi * f.ik, r.cp[1] = ct_p.theta, r.cp[2] = ct_p.rho + ct_p.phi * f.Q * f.ik;
    T turned = ct_p.phi * f.rho * f.ik;
    rhs.x += turned * f.c;
    rhs.y += turned * f.s;
    if (ct.covariance) {
        Vector<T> along = covariance_part(r, pull.direct, f, part, ct);
        rhs.x += along.x;
        rhs.y += along.y;
    }
    T cc = f.c * f.c, ss = f.s * f.s, cs = f.c * f.s, em2 = h.em + h.em;
    T vv11 = cc * h.ee - cs * em2, vv12 = cs * h.ee + (cc - ss) * h.em, vv22 = ss * h.ee + cs * em2;
    T re = f.Q * h.en + h.er, rm = f.Q * h.mn + h.mr;
    T lv[3][2] = {{f.c * h.en - f.s * h.mn, f.s * h.en + f.c * h.mn}, {f.c * h.oe - f.s * h.om, f.s * h.oe + f.c * h.om}, {f.c * re - f.s * rm, f.s * re + f.c * rm}};
    r.lp = {h.nn, h.on, f.Q * h.nn + h.nr, h.oo, f.Q * h.on + h.orr, f.Q * (f.Q * h.nn + h.nr + h.nr)};
    r.h = stiffened(posterior(f, block345(cov)), r.lp);
    T wd[2][3] = {{weighed.r11, weighed.r12, f.w12}, {weighed.r21, weighed.r22, f.w22}};
    T y[3][3], z[3][3];
    for (int column = 0; column < 3; ++column) {
        const T up = wd[0][column], low = wd[1][column];
        y[0][column] = f.x11 * up + f.x21 * low, y[1][column] = f.x12 * up + f.x22 * low, y[2][column] = f.x13 * up + f.x23 * low;  // -Y
        Vector<T> zc = r.lp * Vector<T>{y[0][column], y[1][column], y[2][column]};
        zc = column < 2 ? Vector<T>{lv[0][column] - zc.x, lv[1][column] - zc.y, lv[2][column] - zc.z} : Vector<T>{-zc.x, -zc.y, -zc.z};
        Vector<T> hz = r.h * zc;
        z[0][column] = zc.x, z[1][column] = zc.y, z[2][column] = zc.z;
        r.j[0][column] = hz.x - y[0][column], r.j[1][column] = hz.y - y[1][column], r.j[2][column] = hz.z - y[2][column];
    }
    auto second = [&](int a, int b) {  // Y^T L_pv + Z^T J
        T sum = z[0][a] * r.j[0][b] + z[1][a] * r.j[1][b] + z[2][a] * r.j[2][b];
        return b < 2 ? sum - (y[0][a] * lv[0][b] + y[1][a] * lv[1][b] + y[2][a] * lv[2][b]) : sum;
    };
    part.a11 -= vv11 + second(0, 0), part.a12 -= vv12 + second(0, 1), part.a13 -= second(2, 0) ;
    part.a22 -= vv22 + second(1, 1), part.a23 -= second(2, 1), part.a33 -= second(2, 2);
    accumulate(exact, w, part);
    rhs.x += r.j[0][0] * r.cp[0] + r.j[1][0] * r.cp[1] + r.j[2][0] * r.cp[2];
    rhs.y += r.j[0][1] * r.cp[0] + r.j[1][1] * r.cp[1] + r.j[2][1] * r.cp[2];
    rhs.z += r.j[0][2] * r.cp[0] + r.j[1][2] * r.cp[1] + r.j[2][2] * r.cp[2];
    for (int p = 0; p < 3; ++p) r.lv[p][0] = lv[p][0], r.lv[p][1] = lv[p][1];
    r.x[0][0] = f.x11, r.x[0][1] = corner<T>(f.x12), r.x[0][2] = f.x13, r.x[1][0] = f.x21, r.x[1][1] = f.x22, r.x[1][2] = f.x23;
    if constexpr (Approximate) {
        pull.force.x += r.j[0][0] * excess[0] + r.j[1][0] * excess[1] + r.j[2][0] * excess[2];
        pull.force.y += r.j[0][1] * excess[0] + r.j[1][1] * excess[1] + r.j[2][1] * excess[2];
        pull.force.z += r.j[0][2] * excess[0] + r.j[1][2] * excess[1] + r.j[2][2] * excess[2];
    }
    return pull;
}

// V345 in the one-forms (n, o, r) of Form, where n = dphi0 + Q drho.
template <class T> ENGINE_INLINE Symmetric<T> block_at(const Diagonal<T>& c, const T& Q) {
    const T *v = c.v, turned = Q * v[4];
    return {v[2] + Q * turned, T{}, turned, v[3], T{}, v[4]};
}
template <class T> ENGINE_INLINE Symmetric<T> block_at(const Full<T>& c, const T& Q) {
    const T *v = c.v, turned = v[11] + Q * v[14];
    return {(v[9] + Q * v[11]) + Q * turned, v[10] + Q * v[13], turned, v[12], v[13], v[14]};
}

// `respond` where only the weights' gradient is wanted, and no momentum or covariance has a cotangent: two thirds of the work. All is
// written in the one-forms (e, m, z) of v and (n, o, r) of p', where D1 = (0, -1, 0), D2 = (d, f, 1), L_pv has no column for z, and the
// column for e of -Y = X^T W D (here b, with X = -N^T V E) is d times the one for z.
template <class T, class C>
ENGINE_INLINE Pull<T> respond_weights(Linear<T, typename C::Corner>& f, const C& cov, const T& w, Symmetric<T>& exact) {
    const Weighed<T> weighed(f);
    const Form<T> h = curvature(f, weighed.l1, weighed.l2);
    const T d = f.d21 * f.c + f.d22 * f.s, x = f.d22 * f.c - f.d21 * f.s;
    const T ez = f.w22 * d, mz = f.w22 * x - f.w12, top = f.w12 * x - f.w11;
    const T x1 = f.x11 + f.Q * f.x13, x2 = f.x21 + f.Q * f.x23;
    const Vector<T> bz{x1 * f.w12 + x2 * f.w22, f.x12 * f.w12 + f.x22 * f.w22, f.x13 * f.w12 + f.x23 * f.w22};
    const Vector<T> bm{x1 * top + x2 * mz, f.x12 * top + f.x22 * mz, f.x13 * top + f.x23 * mz};
    const Vector<T> a{x1 * f.w11 + x2 * f.w12, f.x12 * f.w11 + f.x22 * f.w12, f.x13 * f.w11 + f.x23 * f.w12};
    const Symmetric<T> v = block_at(cov, f.Q), lp{h.nn, h.on, h.nr, h.oo, h.orr, T{}};
    const Symmetric<T> s{v.a11 - x1 * a.x - x2 * bz.x,    v.a12 - x1 * a.y - x2 * bz.y,       v.a13 - x1 * a.z - x2 * bz.z,
                         v.a22 - f.x12 * a.y - f.x22 * bz.y, v.a23 - f.x12 * a.z - f.x22 * bz.z, v.a33 - f.x13 * a.z - f.x23 * bz.z};
    const Symmetric<T> stiff = stiffened(s, lp);
    const Vector<T> le{h.en, h.oe, h.er}, lm{h.mn, h.om, h.mr};
    const Vector<T> zz{-(lp.a11 * bz.x) - lp.a12 * bz.y - lp.a13 * bz.z, -(lp.a12 * bz.x) - lp.a22 * bz.y - lp.a23 * bz.z, -(lp.a13 * bz.x) - lp.a23 * bz.y};
    const Vector<T> zm{lm.x - lp.a11 * bm.x - lp.a12 * bm.y - lp.a13 * bm.z, lm.y - lp.a12 * bm.x - lp.a22 * bm.y - lp.a23 * bm.z,
                       lm.z - lp.a13 * bm.x - lp.a23 * bm.y};
    const Vector<T> ze{le.x + d * zz.x, le.y + d * zz.y, le.z + d * zz.z}, hz = stiff * zz, hm = stiff * zm, he = stiff * ze;
    const Vector<T> cz{bz.x - hz.x, bz.y - hz.y, bz.z - hz.z}, cm{bm.x - hm.x, bm.y - hm.y, bm.z - hm.z};
    const Vector<T> ce{d * bz.x - he.x, d * bz.y - he.y, d * bz.z - he.z};
    // The track's part of the exact normal matrix in (e, m, z), turned back by phi.
    const T ee = (d * ez - h.ee) + d * dot(bz, le) + dot(ze, ce), em = (d * mz - h.em) + d * dot(bz, lm) + dot(ze, cm);
    const T mm = (x * mz - top) + dot(bm, lm) + dot(zm, cm), kez = ez + dot(ze, cz), kmz = mz + dot(zm, cz);
    const T ex = ee * f.c - em * f.s, mx = em * f.c - mm * f.s, ey = ee * f.s + em * f.c, my = em * f.s + mm * f.c;
    accumulate(exact, w, {ex * f.c - mx * f.s, ex * f.s + mx * f.c, kez * f.c - kmz * f.s, ey * f.s + my * f.c, kez * f.s + kmz * f.c, f.w22 + dot(zz, cz)});
    return {weighed.force(f), weighed.l1 * f.y1 + weighed.l2 * f.y2, T{}};
}

template <class T> struct Gradient { T q[5], l[5], u[5]; };  // u: the factor of l in the gradient of V

// Second pass over a track, with the adjoint state of the vertex, for the gradients of the measurement.
template <class T> ENGINE_INLINE Gradient<T> adjoint(const Response<T>& r, const Vector<T>& lambda, const Cotangents<T>& ct) {
    Gradient<T> out;
    T v1 = r.d11 * lambda.x + r.d12 * lambda.y, v2 = r.d21 * lambda.x + r.d22 * lambda.y + lambda.z;  // D lambda
    T jl[3];
    for (int p = 0; p < 3; ++p) jl[p] = r.j[p][0] * lambda.x + r.j[p][1] * lambda.y + r.j[p][2] * lambda.z;
    const Vector<T> cp{r.cp[0], r.cp[1], r.cp[2]}, hc = r.h * cp;
    Vector<T> m{r.w * jl[0] + hc.x, r.w * jl[1] + hc.y, r.w * jl[2] + hc.z}, lm = r.lp * m;
    T c[3] = {lm.x, lm.y, lm.z};
    for (int p = 0; p < 3; ++p) c[p] += r.w * (r.lv[p][0] * lambda.x + r.lv[p][1] * lambda.y) + r.cp[p];
    T s1 = r.x[0][0] * c[0] + r.x[0][1] * c[1] + r.x[0][2] * c[2] + r.w * v1, s2 = r.x[1][0] * c[0] + r.x[1][1] * c[1] + r.x[1][2] * c[2] + r.w * v2;
    T a1 = -(r.w11 * s1 + r.w12 * s2), a2 = -(r.w12 * s1 + r.w22 * s2), wg = r.w * ct.chi2;
    T u[5] = {-a1, -a2, c[0] + r.k11 * a1 + r.k21 * a2, c[1] + r.k22 * a2, c[2] + r.k13 * a1 + r.k23 * a2};
    out.l[0] = r.l1, out.l[1] = r.l2;
    out.l[2] = -(r.k11 * r.l1 + r.k21 * r.l2), out.l[3] = -(r.k22 * r.l2), out.l[4] = -(r.k13 * r.l1 + r.k23 * r.l2);
    for (int i = 0; i < 5; ++i) {
        out.u[i] = u[i] + wg * out.l[i];
        out.q[i] = out.u[i] + wg * out.l[i];
    }
    return out;
}

// Gradients with respect to the prior's position and information, in the laboratory.
template <class T>
ENGINE_INLINE void prior_gradient(const Frame<T>& frame, const Prior<T>& prior, const Vector<T>& v, const Vector<T>& lambda, const Cotangents<T>& ct,
                                  Vector<T>& position, Symmetric<T>& information) {
    Vector<T> d = prior.distance(v, frame.t), pull = prior.information * d, along = prior.information * lambda;
    T twice = ct.chi2 + ct.chi2, half = constant<T>(0.5);
    position = frame.covector_out({along.x + twice * pull.x, along.y + twice * pull.y, along.z + twice * pull.z});
    Vector<T> a = frame.vector_out(d), l = frame.vector_out(lambda);
    auto entry = [&](const T& a1, const T& l1, const T& a2, const T& l2) { return half * (l1 * a2 + a1 * l2) + ct.chi2 * a1 * a2; };
    information = {entry(a.x, l.x, a.x, l.x), entry(a.x, l.x, a.y, l.y), entry(a.x, l.x, a.z, l.z), entry(a.y, l.y, a.y, l.y), entry(a.y, l.y, a.z, l.z), entry(a.z, l.z, a.z, l.z)};
    if (!ct.covariance) return;
    accumulate(information, constant<T>(1), frame.matrix_out(ct.gamma_m));
    accumulate(information, constant<T>(1), frame.matrix_out(ct.gamma_s));
}

// Something that is finite if and only if the whole gradient is.
template <class T> ENGINE_INLINE T probe(const Gradient<T>& g, const Response<T>& r, bool with_covariance) {
    const T zero{};
    T sum = zero;
    for (int k = 0; k < 5; ++k) sum += (g.q[k] + g.u[k] * g.l[k] + g.u[k] * g.l[(k + 1) % 5] + g.u[k] * g.l[(k + 2) % 5]) * zero;
    if (with_covariance) sum += (r.omega11 + r.omega12 + r.omega22) * zero;
    return sum;
}

}  // namespace engine
