"""Weighted histograms with their statistical errors, drawn as steps, as points, and as a ratio of the two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.plots.binned import mark_outside

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Histogram:
    """Sums of weights in bins.

    Attributes:
        edges: shape (bins + 1,).
        sums, errors: sum of weights and root of the sum of squared weights, shape (bins,).
        rows: number of rows.
        below, above: number of those that are outside of the edges.
    """

    edges: Array
    sums: Array
    errors: Array
    rows: int
    below: int = 0
    above: int = 0

    @property
    def outside(self) -> str:
        """`outside: 12 below, 30 above`; empty where there are none."""
        return f"outside: {self.below:,} below, {self.above:,} above" if self.below or self.above else ""

    @property
    def centres(self) -> Array:
        """Middle of each bin."""
        centres: Array = (self.edges[1:] + self.edges[:-1]) / 2
        return centres

    def scaled_to_one(self, total: float | None = None) -> Histogram:
        """Bin contents as shares of `total`, by default of their own sum; unchanged where that is not positive."""
        total = float(self.sums.sum()) if total is None else total
        factor = 1 / total if total > 0 else 1.0
        return replace(self, sums=self.sums * factor, errors=self.errors * factor)


def fill(values: Array, weights: Array, edges: Array, keep: bool = True) -> Histogram:
    """Histogram of values, shape (n,).

    Those outside of the edges are counted, and go to the first and last bin, so that none is lost; with `keep=False`
    they are in no bin.
    """
    below, above = values < edges[0], values > edges[-1]
    taken = np.ones(len(values), dtype=bool) if keep else ~(below | above)
    index = np.clip(np.searchsorted(edges, values[taken], side="right") - 1, 0, len(edges) - 2)
    sums = np.bincount(index, weights[taken], minlength=len(edges) - 1)
    squares = np.bincount(index, np.square(weights[taken]), minlength=len(edges) - 1)
    return Histogram(edges, sums, np.sqrt(squares), len(values), int(below.sum()), int(above.sum()))


def draw_steps(axes: Axes, histogram: Histogram, label: str, filled: bool = False, **look: Any) -> None:
    """A stepped line, or a filled area, with a band for the statistical error."""
    if filled:
        axes.stairs(histogram.sums, histogram.edges, fill=True, alpha=0.35, color=look["color"], label=label)
        axes.stairs(histogram.sums, histogram.edges, color=look["color"], linewidth=1.2)
    else:
        axes.stairs(histogram.sums, histogram.edges, label=label, linewidth=1.8, **look)
    draw_band(axes, histogram.edges, histogram.sums, histogram.errors, look["color"])


def draw_band(axes: Axes, edges: Array, middle: Array, errors: Array, colour: str) -> None:
    """A light band of +-1 standard deviation."""
    axes.stairs(middle + errors, edges, baseline=middle - errors, fill=True, alpha=0.25, color=colour, linewidth=0)


def draw_points(axes: Axes, histogram: Histogram, label: str, colour: str = "black") -> None:
    """Points with error bars; empty bins have none."""
    used = histogram.sums != 0
    axes.errorbar(
        histogram.centres[used],
        histogram.sums[used],
        yerr=histogram.errors[used],
        xerr=np.diff(histogram.edges)[used] / 2,
        fmt="o",
        color=colour,
        markersize=4.5,
        elinewidth=1.2,
        label=label,
    )


def draw_ratio(axes: Axes, above: Histogram, below: Histogram, title: str, colour: str) -> None:
    """Ratio of two histograms: points carry the errors of `above`, the band those of `below`.

    Points that are outside the panel are shown as triangles at its edge.
    """
    used = (below.sums > 0) & (above.sums != 0)
    ratio = np.divide(above.sums, below.sums, out=np.ones_like(above.sums), where=used)
    errors = np.divide(above.errors, below.sums, out=np.zeros_like(above.sums), where=used)
    relative = np.divide(below.errors, below.sums, out=np.zeros_like(below.sums), where=below.sums > 0)
    low, high = _ratio_range(ratio[used])
    draw_band(axes, below.edges, np.ones_like(relative), relative, colour)
    axes.axhline(1, color="black", linewidth=0.8)
    inside = used & (ratio >= low) & (ratio <= high)
    axes.errorbar(
        above.centres[inside],
        ratio[inside],
        yerr=errors[inside],
        xerr=np.diff(above.edges)[inside] / 2,
        fmt="o",
        color="black",
        markersize=3.5,
        elinewidth=1.0,
    )
    axes.set_ylim(low, high)
    mark_outside(axes, above.centres[used], ratio[used])
    axes.minorticks_off()
    axes.set_ylabel(title, loc="center", fontsize=12)


def _ratio_range(ratio: Array) -> tuple[float, float]:
    """Limits that hold most of the points: 1 +- 0.25, 0.5 or 1."""
    spread = float(np.quantile(np.abs(ratio - 1), 0.9)) if len(ratio) else 0.0
    half = next((step for step in (0.25, 0.5) if spread < 0.8 * step), 1.0)
    return 1 - half, 1 + half
