"""Statistical errors of weighted counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.data.columns import Array

ONE_SIGMA = 1.0
CONFIDENCE = 0.95  # of limits, as is usual in the field


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


def limit_where_none_passes(count: float) -> float:
    """Upper limit (95 % CL) on the efficiency of a cut that none of `count` rows passes.

    That of C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404: the efficiency e with (1 - e)^n = 0.05, which is
    3.0 / n for many rows. Weighted rows enter with their effective number.

    Example:
        >>> round(limit_where_none_passes(1000), 6)
        0.002991
    """
    return 1.0 if count <= 0 else float(-np.expm1(math.log(1 - CONFIDENCE) / count))


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


def ratio_of_sums(numerators: Array, denominators: Array, weights: Array) -> tuple[float | None, float | None]:
    """Sum over sum, of things that come in rows, and its error: the things of one row need not be independent.

    The linear approximation of the error of a ratio estimator: sum w^2 (a - r b)^2 / (sum w b)^2, times n / (n - 1)
    for n rows with b > 0. Where all of them agree that is no error; then half of the Wilson interval of n tries is.

    Args:
        numerators, denominators: of each row, shape (n,).
        weights: of each row, shape (n,).

    Returns:
        None for both where the denominators sum to 0.
    """
    total = float((weights * denominators).sum())
    if total <= 0:
        return None, None
    ratio = float((weights * numerators).sum()) / total
    rows = int((denominators > 0).sum())
    variance = float(np.square(weights * (numerators - ratio * denominators)).sum()) / total**2
    if rows < 2 or variance < 1e-12 * ratio**2 or ratio <= 0:
        low, high = wilson_interval(ratio, rows)
        return ratio, (high - low) / 2
    return ratio, math.sqrt(variance * rows / (rows - 1))


def weighted_quantiles(values: Array, weights: Array, at: Sequence[float]) -> list[float]:
    """Weighted quantiles of values, shape (n,): where the running sum of weights reaches them."""
    order = np.argsort(values, kind="stable")
    weight = weights[order]
    shares = (np.cumsum(weight) - weight / 2) / weight.sum()
    return [float(np.interp(share, shares, values[order])) for share in at]


def core_width(values: Array, weights: Array) -> tuple[float, float]:
    """Half the distance between the 16 % and the 84 % quantile, and its error.

    The error of a quantile is the distance to the quantiles at one binomial standard deviation (large samples); the
    two ends are correlated with p (1 - q) / sqrt(p (1 - p) q (1 - q)).
    """
    low, high = 0.16, 0.84
    spread = math.sqrt(low * (1 - low) / max(effective_count(weights), 1.0))
    around = [low - spread, low, low + spread, high - spread, high, high + spread]
    marks = weighted_quantiles(values, weights, [min(max(share, 0.0), 1.0) for share in around])
    errors = (marks[2] - marks[0]) / 2, (marks[5] - marks[3]) / 2
    correlation = low * (1 - high) / (low * (1 - low))
    variance = errors[0] ** 2 + errors[1] ** 2 - 2 * correlation * errors[0] * errors[1]
    return (marks[4] - marks[1]) / 2, math.sqrt(max(variance, 0.0)) / 2


def weighted_mean(values: Array, weights: Array) -> tuple[float, float, float]:
    """Mean, its error and the standard deviation; a single row has no error, which is NaN."""
    mean = float(np.average(values, weights=weights))
    variance = max(float(np.average((values - mean) ** 2, weights=weights)), 0.0)
    freedom = effective_count(weights) - 1  # the mean is of the same rows
    return mean, math.sqrt(variance / freedom) if freedom > 1e-9 else math.nan, math.sqrt(variance)


def chi2_probability(chi2: float, degrees: int) -> float:
    """Probability of a larger chi squared by chance."""
    import torch

    if degrees <= 0:
        return 1.0
    shape, value = (torch.tensor(each / 2, dtype=torch.float64) for each in (float(degrees), max(chi2, 0.0)))
    return float(torch.special.gammaincc(shape, value))


def binomial_probability(passed: int, count: int, fraction: float) -> float:
    """Two-sided exact probability: of all numbers that are as improbable as `passed` or more so, together.

    Args:
        passed: successes.
        count: tries.
        fraction: probability of a success.
    """
    if fraction <= 0 or fraction >= 1:
        return 1.0 if passed == round(count * min(max(fraction, 0.0), 1.0)) else 0.0
    logarithms = np.r_[0.0, np.cumsum(np.log(np.arange(1, count + 1)))]
    numbers = np.arange(count + 1)
    choose = logarithms[count] - logarithms - logarithms[::-1]
    density = np.exp(choose + numbers * math.log(fraction) + (count - numbers) * math.log1p(-fraction))
    return min(1.0, float(density[density <= density[passed] * (1 + 1e-7)].sum()))
