"""The scan of signal over root of background."""

from __future__ import annotations

from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import colour, legend_above, line, log_scale, new_figure, stamp, with_ratio

MOST_CURVES = 12


@plot("s_over_sqrt_b")
def s_over_sqrt_b(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each computed scan."""
    results = context.results_of("s_over_sqrt_b", metric)
    return [_draw(context, file_name(name, results, result), result) for result in results]


def _draw(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    parts = [part for part in result.parts if part.reason is None][:MOST_CURVES]
    if not parts:
        return empty_drawing(name, result.reason or result.parts[0].reason or "there are no rows")
    figure = new_figure(7.0, 6.2)
    upper, lower = with_ratio(figure)
    for index, part in enumerate(parts):
        group = "" if part.labels["group"] == "all" else f", {part.labels['group']}"
        label = f"against {', '.join(part.labels['background'])}{group}"
        label += f": largest {part.values['maximum']:.3g}, score > {part.values['threshold']:.3g}"
        look = {"color": colour(index), "linestyle": line(index)}
        upper.plot(part.curves["threshold"], part.curves["s_over_sqrt_b"], label=label, **look)
        upper.plot(part.values["threshold"], part.values["maximum"], "o", color=colour(index), markersize=6)
        lower.plot(part.curves["threshold"], part.curves["background"], **look)
    upper.set_ylim(0, None)
    upper.set_ylabel("S / √B")
    legend_above(upper, columns=1, floor=0.0)
    log_scale(lower)
    lower.set_ylabel("B", loc="center")
    lower.set_xlabel(f"Threshold on the {parts[0].labels['signal']} score of {result.facts['of']}")
    lower.set_xlim(0, 1)
    stamp(upper, context.title, f"{context.predictions.which} split, {parts[0].values['signal_rows']:,} signal rows")
    least = result.options["minimum_background"]
    caption = (
        "Signal over root of background above a threshold (maximum marked and given in the legend) and the background "
        f"left; the scan stops at a background of {least:g}."
    )
    return Drawing(name, figure, caption)
