"""A distribution before and after a cut: unit-area shapes, their errors and correlations.

Rows that pass are among all rows, so both histograms fluctuate together. Every number here is a smooth function of
sums over rows; a row k with weight u_k and, after the cut, u_k t_k (t_k = 0 where it does not pass) changes them by

    d a_i = u_k (1[k in i] - a_i) / N                before: a_i = N_i / N
    d b_i = u_k t_k (1[k in i] - b_i) / M            after:  b_i = M_i / M

and sums of products of these over all rows are the variances and covariances, to first order: normalisation and
overlap are in them. For weights of 1 this is the multinomial covariance.

Re-weighting in bins c of another quantity multiplies what passes by f_c = n_c / p_c (all over passing, sums of
weights). The factors are of the same rows, which adds r_ci = p_ci / p_c, the shape of what passes in bin c:

    d M_i = u_k (r_ci + t_k f_c (1[k in i] - r_ci)),   d M = u_k
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.statistics import chi2_probability, wilson_interval
from engine.evaluation.unavailable import UnavailableError


@dataclass(frozen=True)
class Shapes:
    """Unit-area histograms before and after, and their covariances.

    Attributes:
        before, after: shape (bins,), each adding up to 1.
        before_covariance, after_covariance, covariance: shape (bins, bins); the last between before and after.
        counts: effective number of rows before, shape (bins,).
        unanimous: whether all rows of a bin pass, or none, or there is none, shape (bins,).
        efficiency: sum of weights after over that before.
        unreachable: share of the weight before that lies in bins of the re-weighting where nothing passes.
    """

    before: Array
    after: Array
    before_covariance: Array
    after_covariance: Array
    covariance: Array
    counts: Array
    unanimous: Array
    efficiency: float
    unreachable: float = 0.0

    @property
    def asymmetry(self) -> tuple[Array, Array]:
        """(before - after) / (before + after) and its error; NaN where both are empty.

        Where all rows of a bin pass, or none, the linear error knows of no fluctuation in it; the Wilson interval does.
        """
        a, b = self.before, self.after
        variance = b**2 * np.diag(self.before_covariance) + a**2 * np.diag(self.after_covariance)
        variance = variance - 2 * a * b * np.diag(self.covariance)
        with np.errstate(all="ignore"):
            ratio, error = (a - b) / (a + b), 2 * np.sqrt(np.maximum(variance, 0.0)) / (a + b) ** 2
        if not self.unanimous.all():  # else everything passes, and there is no cut that could fluctuate
            for i in np.flatnonzero(self.unanimous & (a > 0)).tolist():
                error[i] = math.hypot(error[i], self._wilson_error(i))
        return ratio, error

    def _wilson_error(self, i: int) -> float:
        """Half of what the asymmetry of a bin changes while the efficiency in it moves through its Wilson interval."""
        share = float(self.after[i] / self.before[i])
        low, high = wilson_interval(1.0 if share > 0 else 0.0, float(self.counts[i]))
        ends = (share * low, share) if share > 0 else (0.0, high / self.efficiency)
        return abs((1 - ends[0]) / (1 + ends[0]) - (1 - ends[1]) / (1 + ends[1])) / 2

    @property
    def difference(self) -> tuple[Array, Array]:
        """Before minus after, and the covariance of it."""
        covariance = self.before_covariance + self.after_covariance - self.covariance - self.covariance.T
        return self.before - self.after, covariance

    @property
    def pull(self) -> Array:
        """The difference over its error; NaN where there is none."""
        difference, covariance = self.difference
        variance = np.diag(covariance)
        smallest = 1e-12 * np.diag(self.before_covariance)  # rounding, where everything or nothing passes
        with np.errstate(all="ignore"):
            return np.where(variance > smallest, difference / np.sqrt(np.abs(variance)), np.nan)

    @property
    def chi2(self) -> tuple[float, int, float]:
        """Chi squared of the difference with all correlations, its degrees of freedom and its probability."""
        difference, covariance = self.difference
        values, vectors = np.linalg.eigh(covariance)
        scale = float(np.diag(self.before_covariance).max(initial=0.0))
        used = values > 1e-9 * max(scale, float(values.max(initial=0.0)))
        total = float((np.square(vectors.T @ difference)[used] / values[used]).sum())
        degrees = int(used.sum())
        return total, degrees, chi2_probability(total, degrees)


def shapes(
    index: Array,
    bins: int,
    weights: Array,
    factors: Array,
    group: Array | None = None,
    expected: tuple[Array, Array] | None = None,
) -> Shapes:
    """The shapes of a variable before and after.

    Args:
        index: bin of each row, -1 for none, shape (n,).
        bins: number of bins.
        weights: before the cut, shape (n,).
        factors: on the weight after the cut; 0 for rows that do not pass, shape (n,).
        group: bin of the re-weighting of each row, from 0, shape (n,); None for no re-weighting.
        expected: expected factor and expected square of it, shape (n,), where chance alone decides what passes; the
            covariances then do not depend on how few rows of a bin happened to pass.

    Raises:
        UnavailableError: nothing is left.
    """
    inside = index >= 0
    column = np.zeros(len(index), dtype=np.int64) if group is None else group.astype(np.int64)
    groups = int(column.max(initial=0)) + 1
    cell = (column * bins + index)[inside]
    weight, factor = weights[inside], factors[inside]

    def sums(values: Array) -> Array:
        return np.bincount(cell, values, minlength=groups * bins).reshape(groups, bins)

    all_rows, passing = sums(weight), sums(weight * factor)
    if all_rows.sum() <= 0 or passing.sum() <= 0:
        what = "there is no row" if all_rows.sum() <= 0 else "no row passes the cut"
        message = f"{what} (in the range of the variable, with a positive sum of weights)"
        raise UnavailableError(message)
    first, second = (factor, factor**2) if expected is None else (each[inside] for each in expected)
    squares = np.stack([sums(weight**2 * power) for power in (np.ones(len(weight)), first, second)])
    if group is None:
        return _moments(all_rows, passing.sum(axis=0), squares, np.ones(1), passing / passing.sum(), None)
    totals = passing.sum(axis=1)
    reached = totals > 0
    scale = np.divide(all_rows.sum(axis=1), totals, out=np.zeros(groups), where=reached)
    own = np.divide(passing, totals[:, None], out=np.zeros_like(passing), where=reached[:, None])
    return _moments(all_rows, scale @ passing, squares, scale, own, reached)


def _moments(all_rows: Array, after: Array, squares: Array, scale: Array, own: Array, reached: Array | None) -> Shapes:
    """Shapes and covariances from sums in cells of (group, bin).

    Args:
        all_rows: sums of weights before, shape (groups, bins).
        after: re-weighted sums after, shape (bins,).
        squares: sums of u^2 t^p for p of 0, 1, 2, shape (3, groups, bins).
        scale: f of each group.
        own: r of each group, shape (groups, bins).
        reached: groups where something passes; None without re-weighting.
    """
    before = all_rows.sum(axis=0)
    total, total_after = float(before.sum()), float(after.sum())
    a, b = before / total, after / total_after
    bins = len(a)
    unit = np.eye(bins)
    moved = unit - a  # row j: what a row in bin j does to the shape before
    first = moved.T @ (squares[0].sum(axis=0)[:, None] * moved)
    both, second = np.zeros((bins, bins)), np.zeros((bins, bins))
    for group in range(len(all_rows)):
        zero, one, two = squares[:, group]
        common = (own[group] - b) if reached is not None and reached[group] else np.zeros(bins)
        passed = scale[group] * (unit - own[group])
        both += moved.T @ (zero[:, None] * common + one[:, None] * passed)
        cross = np.outer(common, one @ passed)
        second += zero.sum() * np.outer(common, common) + cross + cross.T + passed.T @ (two[:, None] * passed)
    unreachable = 0.0 if reached is None else float(all_rows[~reached].sum()) / total
    zero, one, two = squares.sum(axis=1)
    counts = np.divide(before**2, zero, out=np.zeros(bins), where=zero > 0)
    unanimous = zero * two <= one**2 * (1 + 1e-9)  # all t of a bin are the same
    covariances = first / total**2, second / total_after**2, both / (total * total_after)
    return Shapes(a, b, *covariances, counts, unanimous, total_after / total, unreachable)
