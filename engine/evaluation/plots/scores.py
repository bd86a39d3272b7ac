"""Distributions of the network's outputs for each class of a target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.classweights import members
from engine.evaluation.metrics.registry import selection_of
from engine.evaluation.plots.histograms import Histogram, draw_points, draw_ratio, draw_steps, fill
from engine.evaluation.plots.registry import Drawing, PlotContext, plot
from engine.evaluation.plots.style import colour, legend_above, line, log_height, new_figure, stamp, with_ratio
from engine.evaluation.rows import Labelled, UnavailableError, choose_target, labelled, trained_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class _Look:
    """How one figure of the family is drawn."""

    bins: int
    log: bool
    normalise: bool
    ratio: bool


@plot("scores")
def scores(
    context: PlotContext,
    name: str,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    bins: int = 40,
    scale: Literal["linear", "log", "both"] = "both",
    normalise: bool = True,
    ratio: bool | None = None,
    selection: str | None = None,
) -> list[Drawing]:
    """A figure for each value of the output (one of two for two classes) and each scale."""
    drawings = []
    context = replace(context, predictions=selection_of(context.predictions, selection))
    for output in [of] if of is not None else _class_outputs(context):
        rows = labelled(context.predictions, output, target, weight)
        own = trained_target(context.predictions, output)
        compare = ratio if ratio is not None else (len(rows.classes) == 2 and rows.target != own)
        values = range(len(rows.names)) if len(rows.names) != 2 else range(1, 2)
        for value in values:
            for log in {"linear": [False], "log": [True], "both": [False, True]}[scale]:
                look = _Look(bins, log, normalise, compare)
                drawings.append(_draw(context, name, rows, value, look))
    return drawings


def _class_outputs(context: PlotContext) -> list[str]:
    found = []
    for output in context.predictions.outputs:
        try:
            target = choose_target(context.predictions, output, None)
        except UnavailableError:
            continue
        if context.predictions.classes.get(target):
            found.append(output)
    if not found:
        message = "no output was trained on a target with classes"
        raise UnavailableError(message)
    return found


def _draw(context: PlotContext, name: str, rows: Labelled, value: int, look: _Look) -> Drawing:
    figure = new_figure(7.0, 6.2 if look.ratio else 5.4)
    histograms = score_histograms(rows, value, look.bins, np.ones(len(rows.truth), dtype=bool), look.normalise)
    if look.ratio:
        upper, bottom = with_ratio(figure)
        draw_comparison(upper, bottom, rows.classes, histograms)
    else:
        upper = bottom = figure.subplots()
        for index, (label, histogram) in enumerate(zip(rows.classes, histograms, strict=True)):
            text = f"{label} ({histogram.rows:,})"
            draw_steps(upper, histogram, text, color=colour(index), linestyle=line(index))
    finish_panel(upper, histograms, look.log, look.normalise)
    bottom.set_xlabel(score_title(rows, value))
    stamp(upper, context.title, f"{context.predictions.which} split")
    scale = "logarithmic" if look.log else "linear"
    caption = (
        f"Distribution of {score_title(rows, value)} for each class of {rows.target}, "
        f"{'normalised to 1, ' if look.normalise else ''}{scale} scale; numbers in brackets are "
        f"{'rows' if rows.kind == 'row' else rows.kind}, bands and bars are statistical errors."
        f"{' Triangles: ratios outside of the panel.' if look.ratio else ''}"
    )
    of_target = "" if trained_target(context.predictions, rows.output) == rows.target else f"_by_{rows.target}"
    of_value = "" if len(rows.names) == 1 else f"_{rows.names[value]}"
    file = f"{name}_{rows.output}{of_value}{of_target}{'_log' if look.log else ''}"
    return Drawing(file, figure, caption)


def score_title(rows: Labelled, value: int) -> str:
    """Title of the axis of one value of an output."""
    if len(rows.names) == 1:
        return rows.output
    return f"{rows.output}: {rows.names[value]}" + (" score" if are_probabilities(rows) else "")


def are_probabilities(rows: Labelled) -> bool:
    """Whether an output has the range of probabilities; logits have none, whatever their values."""
    inside = bool((rows.scores >= 0).all() and (rows.scores <= 1).all())
    return inside and not rows.output.endswith(".logits")


def score_edges(rows: Labelled, value: int, bins: int) -> Array:
    """Edges of the bins, shape (bins + 1,): 0 to 1 for probabilities, else from the smallest to the largest value."""
    if are_probabilities(rows):
        return np.linspace(0.0, 1.0, bins + 1)
    low, high = float(rows.scores[:, value].min()), float(rows.scores[:, value].max())
    return np.linspace(low, high, bins + 1) if low < high else np.linspace(low - 0.5, low + 0.5, bins + 1)


def score_histograms(rows: Labelled, value: int, bins: int, mask: Any, normalise: bool) -> list[Histogram]:
    """A histogram of one value of the output for each class, of the rows in `mask` (bool, shape (m,))."""
    edges = score_edges(rows, value, bins)
    found = []
    for name in rows.classes:
        own = mask & members(rows, [name])
        histogram = fill(rows.scores[own, value], rows.weights[own], edges)
        found.append(histogram.scaled_to_one() if normalise else histogram)
    return found


def draw_comparison(upper: Axes, lower: Axes, names: tuple[str, ...], histograms: list[Histogram]) -> None:
    """The first class as an area, the last as points over it, and their ratio below."""
    first, last = histograms[0], histograms[-1]
    draw_steps(upper, first, f"{names[0]} ({first.rows:,})", filled=True, color=colour(0))
    draw_points(upper, last, f"{names[-1]} ({last.rows:,})")
    draw_ratio(lower, last, first, f"{names[-1]} /\n{names[0]}", colour(0))


def finish_panel(axes: Axes, histograms: list[Histogram], log: bool, normalise: bool) -> None:
    """Scale, limits, title and legend of a panel with distributions."""
    positive = np.concatenate([histogram.sums[histogram.sums > 0] for histogram in histograms])
    highest = max([float((histogram.sums + histogram.errors).max()) for histogram in histograms] + [0.0]) or 1.0
    lowest = float(positive.min()) if len(positive) else highest / 10
    axes.set_xlim(histograms[0].edges[0], histograms[0].edges[-1])
    axes.set_ylabel("Fraction per bin" if normalise else "Sum of weights per bin")
    if log:
        log_height(axes, lowest, highest)
    else:
        axes.set_ylim(0, 1.05 * highest)
    legend_above(axes)
