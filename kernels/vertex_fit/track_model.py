"""The equations of mathematics.h, on numbers: floats of one track, or tensors of all of them (see `algebra`)."""

from __future__ import annotations

from typing import NamedTuple

from .algebra import Number, Rows, Vector, mix
from .algebra import Symmetric as Symmetric

ROUNDING = 4e-15, 2e-6
"""Below this part of the numbers that it is a difference of something may be rounding alone: float64, float32."""


class Frame(NamedTuple):
    """Rotated by the reference track's phi, z from its z0, basis b1 = (1, 0, t), b2 = (0, 1, 0), b3 = (0, 0, 1).

    c and s are cosine and sine of phi, t is cot(theta) of that track.
    """

    c: Number
    s: Number
    t: Number
    phi: Number
    z: Number


class Linear(NamedTuple):
    """A track linearised at (v, p): residuals e and y, the rows of D, K and X^T, and W (11, 12, 22)."""

    s: Number
    c: Number
    t: Number
    u: Number
    rho: Number
    Q: Number
    R: Number
    k: Number
    e: tuple[Number, Number, Number, Number, Number]
    y: tuple[Number, Number]
    d1: Vector
    d2: Vector
    k1: Vector
    k2: Vector
    x1: Vector
    x2: Vector
    w: Vector


def linearise(
    q: tuple[Number, ...], cov: tuple[Number, ...], v: Vector, p: Vector, trig: Vector, t0: Number, approximate: bool
) -> Linear:
    """Linearise a track at the point v (x, y, z) of the frame and the momentum p (phi, theta, rho).

    Args:
        q: d0, z0, phi, theta, rho.
        cov: the upper triangle of their covariance, row by row: 15 entries.
        trig: sine and cosine of phi, cotangent of theta.
        t0: cot(theta) of the frame.
        approximate: the Jacobians of the published code instead of the exact ones.
    """
    v11, v12, v13, v14, v15, v22, v23, v24, v25, v33, v34, v35, v44, v45, v55 = cov
    phi, theta, rho = p
    s, c, t = trig
    u, Q, R = 1 + t * t, v[0] * c + v[1] * s, v[1] * c - v[0] * s
    k = 1 - rho * R
    e1, e2, e3 = q[0] + R + 0.5 * rho * Q * Q, q[1] - v[2] + t * Q * k, q[2] - phi + rho * Q
    e4, e5 = q[3] - theta, q[4] - rho
    k11, k13 = Q, 0.5 * Q * Q
    if approximate:
        stretch = t * (1 + rho * R)
        d11, d12, d21, d22 = s + rho * Q * c, rho * Q * s - c, t0 - stretch * c, -stretch * s
        k21, k22, k23 = -t * R, Q * u, 0.0
    else:
        G2 = rho * Q * Q / k
        a = 1 + rho * G2
        d11, d12, d21, d22 = s, -c, t0 - t * (c * a + rho * Q * s), t * (rho * Q * c - s * a)
        k21, k22, k23 = -t * (R + G2), Q * k * u, -t * Q * G2
    y1 = e1 - k11 * e3 - k13 * e5
    y2 = e2 - k21 * e3 - k22 * e4 - k23 * e5
    x11, x12, x13 = v13 - k11 * v33 - k13 * v35, v14 - k11 * v34 - k13 * v45, v15 - k11 * v35 - k13 * v55
    x21, x22 = v23 - k21 * v33 - k22 * v34 - k23 * v35, v24 - k21 * v34 - k22 * v44 - k23 * v45
    x23 = v25 - k21 * v35 - k22 * v45 - k23 * v55
    c11 = v11 - k11 * (v13 + x11) - k13 * (v15 + x13)
    c12 = v12 - k11 * v23 - k13 * v25 - x11 * k21 - x12 * k22 - x13 * k23
    c22 = v22 - k21 * (v23 + x21) - k22 * (v24 + x22) - k23 * (v25 + x23)
    inverse = 1 / (c11 * c22 - c12 * c12)
    return Linear(
        *(s, c, t, u, rho, Q, R, k),
        (e1, e2, e3, e4, e5),
        (y1, y2),
        *((d11, d12, 0.0), (d21, d22, 1.0), (k11, 0.0, k13), (k21, k22, k23), (x11, x12, x13), (x21, x22, x23)),
        (c22 * inverse, -c12 * inverse, c11 * inverse),
    )


def multipliers(f: Linear, r1: Number, r2: Number) -> tuple[Number, Number]:
    """W (r1, r2)."""
    w11, w12, w22 = f.w
    return w11 * r1 + w12 * r2, w12 * r1 + w22 * r2


def information(f: Linear) -> Symmetric:
    """D^T W D in the basis b."""
    (d11, d12, _), (d21, d22, _) = f.d1, f.d2
    (a1, b1), (a2, b2) = multipliers(f, d11, d21), multipliers(f, d12, d22)
    return d11 * a1 + d21 * b1, d11 * a2 + d21 * b2, b1, d12 * a2 + d22 * b2, b2, f.w[2]


def lifted(f: Linear, l1: Number, l2: Number) -> tuple[Number, Number, Number, Number, Number]:
    """N (l1, l2), N = [1; -K^T]: the multipliers of all five residuals from those of the first two."""
    l3, l4, l5 = mix(-l1, f.k1, -l2, f.k2)
    return l1, l2, l3, l4, l5


def force(f: Linear, l1: Number, l2: Number) -> Vector:
    """D^T l in the basis b."""
    return f.d1[0] * l1 + f.d2[0] * l2, f.d1[1] * l1 + f.d2[1] * l2, l2


def shift(f: Linear, l1: Number, l2: Number) -> Vector:
    """X^T l: how far the best momentum at this vertex lies from the measured one, in p'."""
    return f.x1[0] * l1 + f.x2[0] * l2, f.x1[1] * l1 + f.x2[1] * l2, f.x1[2] * l1 + f.x2[2] * l2


def follow(f: Linear, r1: Number, r2: Number) -> Vector:
    """X^T W (r1, r2): how p' follows residuals y."""
    l1, l2 = multipliers(f, r1, r2)
    return shift(f, l1, l2)


def turning(f: Linear, l1: Number, l2: Number) -> tuple[Number, Number]:
    """What D^T l gains when p moves to its best value at this vertex, to first order and without curvature.

    Without it the vertex lags an iteration behind the momenta and takes twice as many. Only near the solution, where
    the residuals are small; at the solution it vanishes.
    """
    best = shift(f, l1, l2)
    phi, theta, rho = f.e[2] - best[0], f.e[3] - best[1], f.e[4] - best[2]
    along, across = l1 * (phi + f.Q * rho) + l2 * f.u * theta, -l2 * f.t * phi
    return f.c * along - f.s * across, f.s * along + f.c * across


def moved(f: Linear, q: tuple[Number, ...], step: Vector, p: Vector, approximate: bool) -> Vector:
    """The momentum after the vertex moved by `step` (in the basis b)."""
    (d11, d12, _), (d21, d22, _) = f.d1, f.d2
    best = follow(f, f.y[0] - (d11 * step[0] + d12 * step[1]), f.y[1] - (d21 * step[0] + d22 * step[1] + step[2]))
    theta, rho = q[3] - best[1], q[4] - best[2]
    turn = f.e[2] + f.rho * (f.c * step[0] + f.s * step[1]) - best[0] + f.Q * (rho - f.rho)
    return p[0] + (turn if approximate else turn / f.k), theta, rho


def straightness(f: Linear, t0: Number) -> Number:
    """The information across the jet that tells where along it the vertex is: small where tracks are parallel."""
    tilt = t0 - f.t * f.c
    return f.w[0] * f.s * f.s + 2 * f.w[1] * f.s * tilt + f.w[2] * tilt * tilt


def bend(f: Linear, pull: tuple[float, ...], x: float, y: float, p: Vector) -> tuple[float, float, Vector]:
    """sum l_k h_k'', l = `pull`, in the direction (dx, dy, dp'), as a covector of these; dz adds nothing."""
    s, c, t, u, rho, Q, R, k = f.s, f.c, f.t, f.u, f.rho, f.Q, f.R, f.k
    along, across, (_, d_theta, d_rho) = c * x + s * y, c * y - s * x, p
    d_phi = (p[0] + rho * along + Q * d_rho) / k
    dQ, dR, dt = along + R * d_phi, across - Q * d_phi, -u * d_theta
    dk = -(d_rho * R + rho * dR)
    # sum l_k dh_k = to_Q dQ + to_R dR + to_theta dtheta + to_rho drho + l_3 dphi, and how each changes:
    to_Q, to_R = -pull[0] * rho * Q - pull[1] * t * k - pull[2] * rho, pull[1] * t * Q * rho - pull[0]
    d_to_Q = -pull[0] * (d_rho * Q + rho * dQ) - pull[1] * (dt * k + t * dk) - pull[2] * d_rho
    d_to_R = pull[1] * (dt * Q * rho + t * (dQ * rho + Q * d_rho))
    d_to_theta = pull[1] * u * (dQ * k + Q * dk - 2 * t * d_theta * Q * k)
    d_to_rho = pull[1] * (dt * Q * R + t * (dQ * R + Q * dR)) - pull[0] * Q * dQ - pull[2] * dQ
    d_to_phi = (d_to_Q * R + to_Q * dR - d_to_R * Q - to_R * dQ) / k
    e, m = d_to_Q - to_R * d_phi + rho * d_to_phi, d_to_R + to_Q * d_phi
    return c * e - s * m, s * e + c * m, (d_to_phi, d_to_theta, d_to_rho + Q * d_to_phi)


def variances(cov: tuple[Number, ...]) -> tuple[Number, Number, Number, Number, Number]:
    """The diagonal of the upper triangle `cov`."""
    return cov[0], cov[5], cov[9], cov[12], cov[14]


def plain_chi2(f: Linear, cov: tuple[Number, ...]) -> Number:
    """chi2 as the published code has it: of the measurement's residuals at (v, p), not profiled; variances alone."""
    e1, e2, e3, e4, e5 = f.e
    v1, v2, v3, v4, v5 = variances(cov)
    return e1 * e1 / v1 + e2 * e2 / v2 + e3 * e3 / v3 + e4 * e4 / v4 + e5 * e5 / v5


def point_in(frame: Frame, x: Number, y: Number, z: Number) -> Vector:
    """A point of the laboratory in the frame; its z is not sheared."""
    return frame.c * x + frame.s * y, frame.c * y - frame.s * x, z - frame.z


def point_out(frame: Frame, v: Vector) -> Vector:
    """A point of the frame in the laboratory."""
    return frame.c * v[0] - frame.s * v[1], frame.s * v[0] + frame.c * v[1], v[2] + frame.z


def basis(frame: Frame) -> Rows:
    """b1, b2 and b3 in the laboratory: the rows of U^T."""
    return (frame.c, frame.s, frame.t), (-frame.s, frame.c, 0.0), (0.0, 0.0, 1.0)


def laboratory(frame: Frame) -> Rows:
    """The axes of the laboratory in the basis b: the rows of U."""
    return (frame.c, -frame.s, 0.0), (frame.s, frame.c, 0.0), (frame.t, 0.0, 1.0)


def distance(frame: Frame, v: Vector, place: Vector) -> Vector:
    """From the point v to a place, both in the frame, in the basis b."""
    x = place[0] - v[0]
    return x, place[1] - v[1], place[2] - v[2] - frame.t * x
