"""The confusion matrix as a coloured table."""

from __future__ import annotations

import numpy as np

from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import new_figure, stamp

TITLES = {
    "truth": "Fraction of the true class",
    "prediction": "Fraction of the predicted class",
    "none": "Sum of weights",
}


@plot("confusion_matrix")
def confusion_matrix(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each computed matrix."""
    results = context.results_of("confusion_matrix", metric)
    return [_draw(context, file_name(name, results, result), result) for result in results]


def _draw(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    if result.reason is not None:
        return empty_drawing(name, result.reason)
    values = result.parts[0].values
    matrix, rows, classes = values["matrix"], values["rows"], values["classes"]
    how = result.options["normalise"]
    size = 1.3 * len(classes)
    figure = new_figure(3.4 + size, 2.3 + size)
    axes = figure.subplots()
    top = 1.0 if how != "none" else float(np.nanmax(matrix)) or 1.0
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=top)
    for (truth, predicted), value in np.ndenumerate(matrix):
        text = "no rows" if np.isnan(value) else f"{value:.3g}" if how == "none" else f"{100 * value:.1f} %"
        dark = not np.isnan(value) and value > 0.6 * top
        label = f"{text}\n{rows[truth, predicted]:,} rows" if not np.isnan(value) else text
        axes.text(predicted, truth, label, ha="center", va="center", color="white" if dark else "black", fontsize=11)
    ticks = np.arange(len(classes))
    axes.set_xticks(ticks, classes)
    axes.set_yticks(ticks, [f"{label}\n({count:,})" for label, count in zip(classes, rows.sum(axis=1), strict=True)])
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("Class of highest output")
    axes.set_ylabel("True class (rows)")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label(TITLES[how])
    stamp(axes, context.title, f"{context.predictions.which} split")
    axes_are = f"each true class of {result.facts['target']} and class of highest output of {result.facts['of']}"
    caption = f"{TITLES[how]} for {axes_are}."
    reason = result.parts[0].reason
    return Drawing(name, figure, caption + (f" In this split {reason}." if reason else ""))
