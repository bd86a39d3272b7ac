"""Precision against recall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.evaluation.metrics.result import MetricResult, Part, thin
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.roc import MOST_CURVES
from engine.evaluation.plots.style import GREY, colour, legend_above, line, new_figure, stamp


@plot("precision_recall")
def precision_recall(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each signal, with a curve for each background, category or bin."""
    drawings = []
    results = context.results_of("precision_recall", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        for signal in dict.fromkeys(part.labels["signal"] for part in result.parts):
            parts = [part for part in result.parts if part.labels["signal"] == signal]
            drawings.append(_draw(context, f"{stem}_{signal}", result, parts))
    return drawings


def _draw(context: PlotContext, name: str, result: MetricResult, parts: Sequence[Part]) -> Drawing:
    drawn = [part for part in parts if part.reason is None][:MOST_CURVES]
    if not drawn:
        return empty_drawing(name, f"{parts[0].reason}")
    figure = new_figure()
    axes = figure.subplots()
    for index, part in enumerate(drawn):
        of = (
            f"against {', '.join(part.labels['background'])}" if part.labels["group"] == "all" else part.labels["group"]
        )
        mean, error = part.values["average_precision"], part.values["average_precision_error"]
        label = f"{of}: AP {mean:.4f} ± {error:.4f}"
        curves = thin(part.curves, 1000)
        axes.plot(curves["recall"], curves["precision"], color=colour(index), linestyle=line(index), label=label)
        axes.axhline(part.values["signal_share"], color=colour(index), linestyle=":", linewidth=1.2)
    axes.plot([], [], color=GREY, linestyle=":", linewidth=1.2, label="share of signal: no separation")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    signal = drawn[0].labels["signal"]
    axes.set_xlabel(f"Recall: efficiency for {signal} ({result.facts['of']})")
    axes.set_ylabel(f"Precision: share of {signal}")
    legend_above(axes, columns=1, floor=0.0)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.tick_params(axis="y", which="minor", left=False, right=False)
    values = drawn[0].values
    rows = f"{values['signal_rows']:,} signal, {values['background_rows']:,} background rows"
    stamp(axes, context.title, f"{context.predictions.which} split, {rows}")
    missing = len([part for part in parts if part.reason is None]) - len(drawn)
    caption = f"Share of {signal} among the rows above a threshold, against the {signal} efficiency; AP is the mean."
    return Drawing(name, figure, caption + (f" {missing} more curves are not drawn." if missing else ""))
