"""Distributions of output minus target, linear and logarithmic, and in units of the error that the network gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.differences import Differences, differences
from engine.evaluation.metrics.residuals import chosen_components
from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.numbers import with_error
from engine.evaluation.plots.histograms import Histogram, draw_band, draw_steps, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import colour, legend_above, log_height, new_figure, stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 60
WIDTHS = 5.0  # half the range of the abscissa, in widths of the distribution
FAR = 0.999  # share of the rows that the logarithmic panel holds at least
PULLS = 5.0  # half the range of the pulls


@plot("residuals")
def residuals(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each computed set of residuals, with a column for each component, and one with the pulls."""
    drawings = []
    results = context.results_of("residuals", metric)
    for result in results:
        stem = file_name(name, results, result)
        reason = result.reason or result.parts[0].reason
        if reason is not None:
            drawings.append(empty_drawing(stem, reason))
            continue
        options, rows = result.options, context.rows_of(result)
        found = differences(rows, options["of"], options["target"], options["weight"], options["covariance"])
        chosen = chosen_components(found, options["component"])
        drawings.append(_residuals(context, stem, result, found, chosen))
        if found.pulls is not None:
            drawings.append(_pulls(context, f"{stem}_pulls", result, found, chosen))
    return drawings


def _numbers(result: MetricResult, found: Differences, index: int) -> dict[str, Any]:
    """What was computed for a component of all rows."""
    component = found.components[index]
    parts = [part for part in result.parts if part.labels["group"] == "all"]
    part = next(part for part in parts if part.labels.get("component", "") == component)
    return dict(part.values)


def _residuals(
    context: PlotContext, name: str, result: MetricResult, found: Differences, chosen: Sequence[int]
) -> Drawing:
    figure = new_figure(max(7.0, 5.2 * len(chosen)), 8.0)
    grid = figure.subplots(2, len(chosen), squeeze=False)
    for place, index in enumerate(chosen):
        numbers = _numbers(result, found, index)
        values, weights = found.values[:, index], found.weights
        centre, width = numbers["quantiles"]["0.5"], numbers["width"] or numbers["standard_deviation"] or 1.0
        core, tails = grid[0, place], grid[1, place]
        _core(core, values, weights, centre, WIDTHS * width, numbers)
        far = float(np.quantile(np.abs(values - centre), FAR))
        _tails(tails, values, weights, centre, max(2 * WIDTHS * width, 1.1 * far))
        for axes in (core, tails):
            axes.set_xlabel(_title(found, index))
        for axes in (core, tails) if place == 0 else ():
            axes.set_ylabel("Sum of weights per bin")
    stamp(grid[0, 0], context.title, "" if len(chosen) > 1 else f"{context.predictions.which} split")
    stamp(grid[0, -1], "" if len(chosen) > 1 else context.title, f"{context.predictions.which}, {len(values):,} rows")
    caption = (
        "Output minus target: the core above, the tails below on a logarithmic scale. Rows outside of an axis are not "
        "drawn; their numbers stand in the panel."
    )
    return Drawing(name, figure, caption)


def _title(found: Differences, index: int) -> str:
    component = f" {found.components[index]}" if found.components[index] else ""
    unit = f" [{found.unit}]" if found.unit else ""
    what = (
        f"{found.output}{component} − target"
        if found.output != found.target
        else f"{found.output}{component}: output − target"
    )
    return what + unit


def _core(axes: Axes, values: Array, weights: Array, centre: float, half: float, numbers: dict[str, Any]) -> None:
    """The middle of the distribution."""
    histogram = fill(values, weights, np.linspace(centre - half, centre + half, BINS + 1), keep=False)
    label = f"mean {with_error(numbers['mean'], numbers['mean_error'])}\n68 % within ±{numbers['width']:.4g}"
    label += f"\n{histogram.outside}" if histogram.outside else ""
    draw_steps(axes, histogram, label, filled=True, color=colour(0))
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.set_ylim(0, 1.05 * float((histogram.sums + histogram.errors).max()))
    legend_above(axes, columns=1, floor=0.0)


def _tails(axes: Axes, values: Array, weights: Array, centre: float, half: float) -> None:
    """The distribution with its tails on a logarithmic scale."""
    histogram = fill(values, weights, np.linspace(centre - half, centre + half, 2 * BINS + 1), keep=False)
    draw_steps(axes, histogram, histogram.outside, filled=True, color=colour(0))
    positive = histogram.sums[histogram.sums > 0]
    lowest, highest = (float(positive.min()), float(positive.max())) if len(positive) else (0.5, 1.0)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    log_height(axes, lowest, highest)
    legend_above(axes, columns=1)


def _pulls(context: PlotContext, name: str, result: MetricResult, found: Differences, chosen: Sequence[int]) -> Drawing:
    """The pulls of each component with the unit Gaussian that they should follow."""
    figure = new_figure(max(7.0, 5.0 * len(chosen)), 5.0)
    grid = figure.subplots(1, len(chosen), squeeze=False)[0]
    pulls = found.pulls if found.pulls is not None else found.values
    for axes, index in zip(grid, chosen, strict=True):
        numbers = _numbers(result, found, index)
        histogram = fill(pulls[:, index], found.weights, np.linspace(-PULLS, PULLS, BINS + 1), keep=False)
        histogram = histogram.scaled_to_one(float(found.weights.sum()))
        mean, width = (with_error(numbers[f"pull_{key}"], numbers[f"pull_{key}_error"]) for key in ("mean", "width"))
        label = f"mean {mean}\nwidth (68 %) {width}" + (f"\n{histogram.outside}" if histogram.outside else "")
        draw_steps(axes, histogram, label, filled=True, color=colour(0))
        _unit_gaussian(axes, histogram)
        component = f" {found.components[index]}" if found.components[index] else ""
        axes.set_xlabel(f"Pull of {found.output}{component}")
        axes.set_xlim(-PULLS, PULLS)
        axes.set_ylim(0, 1.05 * max(float((histogram.sums + histogram.errors).max()), 0.4 * 2 * PULLS / BINS))
        legend_above(axes, columns=1, floor=0.0)
    grid[0].set_ylabel("Fraction per bin")
    stamp(grid[0], context.title)
    stamp(grid[-1], "" if len(chosen) > 1 else context.title, f"{context.predictions.which}, {len(pulls):,} rows")
    covariance = result.options["covariance"]
    caption = (
        f"Output minus target over the error that {covariance} gives, as shares of all rows; those beyond ±{PULLS:g} "
        "are not drawn, their numbers stand in the panel."
    )
    return Drawing(name, figure, caption)


def _unit_gaussian(axes: Axes, histogram: Histogram) -> None:
    edges = histogram.edges / math.sqrt(2)
    cumulative = np.asarray([0.5 * (1 + math.erf(edge)) for edge in edges])
    axes.stairs(np.diff(cumulative), histogram.edges, color=colour(2), linewidth=1.5, label="unit Gaussian")
    draw_band(axes, histogram.edges, np.diff(cumulative), np.zeros(len(edges) - 1), colour(2))
