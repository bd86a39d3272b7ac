"""Losses, metrics and learning rates after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.evaluation.plots.registry import Drawing, PlotContext, plot
from engine.evaluation.plots.style import GREY, colour, legend_above, log_scale, new_figure, stamp
from engine.evaluation.rows import UnavailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[str, Mapping[float, float]]
LOOKS: dict[str, dict[str, Any]] = {
    "train": {"color": colour(0), "linestyle": "-", "marker": "o"},
    "validation": {"color": colour(1), "linestyle": "--", "marker": "s"},
}
DASHES = ("-", "--", "-.", ":")  # learning rates are often the same and lie upon each other
COLUMNS = 3


@plot("history")
def history(context: PlotContext, name: str, *, values: Sequence[str] | None = None) -> list[Drawing]:
    """One figure: a panel for each loss or metric with training and validation, and one for the learning rates."""
    quantities: dict[str, Curves] = {
        key: curves for key, curves in context.history.quantities.items() if values is None or key in values
    }
    if not quantities:
        message = "the log of the training has no epoch" if values is None else f"the log has no {', '.join(values)}"
        raise UnavailableError(message)
    panels = list(quantities.items())
    if context.history.learning_rates:
        panels.append(("learning rate", context.history.learning_rates))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(5.0 * columns + 0.5, 3.9 * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (quantity, curves) in zip(grid, panels, strict=False):
        _panel(axes, quantity, curves, context)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    stamp(grid[0], context.title)
    caption = f"Losses and metrics of {context.history.epochs:g} epochs, and the learning rate of each update"
    best = f"; the dotted line marks epoch {context.history.best:g}, which was kept" if context.history.best else ""
    ends = [f"{phase} to epoch {epoch:g}" for phase, epoch in context.history.phases.items()]
    phases = f"; the thin lines part the phases: {', '.join(ends)}" if len(ends) > 1 else ""
    return [Drawing(name, figure, f"{caption}{best}{phases}.")]


def _panel(axes: Axes, quantity: str, curves: Curves, context: PlotContext) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, (part, curve) in enumerate(curves.items()):
        look = LOOKS.get(part, {"color": colour(index), "linestyle": DASHES[index % len(DASHES)], "marker": "o"})
        epochs = sorted(curve)
        size = 4 if len(epochs) <= 40 else 0
        axes.plot(epochs, [curve[epoch] for epoch in epochs], label=part, markersize=size, **look)
    axes.set_xlim(context.history.first / 2, max(context.history.epochs, 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.minorticks_off()
    if quantity == "learning rate" and all(value > 0 for curve in curves.values() for value in curve.values()):
        log_scale(axes)
        low, high = axes.get_ylim()
        axes.set_ylim(low / 1.5, high * 1.5)
    else:
        axes.margins(y=0.08)
    for border in list(context.history.phases.values())[:-1]:
        axes.axvline(border + 0.5, color=GREY, linewidth=0.8)
    if context.history.best is not None:
        axes.axvline(context.history.best, color=GREY, linestyle=":", linewidth=1.2)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(quantity.replace("_", " "))
    legend_above(axes, columns=2)
