"""The discriminant: its distributions, rejections against signal efficiency, and the scan of a fraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.evaluation.metrics.classweights import members
from engine.evaluation.metrics.discriminant import discriminant_scores
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.histograms import draw_steps, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.roc import MOST_CURVES, draw_curve, draw_limits, limit_sentence
from engine.evaluation.plots.style import (
    GREY,
    colour,
    legend_above,
    line,
    log_height,
    log_scale,
    make_room,
    new_figure,
    stamp,
)
from engine.evaluation.rows import labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 60
LINES = ("-", "--", "-.", ":")


@plot("discriminant")
def discriminant(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """Distributions, rejections, rejections per category or bin, and the scan, of each computed discriminant."""
    drawings = []
    results = context.results_of("discriminant", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        inclusive = [part for part in result.parts if part.labels["group"] == "all"]
        groups = [part for part in result.parts if part.labels["group"] not in ("all", "scan")]
        scan = [part for part in result.parts if part.labels["group"] == "scan"]
        drawings.append(_distributions(context, f"{stem}_distribution", result))
        drawings.append(_rejections(context, stem, result, inclusive))
        for background in dict.fromkeys(tuple(part.labels["background"]) for part in groups):
            own = [part for part in groups if tuple(part.labels["background"]) == background]
            drawings.append(_rejections(context, f"{stem}_{'_'.join(background)}_per_group", result, own))
        drawings += [_scan(context, f"{stem}_scan", result, scan)] if scan else []
    return drawings


def formula(result: MetricResult) -> str:
    """The definition of the discriminant, short enough for an axis."""
    shares = result.facts["fractions"]
    below = " + ".join(name if share == 1 else f"{share:.3g} {name}" for name, share in shares.items() if share > 0)
    return f"D = log( {result.facts['signal']} / ({below}) )"


def _distributions(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    options = result.options
    rows = labelled(context.rows_of(result), options["of"], options["target"], options["weight"])
    scores = discriminant_scores(rows, result.facts["signal"], result.facts["fractions"])
    low, high = (float(end) for end in np.quantile(scores, (0.001, 0.999)))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    figure = new_figure()
    axes = figure.subplots()
    tops, bottoms, outside = [1e-3], [], 0
    for index, label in enumerate(rows.classes):
        own = members(rows, [label])
        histogram = fill(scores[own], rows.weights[own], edges).scaled_to_one()
        if not (histogram.sums > 0).any():
            continue
        outside += histogram.below + histogram.above
        draw_steps(axes, histogram, f"{label} ({histogram.rows:,})", color=colour(index), linestyle=line(index))
        tops.append(float((histogram.sums + histogram.errors).max()))
        bottoms.append(float(histogram.sums[histogram.sums > 0].min()))
    log_height(axes, max(min(bottoms, default=1e-4), 1e-7), max(tops))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(formula(result))
    axes.set_ylabel("Fraction per bin")
    legend_above(axes)
    stamp(axes, context.title, f"{context.predictions.which} split")
    caption = f"Distribution of {formula(result)} of {result.facts['of']} for each class, of unit area."
    caption += f" Rows outside of the axis, which are in its first and last bin: {outside:,}." if outside else ""
    return Drawing(name, figure, caption)


def _rejections(context: PlotContext, name: str, result: MetricResult, parts: Sequence[Part]) -> Drawing:
    drawn = [part for part in parts if part.reason is None][:MOST_CURVES]
    if not drawn:
        return empty_drawing(name, f"{parts[0].reason}" if parts else "there is no background")
    figure = new_figure()
    axes = figure.subplots()
    log_scale(axes)
    for index, part in enumerate(drawn):
        label = ", ".join(part.labels["background"])
        draw_curve(axes, part, label if part.labels["group"] == "all" else f"{label}, {part.labels['group']}", index)
        _mark_working_points(axes, part, index)
    points = [point["signal_efficiency"] for point in drawn[0].values["working_points"]]
    start = min([0.5, *(0.9 * point for point in points)])
    axes.set_xlim(start, 1)
    shown = [part.curves["background_efficiency"][part.curves["signal_efficiency"] >= start] for part in drawn]
    smallest = min((float(each[each > 0].min()) for each in shown if (each > 0).any()), default=0.1)
    axes.set_ylim(1, 1.3 / smallest)
    make_room(axes, 0.1 + 0.05 * len(drawn), floor=1.0)
    axes.legend(loc="upper right", title="Background")
    axes.set_xlabel(f"Efficiency for {result.facts['signal']}")
    axes.set_ylabel("Background rejection")
    stamp(axes, context.title, f"{context.predictions.which} split, {formula(result)}")
    caption = (
        f"Rejection of each background (1 / efficiency) by {formula(result)} of {result.facts['of']} against the "
        f"{result.facts['signal']} efficiency; bands and bars at the working points are binomial errors."
        f"{limit_sentence(drawn, start)}"
    )
    return Drawing(name, figure, caption)


def _mark_working_points(axes: Axes, part: Part, index: int) -> None:
    """Points with the errors of the background efficiency carried over, arrows where there is a lower limit alone."""
    points = part.values["working_points"]
    found = [point for point in points if point["rejection"] is not None]
    keys = ("signal_efficiency", "background_efficiency", "background_efficiency_error")
    at, passed, error = np.asarray([[point[key] for key in keys] for point in found]).reshape(-1, 3).T
    bars = [1 / passed - 1 / (passed + error), 1 / np.maximum(passed - error, passed / 3) - 1 / passed]
    axes.errorbar(at, 1 / passed, yerr=bars, fmt="o", color=colour(index), markersize=4)
    limited = [point["signal_efficiency"] for point in points if "rejection_limit" in point]
    if limited:
        draw_limits(axes, limited, part, index)


def _scan(context: PlotContext, name: str, result: MetricResult, parts: Sequence[Part]) -> Drawing:
    figure = new_figure()
    axes = figure.subplots()
    log_scale(axes)
    points = list(dict.fromkeys(part.labels["signal_efficiency"] for part in parts))
    names = list(dict.fromkeys(part.labels["background"][0] for part in parts))
    for part in parts:
        curves, point = part.curves, part.labels["signal_efficiency"]
        index = names.index(part.labels["background"][0])
        label = f"{names[index]}, {100 * point:g} % efficiency"
        style = LINES[points.index(point) % len(LINES)]
        axes.plot(curves["fraction"], curves["rejection"], color=colour(index), linestyle=style, label=label)
        low = np.maximum(curves["rejection"] - curves["rejection_error"], curves["rejection"] / 3)
        high = curves["rejection"] + curves["rejection_error"]
        axes.fill_between(curves["fraction"], low, high, color=colour(index), alpha=0.2, linewidth=0)
    varied = parts[0].labels["scan"]
    axes.axvline(result.facts["fractions"][varied], color=GREY, linestyle=":", linewidth=1.2)
    axes.set_xlim(float(parts[0].curves["fraction"].min()), float(parts[0].curves["fraction"].max()))
    axes.set_xlabel(f"Fraction of {varied} in the discriminant")
    axes.set_ylabel("Background rejection")
    legend_above(axes, columns=2)
    stamp(axes, context.title, f"{context.predictions.which} split")
    caption = (
        f"Background rejection at fixed {result.facts['signal']} efficiency while the fraction of {varied} in the "
        "discriminant changes; the dotted line is the one that is used."
        f"{' Where a line is missing, no background row passes.' if _gaps(parts) else ''}"
    )
    return Drawing(name, figure, caption)


def _gaps(parts: Sequence[Part]) -> bool:
    return any(bool(np.isnan(part.curves["rejection"]).any()) for part in parts)
