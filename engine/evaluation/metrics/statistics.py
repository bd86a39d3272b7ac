"""Statistical errors of weighted counts."""

from __future__ import annotations

import math

import numpy as np

from engine.data.columns import Array

ONE_SIGMA = 1.0


def effective_count(weights: Array) -> float:
    """Number of rows of weight 1 that would fluctuate as much: (sum w)^2 / sum w^2; 0 for no rows."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def wilson_interval(fraction: float, count: float, sigmas: float = ONE_SIGMA) -> tuple[float, float]:
    """Interval of a fraction of `count` rows: never empty, never outside [0, 1] (E. B. Wilson, JASA 22 (1927) 209).

    Weighted rows enter with their effective number.
    """
    if count <= 0:
        return 0.0, 1.0
    square = sigmas**2
    fraction = min(max(fraction, 0.0), 1.0)
    centre = (fraction + square / (2 * count)) / (1 + square / count)
    half = sigmas / (1 + square / count) * math.sqrt(fraction * (1 - fraction) / count + square / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def weighted_fraction(passes: Array, weights: Array) -> tuple[float, float]:
    """Weighted fraction of the rows that pass, and its error from the squares of the weights.

    The error is zero where all or none pass; `wilson_interval` is the better choice there.
    """
    total = float(weights.sum())
    fraction = float(weights[passes].sum()) / total
    squares = np.square(weights)
    variance = (1 - fraction) ** 2 * float(squares[passes].sum()) + fraction**2 * float(squares[~passes].sum())
    return fraction, math.sqrt(variance) / abs(total)


def kolmogorov_probability(distance: float, count: float) -> float:
    """Probability of a larger Kolmogorov-Smirnov distance by chance, for `count` = n1 n2 / (n1 + n2) effective rows.

    The asymptotic series with the correction of M. A. Stephens, J. R. Stat. Soc. B 32 (1970) 115; good for count >= 4.
    """
    if count <= 0:
        return 1.0
    root = math.sqrt(count)
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:
        return 1.0
    series: float = sum((-1.0) ** (k - 1) * math.exp(-2 * k**2 * x**2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * series))
