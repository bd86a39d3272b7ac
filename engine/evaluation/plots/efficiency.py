"""Efficiency for each category or bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.plots.registry import Drawing, PlotContext, empty_drawing, file_name, plot
from engine.evaluation.plots.style import GREY, axis_title, colour, legend_above, line, new_figure, stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@plot("efficiency")
def efficiency(context: PlotContext, name: str, *, metric: str | None = None) -> list[Drawing]:
    """A figure for each computed efficiency: categories as points, bins with their width, other classes as lines."""
    results = context.results_of("efficiency", metric)
    return [_draw(context, file_name(name, results, result), result) for result in results]


def _draw(context: PlotContext, name: str, result: MetricResult) -> Drawing:
    if result.reason is not None:
        return empty_drawing(name, result.reason)
    signal = result.facts["signal"]
    own = [part for part in result.parts if part.labels["class"] == signal]
    others = [part for part in result.parts if part.labels["class"] != signal and part.reason is None]
    groups = [part for part in own if "bin" in part.labels]
    figure = new_figure(max(6.4, 3.4 + 0.62 * len(groups)), 5.2)
    axes = figure.subplots()
    binned = bool(groups) and all(isinstance(next(iter(part.labels["bin"].values())), list) for part in groups)
    if binned:
        _draw_bins(axes, groups)
    else:
        _draw_categories(axes, groups or own[:1], result)
    axes.set_xlabel(", ".join(axis_title(column, context.units) for column in result.facts["categories"]) or signal)
    if groups and own[0].reason is None:
        axes.axhline(
            own[0].values["efficiency"], color=colour(0), linestyle="--", linewidth=1.2, label=f"{signal}, all"
        )
    for index, part in enumerate(others, start=1):
        label = f"{part.labels['class']} taken for {signal}"
        axes.axhspan(part.values["low"], part.values["high"], color=colour(index), alpha=0.2, linewidth=0)
        axes.axhline(part.values["efficiency"], color=colour(index), linestyle=line(index), linewidth=1.5, label=label)
    axes.set_ylim(0, 1)
    axes.set_ylabel(f"Fraction taken for {signal}")
    legend_above(axes, columns=2, title=f"Taken for {signal}: {result.facts['cut']}", floor=0.0)
    axes.set_yticks(np.linspace(0, 1, 6))
    stamp(axes, context.title, f"{context.predictions.which} split, {own[0].values['rows']:,} {signal} rows")
    taken = f"taken for {signal} ({result.facts['cut']} of {result.facts['of']})"
    caption = f"Fraction of the {signal} rows that are {taken}, with 68 % Wilson intervals."
    return Drawing(name, figure, caption)


def _points(axes: Axes, positions: Sequence[float], widths: Sequence[float] | None, parts: Sequence[Part]) -> None:
    used = [index for index, part in enumerate(parts) if part.reason is None]
    values = np.asarray([[parts[i].values[key] for key in ("efficiency", "low", "high")] for i in used]).reshape(-1, 3)
    errors = np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0)
    label = str(parts[0].labels["class"]) if parts else ""
    where = np.asarray(positions, dtype=float)[used]
    bars = None if widths is None else np.asarray(widths, dtype=float)[used]
    axes.errorbar(where, values[:, 0], yerr=errors, xerr=bars, fmt="o", color=colour(0), capsize=3, label=label)


def _draw_categories(axes: Axes, parts: Sequence[Part], result: MetricResult) -> None:
    positions = list(range(len(parts)))
    _points(axes, positions, None, parts)
    names = [", ".join(f"{value:g}" for value in part.labels.get("bin", {}).values()) or "all" for part in parts]
    labels = [f"{name}\n({part.values['rows']:,})" for name, part in zip(names, parts, strict=True)]
    crowded = len(labels) > 14
    axes.set_xticks(positions, labels, fontsize=9 if crowded else 11, rotation=60 if crowded else 0)
    axes.tick_params(axis="x", which="minor", bottom=False, top=False)
    axes.set_xlim(-0.6, len(parts) - 0.4)
    if not result.facts["categories"]:
        axes.tick_params(axis="x", length=0)


def _draw_bins(axes: Axes, parts: Sequence[Part]) -> None:
    edges = np.asarray([next(iter(part.labels["bin"].values())) for part in parts], dtype=float)
    finite = edges[np.isfinite(edges)]
    step = float(np.diff(np.unique(finite)).mean()) if len(np.unique(finite)) > 1 else 1.0
    edges[:, 0] = np.where(np.isfinite(edges[:, 0]), edges[:, 0], edges[:, 1] - step)
    edges[:, 1] = np.where(np.isfinite(edges[:, 1]), edges[:, 1], edges[:, 0] + step)
    edges = np.nan_to_num(edges)
    _points(axes, edges.mean(axis=1).tolist(), (np.diff(edges, axis=1)[:, 0] / 2).tolist(), parts)
    axes.plot([], [], color=GREY, linewidth=0)
    axes.set_xlim(edges.min(), max(edges.max(), edges.min() + 1e-9))
