"""Background rejection against signal efficiency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.evaluation.metrics.result import MetricResult, Part, thin
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import GREY, colour, line, log_scale, make_room, new_figure, stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 12
FIRST = 0.02  # signal efficiency from which on it is worth telling that no background row passes


@plot("roc")
def roc(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each signal with a curve for each background, and one with a curve for each category or bin."""
    drawings = []
    results = context.results_of("roc", metric)
    for result in results:
        stem = file_name(name, results, result)
        if result.reason is not None:
            drawings.append(empty_drawing(stem, result.reason))
            continue
        for signal in dict.fromkeys(part.labels["signal"] for part in result.parts):
            own = [part for part in result.parts if part.labels["signal"] == signal]
            inclusive = [part for part in own if part.labels["group"] == "all"]
            labels = [f"against {', '.join(part.labels['background'])}" for part in inclusive]
            drawings.append(_draw(context, f"{stem}_{signal}", result, inclusive, labels))
            if len(own) > len(inclusive):
                parts = [inclusive[0], *(part for part in own if part.labels["group"] != "all")]
                labels = [part.labels["group"] for part in parts]
                drawings.append(_draw(context, f"{stem}_{signal}_per_group", result, parts, labels))
    return drawings


def _draw(
    context: PlotContext, name: str, result: MetricResult, parts: Sequence[Part], labels: Sequence[str]
) -> Drawing:
    drawable = [(part, label) for part, label in zip(parts, labels, strict=True) if part.reason is None]
    signal = parts[0].labels["signal"]
    if not drawable:
        return empty_drawing(name, f"{parts[0].reason}")
    figure = new_figure()
    axes = figure.subplots()
    log_scale(axes)
    for index, (part, label) in enumerate(drawable[:MOST_CURVES]):
        draw_curve(axes, part, f"{label}: AUC {part.values['auc']:.4f} ± {part.values['auc_error']:.4f}", index)
    grid = np.linspace(0.01, 1, 200)
    axes.plot(grid, 1 / grid, color=GREY, linestyle=":", linewidth=1.2, label="no separation")
    axes.set_xlim(0, 1)
    axes.set_ylim(1, None)
    make_room(axes, 0.12, floor=1.0)
    axes.legend(loc="upper right")
    axes.set_xlabel(f"Efficiency for {signal} ({result.facts['of']})")
    axes.set_ylabel("Background rejection")
    rows = (
        f"{drawable[0][0].values['signal_rows']:,} signal, {drawable[0][0].values['background_rows']:,} background rows"
    )
    stamp(axes, context.title, f"{context.predictions.which} split, {rows}")
    missing = [label for part, label in zip(parts, labels, strict=True) if part.reason is not None]
    caption = (
        f"Background rejection (1 / background efficiency) against {signal} efficiency; bands are statistical errors."
        f"{limit_sentence(part for part, _ in drawable[:MOST_CURVES])}"
    )
    if missing:
        caption += f" Not drawn, for want of rows: {', '.join(missing)}."
    if len(drawable) > MOST_CURVES:
        caption += f" The first {MOST_CURVES} of {len(drawable)} curves are drawn."
    return Drawing(name, figure, caption)


def draw_curve(axes: Axes, part: Part, label: str, index: int) -> None:
    """Rejection against signal efficiency with a band for its error."""
    curves = thin(part.curves, 1000)
    used = curves["background_efficiency"] > 0
    efficiency, background = curves["signal_efficiency"][used], curves["background_efficiency"][used]
    error = curves["background_error"][used]
    axes.plot(efficiency, 1 / background, color=colour(index), linestyle=line(index), label=label)
    low = 1 / (background + error)
    high = 1 / np.maximum(background - error, background / 3)
    axes.fill_between(efficiency, low, high, color=colour(index), alpha=0.2, linewidth=0)
    reach = none_passes_up_to(part)
    if reach > FIRST:
        draw_limits(axes, [reach], part, index, xerr=[[reach], [0.0]])


def none_passes_up_to(part: Part) -> float:
    """The largest signal efficiency at which no background row passes."""
    none = (part.curves["background_efficiency"] <= 0) & (part.curves["background_error"] <= 0)
    return float(part.curves["signal_efficiency"][none].max(initial=0.0))


def draw_limits(axes: Axes, efficiencies: Sequence[float], part: Part, index: int, **look: Any) -> None:
    """Arrows upwards from the lower limit of the rejection, at signal efficiencies where no background row passes."""
    limit = part.values["rejection_limit"]
    arrows = {"yerr": 0.4 * limit, "lolims": True, "fmt": "none", "elinewidth": 1.2}
    axes.errorbar(efficiencies, [limit] * len(efficiencies), ecolor=colour(index), **arrows, **look)


def limit_sentence(parts: Iterable[Part], start: float = FIRST) -> str:
    """What the arrows mean, where there are any at signal efficiencies above `start`."""
    shown = any(none_passes_up_to(part) > start for part in parts)
    return " Arrows: lower limits (95 % CL) where no background row passes." if shown else ""
