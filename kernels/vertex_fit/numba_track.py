"""A track of the vertex fit for numba: the equations of mathematics.h and gradient.h on small arrays, in float64."""

from __future__ import annotations

import math
from typing import Any

import numba

njit = numba.njit(cache=True, nogil=True, error_model="numpy")


@njit  # type: ignore[untyped-decorator]
def values_of(
    q: Any, cov: Any, i: int, v: Any, phi: float, theta: float, rho: float, t0: float, approximate: bool
) -> Any:
    """Track i at (v, p): helix (11 values), e (5), y (2), D (4), K (5), X (6), W (3): scalars, for registers."""
    s, c, sine = math.sin(phi), math.cos(phi), math.sin(theta)
    t = math.cos(theta) / sine
    u = 1 + t * t
    Q, R = v[0] * c + v[1] * s, v[1] * c - v[0] * s
    k = 1 - rho * R
    G2 = rho * Q * Q / k
    g, a = R + G2, 1 + rho * G2
    e0, e1, e2 = q[i, 0] + R + 0.5 * rho * Q * Q, q[i, 1] - v[2] + t * Q * k, q[i, 2] - phi + rho * Q
    e3, e4 = q[i, 3] - theta, q[i, 4] - rho
    k11, k13 = Q, 0.5 * Q * Q
    if approximate:
        stretch = t * (1 + rho * R)
        d11, d12, d21, d22 = s + rho * Q * c, rho * Q * s - c, t0 - stretch * c, -stretch * s
        k21, k22, k23 = -t * R, Q * u, 0.0
    else:
        d11, d12, d21, d22 = s, -c, t0 - t * (c * a + rho * Q * s), t * (rho * Q * c - s * a)
        k21, k22, k23 = -t * g, Q * k * u, -t * Q * G2
    y0 = e0 - k11 * e2 - k13 * e4
    y1 = e1 - k21 * e2 - k22 * e3 - k23 * e4
    x11 = cov[i, 0, 2] - k11 * cov[i, 2, 2] - k13 * cov[i, 4, 2]
    x12 = cov[i, 0, 3] - k11 * cov[i, 2, 3] - k13 * cov[i, 4, 3]
    x13 = cov[i, 0, 4] - k11 * cov[i, 2, 4] - k13 * cov[i, 4, 4]
    x21 = cov[i, 1, 2] - k21 * cov[i, 2, 2] - k22 * cov[i, 3, 2] - k23 * cov[i, 4, 2]
    x22 = cov[i, 1, 3] - k21 * cov[i, 2, 3] - k22 * cov[i, 3, 3] - k23 * cov[i, 4, 3]
    x23 = cov[i, 1, 4] - k21 * cov[i, 2, 4] - k22 * cov[i, 3, 4] - k23 * cov[i, 4, 4]
    c11 = cov[i, 0, 0] - k11 * cov[i, 0, 2] - k13 * cov[i, 0, 4] - x11 * k11 - x13 * k13
    c12 = cov[i, 0, 1] - k11 * cov[i, 1, 2] - k13 * cov[i, 1, 4] - x11 * k21 - x12 * k22 - x13 * k23
    c22 = (
        cov[i, 1, 1] - k21 * cov[i, 1, 2] - k22 * cov[i, 1, 3] - k23 * cov[i, 1, 4] - x21 * k21 - x22 * k22 - x23 * k23
    )
    inverse = 1 / (c11 * c22 - c12 * c12)
    return (s, c, t, u, Q, R, k, G2, g, a, rho, e0, e1, e2, e3, e4, y0, y1, d11, d12, d21, d22, k11, k13, k21, k22, k23,
            x11, x12, x13, x21, x22, x23, c22 * inverse, -c12 * inverse, c11 * inverse)  # fmt: skip


@njit  # type: ignore[untyped-decorator]
def linearise(
    q: Any,
    cov: Any,
    i: int,
    v: Any,
    p: Any,
    t0: float,
    approximate: bool,
    e: Any,
    y: Any,
    d: Any,
    k: Any,
    x: Any,
    w: Any,
    h: Any,
) -> None:
    """`values_of` in arrays: e (5,), y (2,), D (2, 3), K (2, 3), X (2, 3), W (2, 2) and the helix h (11,)."""
    f = values_of(q, cov, i, v, p[i, 0], p[i, 1], p[i, 2], t0, approximate)
    h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10] = f[:11]
    e[0], e[1], e[2], e[3], e[4] = f[11:16]
    y[0], y[1] = f[16:18]
    d[0, 0], d[0, 1], d[0, 2], d[1, 0], d[1, 1], d[1, 2] = f[18], f[19], 0.0, f[20], f[21], 1.0
    k[0, 0], k[0, 1], k[0, 2], k[1, 0], k[1, 1], k[1, 2] = f[22], 0.0, f[23], f[24], f[25], f[26]
    x[0, 0], x[0, 1], x[0, 2], x[1, 0], x[1, 1], x[1, 2] = f[27:33]
    w[0, 0], w[0, 1], w[1, 0], w[1, 1] = f[33], f[34], f[34], f[35]


@njit  # type: ignore[untyped-decorator]
def curvature(h: Any, alpha1: float, alpha2: float, kappa: float, f: Any) -> None:
    """Second derivatives of alpha1 h1 + alpha2 h2 in (b1, b2; phi0, theta, rho) as f (5, 5), less kappa phi''."""
    s, c, t, u, Q, R, k, G2, g, a, rho = h
    k1, k2, rq, ik = alpha1 / k, -alpha2 * t, rho * Q, 1 / k
    A, B, C = (Q * Q + G2 * R) / k, 2 * rq / k, rho * G2 / k
    E, N = (B - C * rq) / k, (B * R - C * Q) / k
    ee, em, en = k1 * rho + k2 * rho * (E + rq * ik), k2 * rho * C, k1 + k2 * rho * (N + Q * ik)
    er, mn, mr = k2 * G2 * (1 + ik), k2 * (1 + C), -k2 * Q
    nn, nr = k1 * R + k2 * (N - Q * ik), k2 * A
    oe, om, on, orr, oo = (
        alpha2 * u * a,
        -alpha2 * u * rq,
        alpha2 * u * g,
        -alpha2 * u * Q * R,
        -2 * alpha2 * u * t * Q * k,
    )
    i2 = ik * ik
    ee, em, en = ee + kappa * rq * rho * rho * i2 * ik, em - kappa * rho * rho * i2, en + kappa * rq * rho * i2 * ik
    er, mn, nn, nr = er - kappa * i2, mn - kappa * rho * i2, nn + kappa * rq * i2 * ik, nr - kappa * R * i2
    re, rm = Q * en + er, Q * mn + mr
    f[0, 0], f[0, 1], f[1, 1] = (
        c * c * ee - 2 * c * s * em,
        c * s * ee + (c * c - s * s) * em,
        s * s * ee + 2 * s * c * em,
    )
    f[0, 2], f[1, 2] = c * en - s * mn, s * en + c * mn
    f[0, 3], f[1, 3] = c * oe - s * om, s * oe + c * om
    f[0, 4], f[1, 4] = c * re - s * rm, s * re + c * rm
    f[2, 2], f[2, 3], f[2, 4] = nn, on, Q * nn + nr
    f[3, 3], f[3, 4], f[4, 4] = oo, Q * on + orr, Q * (Q * nn + 2 * nr)
    for i in range(5):
        for j in range(i):
            f[i, j] = f[j, i]


@njit  # type: ignore[untyped-decorator]
def add_track(weight: float, d: Any, w: Any, m: Any, spread: Any) -> None:
    """Add w D^T W D to m and w^2 D^T W D to spread."""
    for a in range(3):
        left, right = w[0, 0] * d[0, a] + w[0, 1] * d[1, a], w[1, 0] * d[0, a] + w[1, 1] * d[1, a]
        for b in range(a, 3):
            part = weight * (left * d[0, b] + right * d[1, b])
            m[a, b] += part
            spread[a, b] += weight * part
            if b > a:
                m[b, a] += part
                spread[b, a] += weight * part


@njit  # type: ignore[untyped-decorator]
def invert(m: Any, out: Any) -> tuple[float, float]:
    """The inverse of a symmetric matrix, and its two pivots after the third direction's, relative to their elements."""
    i3 = 1 / m[2, 2]
    m1, m2 = m[0, 2] * i3, m[1, 2] * i3
    pivot2, b12 = m[1, 1] - m[1, 2] * m2, m[0, 1] - m[0, 2] * m2
    i2 = 1 / pivot2
    n = b12 * i2
    pivot1 = (m[0, 0] - m[0, 2] * m1) - b12 * n
    i1, l31 = 1 / pivot1, m2 * n - m1
    out[0, 0], out[1, 1], out[2, 2] = i1, i2 + n * n * i1, i3 + m2 * m2 * i2 + l31 * l31 * i1
    out[0, 1] = out[1, 0] = -n * i1
    out[0, 2] = out[2, 0] = l31 * i1
    out[1, 2] = out[2, 1] = -m2 * i2 - n * l31 * i1
    return pivot2 / m[1, 1], pivot1 / m[0, 0]


@njit  # type: ignore[untyped-decorator]
def product(a: Any, b: Any, out: Any) -> None:
    """out = a b for small matrices."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total


@njit  # type: ignore[untyped-decorator]
def all_finite(values: Any) -> bool:
    """True where no value is infinite or NaN."""
    for value in values.flat:  # noqa: SIM110  (numba compiles no generator)
        if not math.isfinite(value):
            return False
    return True
