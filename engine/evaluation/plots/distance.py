"""Distance of predicted from true points: its distribution, and its mean in bins of variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.evaluation.differences import differences
from engine.evaluation.grouping import classes_by
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.binned import by_variable, edges_of, points, set_axis
from engine.evaluation.plots.histograms import draw_band, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import colour, legend_above, line, log_height, new_figure, stamp

BINS = 60
MARKERS = ("o", "s", "^", "v", "D", "P")


@plot("distance")
def distance(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """The distribution, and a figure for each variable, with a set of points for each class."""
    drawings = []
    results = context.results_of("distance", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        drawings.append(_distribution(context, stem, result))
        for variable, look, parts in by_variable(result):
            drawings.append(_profile(context, f"{stem}_{variable}", result, look, parts))
    return drawings


def _unit(result: MetricResult) -> str:
    return f" [{result.facts['unit']}]" if result.facts.get("unit") else ""


def _distribution(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    options, rows = result.options, context.rows_of(result)
    found = differences(rows, options["of"], options["target"], options["weight"])
    far = np.sqrt(np.square(found.values).sum(axis=1))
    positive = far[far > 0]
    if not len(positive):
        return empty_drawing(name, "there are no distances above 0")
    low, high = (float(each) for each in np.quantile(positive, (0.001, 1.0)))
    edges = np.geomspace(max(low, high * 1e-6), high * 1.001, BINS + 1)
    figure = new_figure()
    axes = figure.subplots()
    highest, lowest, below = 0.0, 1.0, 0
    for index, (label, mask) in enumerate(classes_by(rows, options["by"])):
        own = mask[found.rows]
        histogram = fill(far[own], found.weights[own], edges).scaled_to_one()
        mean = next(part.values["mean"] for part in result.parts if part.labels == {"class": label})
        if mean is None or not (histogram.sums > 0).any():
            continue
        below += histogram.below
        text = f"{label} ({int(own.sum()):,}), mean {mean:.3g}{_unit(result).replace('[', '').replace(']', '')}"
        axes.stairs(histogram.sums, edges, color=colour(index), linestyle=line(index), linewidth=1.8, label=text)
        draw_band(axes, edges, histogram.sums, histogram.errors, colour(index))
        highest = max(highest, float((histogram.sums + histogram.errors).max()))
        lowest = min(lowest, float(histogram.sums[histogram.sums > 0].min()))
    log_height(axes, lowest, max(highest, lowest))
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"Distance of {found.output} from {found.target}{_unit(result)}")
    axes.set_ylabel("Fraction per bin")
    legend_above(axes, columns=1)
    stamp(axes, context.title, f"{context.predictions.which} split")
    closer = f" Closer than the axis begins, and in the first bin: {below:,}." if below else ""
    return Drawing(name, figure, f"Distance between output and target, of unit area.{closer}")


def _profile(
    context: PlotContext, name: str, result: MetricResult, look: Mapping[str, Any], parts: Sequence[Part]
) -> Drawing:
    known = [(index, part) for index, part in enumerate(parts) if np.isfinite(part.curves["mean"]).any()]
    if not known:
        return empty_drawing(name, "there are no distances in the bins")
    edges = edges_of(parts[0])
    figure = new_figure()
    axes = figure.subplots()
    top = 0.0
    for place, (index, part) in enumerate(known):
        mean, error = part.curves["mean"], part.curves["mean_error"]
        shift = 0.0 if len(known) == 1 else 0.3 * (place / (len(known) - 1) - 0.5)
        style = {"color": colour(index), "fmt": MARKERS[index % len(MARKERS)], "label": str(part.labels["class"])}
        points(axes, edges, mean, error, shift=shift, log=bool(look.get("log")), **style)
        top = max(top, float(np.nanmax(mean + error, initial=0.0)))
    axes.set_ylim(0, 1.05 * top or 1.0)
    axes.set_ylabel(f"Mean distance{_unit(result)}")
    set_axis(axes, context, look, edges)
    by = result.options["by"]
    if by is not None:
        legend_above(axes, title=f"{by.capitalize()} of the row", floor=0.0)
    stamp(axes, context.title, f"{context.predictions.which} split")
    caption = f"Mean distance of {result.facts['of']} from {result.facts['target']} with the error of the mean"
    caption += "; in a bin of one row that is the standard deviation over all rows."
    return Drawing(name, figure, caption)
