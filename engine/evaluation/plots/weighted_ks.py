"""Two classes compared in every bin for which the Kolmogorov-Smirnov distance was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import bin_name
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.scores import draw_comparison, finish_panel, score_histograms, score_title
from engine.evaluation.plots.style import axis_title, new_figure, stamp, with_ratio
from engine.evaluation.rows import Labelled, labelled

BINS = 25


@plot("weighted_ks")
def weighted_ks(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each value of the output, with a panel for all rows and one for each bin."""
    drawings = []
    results = context.results_of("weighted_ks", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        options = result.options
        rows = labelled(context.rows_of(result), options["of"], options["target"], options["weight"])
        rows = only(rows, result.facts["between"])
        values = range(1, 2) if len(rows.names) == 2 else range(len(rows.names))
        drawings += [_draw(context, f"{stem}_{rows.names[i]}", result, rows, i) for i in values]
    return drawings


def only(rows: Labelled, names: list[str]) -> Labelled:
    """The rows of two classes, in this order."""
    keep = np.isin(rows.truth, [rows.index(name) for name in names])
    truth = (rows.truth[keep] == rows.index(names[1])).astype(np.int64)
    columns = {name: values[keep] for name, values in rows.columns.items()}
    return Labelled(
        rows.scores[keep], rows.names, truth, tuple(names), rows.weights[keep], columns, rows.output, rows.target
    )


def _draw(context: PlotContext, name: str, result: MetricResult, rows: Labelled, value: int) -> Drawing:
    output = rows.names[value]
    own = [part for part in result.parts if part.labels["output"] == output and part.labels["group"] != "sum over bins"]
    parts = [part for part in own if part.reason is None]
    missing = [f"{part.labels['group']} ({part.reason})" for part in own if part.reason is not None]
    if not parts:
        return empty_drawing(name, str(own[0].reason))
    columns = min(2, len(parts))
    lines = -(-len(parts) // columns)
    figure = new_figure(5.4 * columns, 4.8 * lines)
    grid = figure.add_gridspec(lines, columns)
    for index, part in enumerate(parts):
        upper, lower = with_ratio(figure, grid[divmod(index, columns)])
        histograms = score_histograms(rows, value, BINS, _mask(rows, part.labels.get("bin")), normalise=True)
        draw_comparison(upper, lower, rows.classes, histograms)
        finish_panel(upper, histograms, log=True, normalise=True)
        lower.set_xlabel(score_title(rows, value))
        stamp(upper, _title(part, context.units), f"K-S {part.values['ks']:.3f}, p = {part.values['p_value']:.2g}")
    between = " and ".join(result.facts["between"])
    caption = (
        f"The {output} value of {rows.output} for {between}, with the weighted Kolmogorov-Smirnov distance and the "
        "probability of a larger one by chance. Triangles: ratios outside of the panel."
        f"{' Not drawn: ' + ', '.join(missing) + '.' if missing else ''}"
    )
    return Drawing(name, figure, caption)


def _mask(rows: Labelled, bin_of: Mapping[str, Any] | None) -> Array:
    mask = np.ones(len(rows.truth), dtype=bool)
    for column, (low, high) in (bin_of or {}).items():
        mask &= (rows.columns[column] >= low) & (rows.columns[column] < high)
    return mask


def _title(part: Part, units: Mapping[str, str]) -> str:
    for column, (low, high) in part.labels.get("bin", {}).items():
        unit = f" {units[column]}" if units.get(column) else ""
        symbol = axis_title(column, {})
        return bin_name(symbol, low, high) + unit
    return "All rows"
