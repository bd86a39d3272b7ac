"""A track of the vertex fit for numba: the equations of mathematics.h and gradient.h on small arrays, in float64."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

njit = numba.njit(cache=True, nogil=True, error_model="numpy")


@njit  # type: ignore[untyped-decorator]
def linearise(
    q: Any,
    cov: Any,
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
    """Fill e (5,), y (2,), D (2, 3), K (2, 3), X (2, 3), W (2, 2) and the helix h = s, c, t, u, Q, R, k, G2, g, a,
    rho.
    """
    s, c, sine = math.sin(p[0]), math.cos(p[0]), math.sin(p[1])
    t, rho = math.cos(p[1]) / sine, p[2]
    u = 1 + t * t
    Q, R = v[0] * c + v[1] * s, v[1] * c - v[0] * s
    kk = 1 - rho * R
    G2 = rho * Q * Q / kk
    g, a = R + G2, 1 + rho * G2
    h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10] = s, c, t, u, Q, R, kk, G2, g, a, rho
    e[0], e[1], e[2] = q[0] + R + 0.5 * rho * Q * Q, q[1] - v[2] + t * Q * kk, q[2] - p[0] + rho * Q
    e[3], e[4] = q[3] - p[1], q[4] - rho
    k[0, 0], k[0, 1], k[0, 2] = Q, 0.0, 0.5 * Q * Q
    d[0, 2], d[1, 2] = 0.0, 1.0
    if approximate:
        stretch = t * (1 + rho * R)
        d[0, 0], d[0, 1], d[1, 0], d[1, 1] = s + rho * Q * c, rho * Q * s - c, t0 - stretch * c, -stretch * s
        k[1, 0], k[1, 1], k[1, 2] = -t * R, Q * u, 0.0
    else:
        d[0, 0], d[0, 1], d[1, 0], d[1, 1] = s, -c, t0 - t * (c * a + rho * Q * s), t * (rho * Q * c - s * a)
        k[1, 0], k[1, 1], k[1, 2] = -t * g, Q * kk * u, -t * Q * G2
    for i in range(2):
        y[i] = e[i]
        for m in range(3):
            y[i] -= k[i, m] * e[2 + m]
            x[i, m] = cov[i, 2 + m]
            for n in range(3):
                x[i, m] -= k[i, n] * cov[2 + n, 2 + m]
    c2 = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            c2[i, j] = cov[i, j]
            for m in range(3):
                c2[i, j] -= k[i, m] * cov[2 + m, j] + x[i, m] * k[j, m]
    inverse = 1 / (c2[0, 0] * c2[1, 1] - c2[0, 1] * c2[1, 0])
    w[0, 0], w[1, 1] = c2[1, 1] * inverse, c2[0, 0] * inverse
    w[0, 1] = w[1, 0] = -c2[0, 1] * inverse


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
        for b in range(3):
            part = 0.0
            for i in range(2):
                for j in range(2):
                    part += d[i, a] * w[i, j] * d[j, b]
            m[a, b] += weight * part
            spread[a, b] += weight * weight * part


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
