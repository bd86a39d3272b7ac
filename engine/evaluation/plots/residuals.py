"""Distribution of output minus target."""

from __future__ import annotations

import numpy as np

from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.plots.histograms import draw_steps, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import colour, legend_above, new_figure, stamp
from engine.evaluation.rows import row_weights

BINS = 60
WIDTHS = 5.0  # half the range of the abscissa, in widths of the distribution


@plot("residuals")
def residuals(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each computed set of residuals."""
    results = context.results_of("residuals", metric)
    return [_draw(context, file_name(name, results, result), result) for result in results]


def _draw(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    reason = result.reason or result.parts[0].reason
    if reason is not None:
        return empty_drawing(name, reason)
    predictions, values = context.predictions, result.parts[0].values
    output, target = result.facts["of"], result.facts["target"]
    difference = (
        predictions.outputs[output][:, result.options["component"]].astype(np.float64) - predictions.targets[target]
    )
    weights = row_weights(predictions, result.options["weight"])
    usable = np.isfinite(difference) & np.isfinite(weights)
    half = WIDTHS * (values["width"] or values["standard_deviation"] or 1.0)
    centre = values["quantiles"]["0.5"]
    histogram = fill(difference[usable], weights[usable], np.linspace(centre - half, centre + half, BINS + 1))
    outside = int((np.abs(difference[usable] - centre) > half).sum())
    figure = new_figure()
    axes = figure.subplots()
    label = f"mean {values['mean']:.4g} ± {values['mean_error']:.2g}, 68 % within ±{values['width']:.4g}"
    draw_steps(axes, histogram, label, filled=True, color=colour(0))
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.set_ylim(0, None)
    legend_above(axes, columns=1, floor=0.0)
    axes.set_xlabel(f"{output} − target" if output != target else f"{output}: output − target")
    axes.set_ylabel("Sum of weights per bin")
    stamp(axes, context.title, f"{predictions.which} split, {histogram.rows:,} rows")
    caption = f"Output minus target; {outside:,} rows outside the range are in the first and last bin."
    return Drawing(name, figure, caption)
