"""Efficiency and purity of selected objects in bins of variables, and the scores that they were selected by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.evaluation.metrics.object_selection import object_scores, right_objects
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.binned import by_variable, edges_of, points, set_axis
from engine.evaluation.plots.distance import MARKERS
from engine.evaluation.plots.histograms import draw_steps, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import colour, legend_above, line, log_height, new_figure, stamp
from engine.evaluation.rows import row_weights, spread

BINS = 50


@plot("object_selection")
def object_selection(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """The scores, and a figure for each variable, with a set of points for each class of rows."""
    drawings = []
    results = context.results_of("object_selection", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        drawings.append(_scores(context, stem, result))
        for variable, look, parts in by_variable(result):
            drawings.append(_profile(context, f"{stem}_{variable}", result, look, parts))
    return drawings


def _scores(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    """Distribution of the score of the right and of all other objects."""
    options, rows = result.options, context.rows_of(result)
    scores = object_scores(rows, result.facts["of"], options["value"])
    right, present = right_objects(rows, result.facts["target"], options["classes"])
    if options["relative"]:
        with np.errstate(all="ignore"):
            scores = scores / np.where(np.isfinite(scores), scores, -np.inf).max(axis=1, keepdims=True)
    known = present & np.isfinite(scores)
    weights = row_weights(rows, options["weight"])
    if not known.any():
        return empty_drawing(name, "there are no objects")
    ends = scores[known].min(), scores[known].max()
    low, high = (0.0, 1.0) if ends[0] >= 0 and ends[1] <= 1 else (float(ends[0]), float(ends[1]) + 1e-9)
    edges = np.linspace(low, high, BINS + 1)
    figure = new_figure()
    axes = figure.subplots()
    histograms = []
    for index, (label, mask) in enumerate((("right", known & right), ("other", known & ~right))):
        histogram = fill(scores[mask], spread(weights, mask), edges).scaled_to_one()
        if not (histogram.sums > 0).any():
            continue
        draw_steps(axes, histogram, f"{label} ({histogram.rows:,})", color=colour(index), linestyle=line(index))
        histograms.append(histogram)
    positive = np.concatenate([each.sums[each.sums > 0] for each in histograms])
    log_height(axes, float(positive.min()), max(float((each.sums + each.errors).max()) for each in histograms))
    text = f"selected: > {options['threshold']:g}"
    axes.axvline(options["threshold"], color="black", linestyle="--", linewidth=1.2, label=text)
    axes.set_xlim(low, high)
    of = f"{result.facts['of']} {options['value'] or ''}".strip()
    axes.set_xlabel(f"{of} over the largest of the row" if options["relative"] else of)
    axes.set_ylabel("Fraction per bin")
    legend_above(axes)
    stamp(axes, context.title, f"{context.predictions.which} split, objects")
    caption = f"Score of the objects that should be selected and of the others, by {result.facts['target']}"
    return Drawing(name, figure, f"{caption}, of unit area; those to the right of the dashed line are selected.")


def _profile(
    context: PlotContext, name: str, result: MetricResult, look: Mapping[str, Any], parts: Sequence[Part]
) -> Drawing:
    known = [(index, part) for index, part in enumerate(parts) if np.isfinite(part.curves["efficiency"]).any()]
    if not known:
        return empty_drawing(name, "there are no objects of the right kind in the bins")
    edges = edges_of(parts[0])
    figure = new_figure(7.0, 6.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.tick_params(labelbottom=False)
    for axes, key in ((upper, "efficiency"), (lower, "purity")):
        for place, (index, part) in enumerate(known):
            shift = 0.0 if len(known) == 1 else 0.3 * (place / (len(known) - 1) - 0.5)
            style = {"color": colour(index), "fmt": MARKERS[index % len(MARKERS)], "label": str(part.labels["class"])}
            values, errors = part.curves[key], part.curves[f"{key}_error"]
            points(axes, edges, values, errors, shift=shift, log=bool(look.get("log")), **style)
        axes.set_ylim(0, 1.05)
        axes.set_ylabel(f"{key.capitalize()} of objects")
    by = result.options["by"]
    if by is not None:
        legend_above(upper, title=f"{by.capitalize()} of the row", floor=0.0)
    upper.set_yticks(np.linspace(0, 1, 6))
    set_axis(lower, context, look, edges)
    cut = f"{result.facts['of']} {result.facts['cut']}"
    stamp(upper, context.title, f"{context.predictions.which} split, {cut}")
    caption = (
        f"Efficiency: share of the objects of the right kind ({result.facts['target']}) that are selected ({cut}). "
        "Purity: share of the right kind among the selected ones."
    )
    return Drawing(name, figure, caption)
