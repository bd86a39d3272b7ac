"""The track model of the vertex fit in plain torch: the same equations as mathematics.h, element by element.

Only elementary operations, so that the same code is the test oracle and the ONNX decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Triple = tuple[Tensor, Tensor, Tensor]
Symmetric = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Entries 11, 12, 13, 22, 23, 33."""


@dataclass(frozen=True)
class Frame:
    """Rotated by the reference track's phi, z from its z0, basis b1 = (1, 0, t), b2 = (0, 1, 0), b3 = (0, 0, 1)."""

    c: Tensor
    s: Tensor
    t: Tensor
    phi: Tensor
    z: Tensor

    def point_in(self, v: Tensor) -> Triple:
        """A point of the laboratory, (..., 3)."""
        x, y, z = v.unbind(-1)
        return self.c * x + self.s * y, self.c * y - self.s * x, z - self.z

    def point_out(self, v: Triple) -> Tensor:
        """A point of the frame in the laboratory."""
        x, y, z = v
        return torch.stack([self.c * x - self.s * y, self.s * x + self.c * y, z + self.z], dim=-1)

    def matrix_in(self, m: Tensor) -> Symmetric:
        """U^T m U for a matrix (..., 3, 3); its antisymmetric part is ignored."""
        m = 0.5 * (m + m.mT)
        u = self._columns()
        rows = [[sum(m[..., i, j] * b[j] for j in range(3)) for i in range(3)] for b in u]
        return _pairs(lambda a, b: sum(u[b][i] * rows[a][i] for i in range(3)))

    def matrix_out(self, m: Symmetric) -> Tensor:
        """U m U^T as (..., 3, 3)."""
        u, full = self._columns(), [[m[0], m[1], m[2]], [m[1], m[3], m[4]], [m[2], m[4], m[5]]]

        def entry(i: int, j: int) -> Tensor:
            return sum(u[a][i] * full[a][b] * u[b][j] for a in range(3) for b in range(3))  # type: ignore[return-value]

        return torch.stack([torch.stack([entry(i, j) for j in range(3)], dim=-1) for i in range(3)], dim=-2)

    def _columns(self) -> list[Triple]:
        zero, one = torch.zeros_like(self.c), torch.ones_like(self.c)
        return [(self.c, self.s, self.t), (-self.s, self.c, zero), (zero, zero, one)]


def _pairs(entry: object) -> Symmetric:
    return tuple(entry(a, b) for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))  # type: ignore[operator,return-value]


@dataclass(frozen=True)
class Linear:
    """A track linearised at (v, p): residuals y, multipliers l, weight matrix W, and the rows of D and K."""

    s: Tensor
    c: Tensor
    e: tuple[Tensor, ...]
    y: tuple[Tensor, Tensor]
    d: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
    w: Triple
    x: tuple[Triple, Triple]
    shape: tuple[Tensor, ...]  # t, u, Q, R, k, G2, g, a, rho

    def multipliers(self, r1: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
        """W (r1, r2)."""
        w11, w12, w22 = self.w
        return w11 * r1 + w12 * r2, w12 * r1 + w22 * r2

    def information(self) -> Symmetric:
        """D^T W D in the basis b."""
        (d11, d12), (d21, d22) = self.d
        w11, w12, w22 = self.w
        a1, a2, b1, b2 = w11 * d11 + w12 * d21, w11 * d12 + w12 * d22, w12 * d11 + w22 * d21, w12 * d12 + w22 * d22
        return d11 * a1 + d21 * b1, d11 * a2 + d21 * b2, b1, d12 * a2 + d22 * b2, b2, w22


def linearise(
    q: Triple | tuple[Tensor, ...], cov: list[list[Tensor]], v: Triple, p: Triple, t0: Tensor, approximate: bool
) -> Linear:
    """Linearise tracks at the points v (x, y, z) and momenta p (phi, theta, rho) of their frames.

    Args:
        q: d0, z0, phi, theta, rho.
        cov: the covariance's entries, cov[i][j] for i <= j.
        t0: cot(theta) of the frame.
        approximate: the Jacobians of the published code instead of the exact ones.
    """
    phi, theta, rho = p
    s, c, sine = torch.sin(phi), torch.cos(phi), torch.sin(theta)
    t = torch.cos(theta) / sine
    u, Q, R = 1 + t * t, v[0] * c + v[1] * s, v[1] * c - v[0] * s
    k = 1 - rho * R
    G2 = rho * Q * Q / k
    g, a = R + G2, 1 + rho * G2
    e = (q[0] + R + 0.5 * rho * Q * Q, q[1] - v[2] + t * Q * k, q[2] - phi + rho * Q, q[3] - theta, q[4] - rho)  # type: ignore[misc]
    zero = torch.zeros_like(Q)
    if approximate:
        stretch = t * (1 + rho * R)
        d = ((s + rho * Q * c, rho * Q * s - c), (t0 - stretch * c, -stretch * s))
        k2 = (-t * R, Q * u, zero)
    else:
        d = ((s, -c), (t0 - t * (c * a + rho * Q * s), t * (rho * Q * c - s * a)))
        k2 = (-t * g, Q * k * u, -t * Q * G2)
    k1 = (Q, zero, 0.5 * Q * Q)
    y = (e[0] - k1[0] * e[2] - k1[2] * e[4], e[1] - k2[0] * e[2] - k2[1] * e[3] - k2[2] * e[4])
    x, w = project(cov, k1, k2)
    return Linear(s, c, e, y, d, w, x, (t, u, Q, R, k, G2, g, a, rho))


def project(cov: list[list[Tensor]], k1: Triple, k2: Triple) -> tuple[tuple[Triple, Triple], Triple]:
    """X = N^T V E and W = (N^T V N)^-1 with N = [1; -K^T]."""

    def v(i: int, j: int) -> Tensor:
        return cov[min(i, j)][max(i, j)]

    def row(i: int, k: Triple) -> Triple:
        return tuple(v(i, j) - sum(k[m] * v(2 + m, j) for m in range(3)) for j in (2, 3, 4))  # type: ignore[return-value]

    x1, x2 = row(0, k1), row(1, k2)
    c11 = v(0, 0) - sum(k1[m] * v(2 + m, 0) for m in range(3)) - sum(x1[m] * k1[m] for m in range(3))
    c12 = v(0, 1) - sum(k1[m] * v(2 + m, 1) for m in range(3)) - sum(x1[m] * k2[m] for m in range(3))
    c22 = v(1, 1) - sum(k2[m] * v(2 + m, 1) for m in range(3)) - sum(x2[m] * k2[m] for m in range(3))
    inverse = 1 / (c11 * c22 - c12 * c12)
    return (x1, x2), (c22 * inverse, -c12 * inverse, c11 * inverse)


def turning(f: Linear, l1: Tensor, l2: Tensor) -> tuple[Tensor, Tensor]:
    """What the gradient of the objective gains when p moves to its best value at this vertex (mathematics.h:
    turning).
    """
    t, u, Q = f.shape[:3]
    shift = [f.e[2 + m] - (f.x[0][m] * l1 + f.x[1][m] * l2) for m in range(3)]
    e, m = l1 * (shift[0] + Q * shift[2]) + l2 * u * shift[1], -l2 * t * shift[0]
    return f.c * e - f.s * m, f.s * e + f.c * m


def moved(f: Linear, q: tuple[Tensor, ...], step: Triple, p: Triple, approximate: bool) -> Triple:
    """The momenta after the vertex moved by `step` (in the basis b)."""
    (d11, d12), (d21, d22) = f.d
    l1, l2 = f.multipliers(f.y[0] - (d11 * step[0] + d12 * step[1]), f.y[1] - (d21 * step[0] + d22 * step[1] + step[2]))
    shift = [f.x[0][m] * l1 + f.x[1][m] * l2 for m in range(3)]
    rho, theta, Q, k = q[4] - shift[2], q[3] - shift[1], f.shape[2], f.shape[4]
    turn = f.e[2] + p[2] * (f.c * step[0] + f.s * step[1]) - shift[0] + Q * (rho - p[2])
    return p[0] + (turn if approximate else turn / k), theta, rho


def factor(m: Symmetric) -> tuple[Tensor, ...]:
    """L D L^T, eliminated in the order 3, 2, 1: i3, m1, m2, i2, n, pivot2, pivot1, i1."""
    a11, a12, a13, a22, a23, a33 = m
    i3 = 1 / a33
    m1, m2 = a13 * i3, a23 * i3
    pivot2, b12 = a22 - a23 * m2, a12 - a13 * m2
    i2 = 1 / pivot2
    n = b12 * i2
    pivot1 = (a11 - a13 * m1) - b12 * n
    return i3, m1, m2, i2, n, pivot2, pivot1, 1 / pivot1


def solve(factors: tuple[Tensor, ...], b: Triple) -> Triple:
    """M^-1 b."""
    i3, m1, m2, i2, n, _, _, i1 = factors
    b2 = b[1] - m2 * b[2]
    x1 = (b[0] - m1 * b[2] - n * b2) * i1
    x2 = b2 * i2 - n * x1
    return x1, x2, b[2] * i3 - m1 * x1 - m2 * x2


def inverse(factors: tuple[Tensor, ...]) -> Symmetric:
    """M^-1."""
    i3, m1, m2, i2, n, _, _, i1 = factors
    l31 = m2 * n - m1
    return i1, -n * i1, l31 * i1, i2 + n * n * i1, -m2 * i2 - n * l31 * i1, i3 + m2 * m2 * i2 + l31 * l31 * i1


def congruent(a: Symmetric, m: Symmetric) -> Symmetric:
    """a m a for symmetric a and m."""
    fa = [[a[0], a[1], a[2]], [a[1], a[3], a[4]], [a[2], a[4], a[5]]]
    fm = [[m[0], m[1], m[2]], [m[1], m[3], m[4]], [m[2], m[4], m[5]]]
    rows = [[sum(fa[i][k] * fm[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    return _pairs(lambda i, j: sum(rows[i][k] * fa[k][j] for k in range(3)))
