"""What figures in bins of a variable have in common: the axis, points with errors, the variables of a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.registry import PlotContext
from engine.evaluation.plots.style import SYMBOLS, log_height

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEEP = 200.0
FEW_TICKS = 12  # values of a discrete variable that all get a label


def by_variable(result: MetricResult) -> Iterator[tuple[str, Mapping[str, Any], list[Part]]]:
    """Each variable of a result: its name, how it looks, and its parts."""
    for name, look in result.facts.get("variables", {}).items():
        yield name, look, [part for part in result.parts if part.labels.get("variable") == name]


def edges_of(part: Part) -> Array:
    """Edges of the bins, shape (bins + 1,)."""
    return np.concatenate([part.curves["low"], part.curves["high"][-1:]])


def set_axis(axes: Axes, context: PlotContext, look: Mapping[str, Any], edges: Array) -> None:
    """Title, unit, limits, scale and ticks of the variable's axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_xlabel(axis_name(context, look))
    if look.get("log") and edges[0] > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(edges[0], edges[-1])
    members = look.get("values")
    if members:
        axes.tick_params(axis="x", which="minor", bottom=False, top=False)
        if len(members) <= FEW_TICKS:
            axes.set_xticks(members, [f"{value:g}" for value in members])
        elif all(float(value).is_integer() for value in members):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def axis_name(context: PlotContext, look: Mapping[str, Any]) -> str:
    """Title with unit: as the spec says, else the column's symbol and unit."""
    column = str(look["column"])
    title = look.get("title") or SYMBOLS.get(column, column.replace("_", " "))
    unit = look.get("unit") or context.units.get(column)
    return f"{title} [{unit}]" if unit else title


def set_height(axes: Axes, values: Sequence[Array], errors: Sequence[Array]) -> None:
    """Limits of an ordinate of sums; logarithmic where they differ by more than a factor of STEEP."""
    top = max(float(np.nanmax(v + np.nan_to_num(e), initial=0.0)) for v, e in zip(values, errors, strict=True)) or 1.0
    positive = np.concatenate([each[each > 0] for each in values])
    lowest = float(positive.min()) if len(positive) else top
    if top > STEEP * lowest:
        log_height(axes, lowest, top)
    else:
        axes.set_ylim(0, 1.05 * top)


def mark_outside(axes: Axes, places: Array, values: Array, colour: str = "black") -> None:
    """Triangles at the edge of a panel for points that are beyond it.

    Args:
        axes: with its final limits.
        places: abscissae, shape (n,).
        values: ordinates, shape (n,); NaN for none.
        colour: of the triangles.
    """
    low, high = axes.get_ylim()
    for beyond, edge, marker in ((values > high, high, "^"), (values < low, low, "v")):
        if beyond.any():
            axes.plot(
                places[beyond], np.full(int(beyond.sum()), edge), marker, color=colour, clip_on=False, markersize=5
            )


def middles(edges: Array, log: bool = False, ratio: float = 0.5) -> Array:
    """Places in the bins, by default their middles, geometric ones for a logarithmic axis; shape (bins,)."""
    low, high = edges[:-1], edges[1:]
    places: Array = low * (high / low) ** ratio if log and edges[0] > 0 else low + ratio * (high - low)
    return places


def points(
    axes: Axes, edges: Array, values: Array, errors: Array | None, shift: float = 0.0, log: bool = False, **look: Any
) -> None:
    """Points in the middle of their bins, with bars for the bins and the errors; bins without a value are left out.

    Args:
        axes: where they are drawn.
        edges: of the bins, shape (bins + 1,).
        values, errors: shape (bins,).
        shift: moves the points by this share of a bin, so that several sets can be told apart.
        log: whether the axis is logarithmic: then the middle is the geometric one.
        look: of `errorbar`.
    """
    low, high = edges[:-1], edges[1:]
    middle = middles(edges, log, 0.5 + shift)
    used = np.isfinite(values)
    bars = None if errors is None else np.nan_to_num(errors[used])
    style: dict[str, Any] = {"fmt": "o", "markersize": 4.5, "elinewidth": 1.2} | look
    sides = np.stack([(middle - low)[used], (high - middle)[used]])
    axes.errorbar(middle[used], values[used], yerr=bars, xerr=sides, **style)
