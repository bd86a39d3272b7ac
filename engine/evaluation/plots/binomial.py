"""Rows after a cut against what its overall efficiency makes one expect, and how improbable the difference is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.evaluation.metrics.binomial import SIGNIFICANT
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.binned import by_variable, edges_of, points, set_axis, set_height
from engine.evaluation.plots.histograms import draw_band
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import GREY, colour, legend_above, log_scale, new_figure, stamp, with_ratio

LOWEST = 1e-12  # p-values below are drawn here


@plot("binomial")
def binomial(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each variable of each computed test."""
    drawings = []
    results = context.results_of("binomial", metric)
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
    share = f"{100 * result.facts['efficiency']:.1f} %"
    upper.stairs(curves["expected"], edges, color=colour(0), label=f"expected: {share} of the rows, ±1σ")
    draw_band(upper, edges, curves["expected"], curves["expected_error"], colour(0))
    after = curves["after"].astype(float)
    label = f"{result.options['cut']} ({result.facts['rows_after']:,})"
    points(upper, edges, np.where(curves["before"] > 0, after, np.nan), None, log=log, color="black", label=label)
    set_height(upper, [after, curves["expected"]], [np.sqrt(after), curves["expected_error"]])
    upper.set_ylabel("Rows per bin")
    legend_above(upper, columns=1)
    chance = np.maximum(curves["p_value"], LOWEST)
    points(lower, edges, chance, None, log=log, color="black", markersize=3.5)
    lowest = float(np.nanmin(chance)) if np.isfinite(chance).any() else 1.0
    lower.set_ylim(min(lowest / 3, 5e-3), 3.0)
    log_scale(lower)
    lower.axhline(SIGNIFICANT, color=colour(2), linestyle="--", linewidth=1.2)
    lower.axhline(1, color=GREY, linewidth=0.8)
    lower.set_ylabel("p-value", loc="center", fontsize=12)
    set_axis(lower, context, look, edges)
    values = part.values
    found = f"{values['significant']} of {values['bins']} bins below {SIGNIFICANT:g}"
    stamp(upper, context.title, f"{context.predictions.which} split, {found}")
    tiny = bool((curves["p_value"] < LOWEST).any())
    smaller = f" Probabilities below {LOWEST:g} are drawn at {LOWEST:g}." if tiny else ""
    outside = f" Rows outside of the range: {values['outside']:,}." if values["outside"] else ""
    caption = (
        f"Rows after `{result.options['cut']}` and what the efficiency over all rows makes one expect, with its "
        f"binomial standard deviation; below, two-sided exact binomial probabilities and the line at {SIGNIFICANT:g}, "
        f"under which {values['expected_significant']:.1f} bins are expected by chance. The points are numbers "
        f"of rows and have no errors: by how much they fluctuate is in the band.{smaller}{outside}"
    )
    return Drawing(name, figure, caption)
