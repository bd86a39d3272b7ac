// A helix taken to the point of closest approach (transverse) to another point, and its derivative. Units: mm, rad, 1/mm.
//
// About the point v the perigee (d0, z0, phi, theta, rho) has, with Q and R the components of (perigee - v) along and across phi,
//   Q = -(x c + y s), R = -d0 - (y c - x s), a = rho Q, b = 1 + rho R, n = hypot(a, b), A = atan2(a, b):
//   phi' = phi - A,  d0' = -(2 R + rho (Q^2 + R^2)) / (1 + n),  z0' = z0 - z - s cot(theta),  s = A / rho.
// No difference of large numbers, and no division by rho where the track is nearly straight: s = (Q/b) atan(w)/w with w = a/b.
#pragma once

#include "../lanes.h"

namespace engine {

#ifdef __CUDACC__
ENGINE_INLINE double arc_tangent_ratio(double z) { return z < 1e-4 ? 1 - z * (1.0 / 3 - z * (0.2 - z / 7)) : atan(sqrt(z)) / sqrt(z); }
ENGINE_INLINE float arc_tangent_ratio(float z) { return z < 1e-2f ? 1 - z * (1.0f / 3 - z * (0.2f - z / 7)) : atanf(sqrtf(z)) / sqrtf(z); }
// (1 - atan(w)/w)/w^2, z = w^2 < 1/9.
template <class T> ENGINE_INLINE T arc_tangent_rest(T z) {
    T sum = 0;
    for (int k = 14; k >= 0; --k) sum = T(1) / T(2 * k + 3) - z * sum;
    return sum;
}
ENGINE_INLINE double arc_tangent2(double y, double x) { return atan2(y, x); }
ENGINE_INLINE float arc_tangent2(float y, float x) { return atan2f(y, x); }
ENGINE_INLINE double square_root(double x) { return sqrt(x); }
ENGINE_INLINE float square_root(float x) { return sqrtf(x); }
#else
// (1 - atan(w)/w)/w^2 as a function of z = w^2 for w up to 0.66 (Cephes' atan, Moshier).
template <class T> ENGINE_INLINE T arc_tangent_rest(const T& z) {
    auto k = [](double value) { return constant<T>(value); };
    if constexpr (sizeof(scalar_t<T>) == 8) {
        T p = (((k(8.750608600031904122785e-1) * z + k(1.615753718733365076637e1)) * z + k(7.500855792314704667340e1)) * z + k(1.228866684490136173410e2)) * z +
              k(6.485021904942025371773e1);
        T q = ((((z + k(2.485846490142306297962e1)) * z + k(1.650270098316988542046e2)) * z + k(4.328810604912902668951e2)) * z + k(4.853903996359136964868e2)) * z +
              k(1.945506571482613964425e2);
        return p / q;
    } else {
        return -(((k(8.05374449538e-2) * z - k(1.38776856032e-1)) * z + k(1.99777106478e-1)) * z - k(3.33329491539e-1));
    }
}
template <class T> ENGINE_INLINE T arc_tangent_ratio(const T& z) { return constant<T>(1) - z * arc_tangent_rest(z); }
template <class S, int Bytes> ENGINE_INLINE Lanes<S, Bytes> square_root(const Lanes<S, Bytes>& x) {
    Lanes<S, Bytes> out;
    for (int lane = 0; lane < static_cast<int>(Bytes / sizeof(S)); ++lane) out.v[lane] = std::sqrt(x.v[lane]);
    return out;
}
template <class T> ENGINE_INLINE T arc_tangent2(const T& y, const T& x) {
    const T zero{}, half_pi = constant<T>(1.57079632679489661923);
    T ay = absolute(y), ax = absolute(x);
    auto steep = ay > ax;
    T small = select<T>(steep, ax, ay), large = select<T>(steep, ay, ax), w = small / select<T>(large > zero, large, constant<T>(1));
    auto middle = w > constant<T>(sizeof(scalar_t<T>) == 8 ? 0.66 : 0.4142135623730950);
    T u = select<T>(middle, (w - constant<T>(1)) / (w + constant<T>(1)), w);
    T angle = u * arc_tangent_ratio(u * u) + select<T>(middle, constant<T>(0.78539816339744830962), zero);
    angle = select<T>(steep, half_pi - angle, angle);
    angle = select<T>(x < zero, (half_pi + half_pi) - angle, angle);
    return select<T>(y < zero, -angle, angle);
}
#endif

template <class T> struct Perigee { T d0, z0, phi, theta, rho; };

// The intermediate values that forward and backward share.
template <class T> struct Bend {
    T s, c, t, u, along, across, Q, R, a, b, n, angle, path, path_rho;  // path_rho: d path / d rho at fixed Q, R
    ENGINE_INLINE Bend(const Perigee<T>& p, const T& x, const T& y) {
        const T one = constant<T>(1);
        T sine, cosine;
        sine_cosine(p.phi, s, c);
        sine_cosine(p.theta, sine, cosine);
        T inverse = one / sine;
        t = cosine * inverse;
        u = inverse * inverse;
        along = x * c + y * s;
        across = y * c - x * s;
        Q = -along;
        R = -p.d0 - across;
        a = p.rho * Q;
        b = one + p.rho * R;
        T n2 = a * a + b * b;
        n = square_root(n2);
        angle = arc_tangent2(a, b);
        auto straight = (b > constant<T>(0.1)) & (absolute(a) < constant<T>(0.3) * b);
        T safe_b = select<T>(straight, b, one), safe_rho = select<T>(straight, one, p.rho), safe_n2 = select<T>(straight, one, n2);
        T ib = one / safe_b, w = select<T>(straight, a, T{}) * ib, z = w * w;
        path = select<T>(straight, Q * ib * arc_tangent_ratio(z), angle / safe_rho);
        T near = Q * ib * (Q * ib * w * (arc_tangent_rest(z) - ib / (one + z)) - R * ib);
        path_rho = select<T>(straight, near, (Q / safe_n2 - path) / safe_rho);
    }
};

template <class T> ENGINE_INLINE Perigee<T> moved(const Perigee<T>& p, const T& x, const T& y, const T& z) {
    Bend<T> f(p, x, y);
    T d0 = -(f.R + f.R + p.rho * (f.Q * f.Q + f.R * f.R)) / (constant<T>(1) + f.n);
    return {d0, p.z0 - z - f.path * f.t, p.phi - f.angle, p.theta, p.rho};
}

// Cotangents of the new perigee to those of the old one and of the point.
template <class T> struct MovedGradient { T d0, z0, phi, theta, rho, x, y, z; };
template <class T> ENGINE_INLINE MovedGradient<T> moved_gradient(const Perigee<T>& p, const T& x, const T& y, const Perigee<T>& ct) {
    Bend<T> f(p, x, y);
    const T one = constant<T>(1);
    T in = one / f.n, in2 = in * in, square = f.Q * f.Q + f.R * f.R, i1 = one / (one + f.n);
    T numerator = f.R + f.R + p.rho * square, d0 = -numerator * i1, to_path = -ct.z0 * f.t, to_angle = -ct.phi;
    // d angle = rho (b dQ - a dR)/n^2 + Q drho/n^2;  d path = (b dQ - a dR)/n^2 + path_rho drho;  d d0 = -(a dQ + b dR)/n + ...
    T turn = (to_path + to_angle * p.rho) * in2, shift = ct.d0 * in;
    T to_q = turn * f.b - shift * f.a, to_r = -(turn * f.a) - shift * f.b;
    T rho = ct.rho + to_path * f.path_rho + to_angle * f.Q * in2 - ct.d0 * (square * i1 + constant<T>(0.5) * d0 * (p.rho * square + numerator) * i1 * in);
    // Q = -along, R = -d0 - across; d along = c dx + s dy + across dphi, d across = c dy - s dx - along dphi.
    return {-to_r, ct.z0, ct.phi - to_q * f.across + to_r * f.along, ct.theta + ct.z0 * f.path * f.u, rho,
            -to_q * f.c + to_r * f.s, -to_q * f.s - to_r * f.c, -ct.z0};
}

}  // namespace engine
