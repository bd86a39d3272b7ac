"""Vectors and symmetric matrices of three dimensions, as tuples of numbers: floats, or tensors of them.

Nothing but arithmetic, so that one text serves twice: torch runs it on tensors, numba compiles it for floats.
"""

from __future__ import annotations

from typing import Any

Number = Any
"""A float, or a tensor of them."""
Vector = tuple[Number, Number, Number]
Rows = tuple[Vector, Vector, Vector]
"""A matrix by its rows."""
Symmetric = tuple[Number, Number, Number, Number, Number, Number]
"""Entries 11, 12, 13, 22, 23, 33."""


def dot(a: Vector, b: Vector) -> Number:
    """a b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def mix(a: Number, x: Vector, b: Number, y: Vector) -> Vector:
    """a x + b y."""
    return a * x[0] + b * y[0], a * x[1] + b * y[1], a * x[2] + b * y[2]


def times(m: Rows, v: Vector) -> Vector:
    """M v."""
    return dot(m[0], v), dot(m[1], v), dot(m[2], v)


def rows(m: Symmetric) -> Rows:
    """The rows of a symmetric matrix."""
    return (m[0], m[1], m[2]), (m[1], m[3], m[4]), (m[2], m[4], m[5])


def symmetric(entries: Any) -> Symmetric:
    """The six entries that a row of an array or a longer tuple begins with."""
    return entries[0], entries[1], entries[2], entries[3], entries[4], entries[5]


def plus(m: Symmetric, a: Number, n: Symmetric) -> Symmetric:
    """M + a N."""
    return m[0] + a * n[0], m[1] + a * n[1], m[2] + a * n[2], m[3] + a * n[3], m[4] + a * n[4], m[5] + a * n[5]


def inner(m: Symmetric, n: Symmetric) -> Number:
    """The sum of the products of all entries."""
    return m[0] * n[0] + m[3] * n[3] + m[5] * n[5] + 2 * (m[1] * n[1] + m[2] * n[2] + m[4] * n[4])


def congruent(a: Rows, m: Symmetric) -> Symmetric:
    """A M A^T."""
    r = rows(m)
    m1, m2, m3 = times(r, a[0]), times(r, a[1]), times(r, a[2])
    return dot(a[0], m1), dot(a[0], m2), dot(a[0], m3), dot(a[1], m2), dot(a[1], m3), dot(a[2], m3)


def stiffened(s: Rows, m: Rows) -> Rows:
    """(1 - S M)^-1 S for symmetric S and M: (S^-1 - M)^-1, also where S has no inverse."""
    (a11, a12, a13), (a21, a22, a23), (a31, a32, a33) = times(m, s[0]), times(m, s[1]), times(m, s[2])
    b11, b22, b33 = 1 - a11, 1 - a22, 1 - a33
    c11, c12, c13 = b22 * b33 - a23 * a32, a12 * b33 + a13 * a32, a12 * a23 + a13 * b22
    c21, c22, c23 = a21 * b33 + a23 * a31, b11 * b33 - a13 * a31, a23 * b11 + a13 * a21
    c31, c32, c33 = a21 * a32 + a31 * b22, a32 * b11 + a31 * a12, b11 * b22 - a12 * a21
    d = 1 / (b11 * c11 - a12 * c21 - a13 * c31)
    return (
        times(s, (d * c11, d * c12, d * c13)),
        times(s, (d * c21, d * c22, d * c23)),
        times(s, (d * c31, d * c32, d * c33)),
    )


def factor(m: Symmetric) -> tuple[Number, ...]:
    """L D L^T, eliminated in the order 3, 2, 1: i3, m1, m2, i2, n, pivot2, pivot1, i1.

    The direction of the jet is 1; its pivot comes last.
    """
    a11, a12, a13, a22, a23, a33 = m
    i3 = 1 / a33
    m1, m2 = a13 * i3, a23 * i3
    pivot2, b12 = a22 - a23 * m2, a12 - a13 * m2
    i2 = 1 / pivot2
    n = b12 * i2
    pivot1 = (a11 - a13 * m1) - b12 * n
    return i3, m1, m2, i2, n, pivot2, pivot1, 1 / pivot1


def solve(factors: tuple[Number, ...], b: Vector) -> Vector:
    """M^-1 b."""
    i3, m1, m2, i2, n, _, _, i1 = factors
    b2 = b[1] - m2 * b[2]
    x1 = (b[0] - m1 * b[2] - n * b2) * i1
    x2 = b2 * i2 - n * x1
    return x1, x2, b[2] * i3 - m1 * x1 - m2 * x2


def inverse(m: Symmetric) -> Symmetric:
    """M^-1."""
    i3, m1, m2, i2, n, _, _, i1 = factor(m)
    l31 = m2 * n - m1
    return i1, -n * i1, l31 * i1, i2 + n * n * i1, -m2 * i2 - n * l31 * i1, i3 + m2 * m2 * i2 + l31 * l31 * i1
