"""Distributions before and after a cut, with asymmetry or pulls below; and those of importance sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.binned import by_variable, edges_of, mark_outside, middles, points, set_axis, set_height
from engine.evaluation.plots.histograms import draw_band, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import GREY, colour, legend_above, log_height, new_figure, stamp, with_ratio
from engine.evaluation.quantities import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 50
WHOLE = 1.15  # half the range of asymmetries where they reach 1


@plot("asymmetry")
def asymmetry(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each variable of each computed set of asymmetries."""
    return _all(context, name, "asymmetry", metric)


@plot("pull")
def pull(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each variable of each computed set of pulls."""
    return _all(context, name, "pull", metric)


@plot("importance_sampling")
def importance_sampling(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """The probabilities, then a figure for each variable: accepted and weighted rows against all."""
    drawings = []
    for result in context.results_of("importance_sampling", metric):
        if result.reason is None:
            stem = file_name(name, context.results_of("importance_sampling", metric), result)
            drawings.append(_probabilities(context, f"{stem}_probability", result))
    return [*drawings, *_all(context, name, "importance_sampling", metric)]


def _all(context: PlotContext, name: str, kind: str, metric: str | None) -> list[Drawing]:
    drawings = []
    results = context.results_of(kind, metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
        for variable, look, parts in by_variable(result):
            drawings += [_draw(context, f"{stem}_{variable}", result, look, part) for part in parts]
    return drawings


def _draw(context: PlotContext, name: str, result: MetricResult, look: Mapping[str, Any], part: Part) -> Drawing:
    if part.reason is not None:
        return empty_drawing(name, part.reason)
    curves, edges = part.curves, edges_of(part)
    log = bool(look.get("log"))
    figure = new_figure(7.0, 6.2)
    upper, lower = with_ratio(figure)
    upper.stairs(curves["before"], edges, fill=True, color=colour(0), alpha=0.35, label=_before(result))
    upper.stairs(curves["before"], edges, color=colour(0), linewidth=1.2)
    draw_band(upper, edges, curves["before"], curves["before_error"], colour(0))
    there = np.where(curves["before"] > 0, curves["after"], np.nan)
    points(upper, edges, there, curves["after_error"], log=log, color="black", label=_after(result))
    pair = ("before", "after")
    set_height(upper, [curves[key] for key in pair], [curves[f"{key}_error"] for key in pair])
    upper.set_ylabel("Fraction per bin")
    legend_above(upper, columns=1)
    _lower(lower, edges, curves, log)
    set_axis(lower, context, look, edges)
    values = part.values
    chance = f"χ² / dof = {values['chi2']:.1f} / {values['degrees_of_freedom']}, p = {values['p_value']:.2g}"
    stamp(upper, context.title, f"{context.predictions.which} split, {chance}")
    outside = f" Rows outside of the range: {values['outside']:,}." if values["outside"] else ""
    return Drawing(name, figure, _caption(result) + outside)


def _lower(axes: Axes, edges: Array, curves: Mapping[str, Array], log: bool) -> None:
    """Asymmetry with errors, or pulls as bars with the bands of one and two standard deviations."""
    axes.minorticks_off()
    if "pull" in curves:
        pulls = curves["pull"]
        largest = float(np.nanmax(np.abs(pulls), initial=0.0))
        half = min(max(3.5, 1.15 * largest), 20.0)
        for sigmas, alpha in ((2, 0.12), (1, 0.18)):
            axes.axhspan(-sigmas, sigmas, color=GREY, alpha=alpha, linewidth=0)
        axes.stairs(np.clip(np.nan_to_num(pulls), -half, half), edges, fill=True, color=colour(2), alpha=0.7)
        axes.set_ylim(-half, half)
        axes.set_ylabel("(a − b) / σ", loc="center", fontsize=12)
    else:
        points(axes, edges, curves["asymmetry"], curves["asymmetry_error"], log=log, color="black", markersize=3.5)
        reach = np.abs(curves["asymmetry"]) + np.minimum(curves["asymmetry_error"], 0.3)
        half = min(WHOLE, max(0.05, 1.2 * float(np.nanquantile(reach, 0.95)) if np.isfinite(reach).any() else 1.0))
        axes.set_ylim(-half, half)
        mark_outside(axes, middles(edges, log), curves["asymmetry"])
        axes.set_ylabel("(a − b) / (a + b)", loc="center", fontsize=12)
    axes.axhline(0, color="black", linewidth=0.8)


def _before(result: MetricResult) -> str:
    rows = result.parts[0].values["rows"] if result.kind == "importance_sampling" else result.facts["rows"]
    return f"a: all ({rows:,})"


def _after(result: MetricResult) -> str:
    options = result.options
    if result.kind == "importance_sampling":
        values = result.parts[0].values
        return f"b: accepted / p ({values['accepted']:,}, worth {values['effective_rows']:,.0f})"
    weighted = " weighted," if options["cut_weight"] or options["reweight"] else ""
    share = f"{100 * result.facts['efficiency']:.1f} %"
    return f"b:{weighted} {options['cut']} ({result.facts['rows_after']:,}, {share})"


def _caption(result: MetricResult) -> str:
    if result.kind == "importance_sampling":
        return (
            f"Distribution of all rows and of those accepted with probability {result.options['probability']} and "
            "weighted with its inverse, both of unit area; below, their difference over its error."
        )
    pull = result.kind == "pull"
    weighted = f", re-weighted in bins of {result.options['reweight']['of']}" if result.options["reweight"] else ""
    wilson = (
        "" if pull else " (Wilson intervals where all rows of a bin pass, or none); triangles: outside of the panel"
    )
    return (
        f"Unit-area distribution before (a) and after (b) `{result.options['cut']}`{weighted}, and their "
        f"{'difference over its error' if pull else 'asymmetry'}; errors allow for the rows that both share{wilson}."
    )


def _probabilities(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    """How probable rows are to be accepted: all of them, and the class that is worth it."""
    rows = context.rows_of(result)
    chance = np.clip(quantity(rows, result.options["probability"]), result.options["minimum"], 1.0)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    figure = new_figure()
    axes = figure.subplots()
    sets = [("all", np.ones(len(chance), dtype=bool))]
    wanted = [part.labels["class"] for part in result.parts if part.labels["class"] != "all"]
    sets += [(label, quantity(rows, f"targets.{result.options['target']}.{label}") > 0) for label in wanted]
    highest = 1.0
    for index, (label, mask) in enumerate(sets):
        histogram = fill(chance[mask], np.ones(int(mask.sum())), edges)
        highest = max(highest, float((histogram.sums + histogram.errors).max(initial=0.0)))
        axes.stairs(histogram.sums, edges, color=colour(index), linewidth=1.8, label=f"{label} ({int(mask.sum()):,})")
        draw_band(axes, edges, histogram.sums, histogram.errors, colour(index))
    log_height(axes, 1.0, highest)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"Probability to be accepted: {result.options['probability']}")
    axes.set_ylabel("Rows per bin")
    legend_above(axes)
    values = result.parts[0].values
    stamp(axes, context.title, f"{values['accepted']:,} of {values['rows']:,} rows accepted")
    return Drawing(name, figure, "How probable the rows are to be accepted.")
