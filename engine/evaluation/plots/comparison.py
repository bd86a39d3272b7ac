"""Curves of several runs: mean and band of each contender, and their ratio to the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.contenders import Contender
from engine.evaluation.plots.registry import Drawing
from engine.evaluation.plots.style import GREY, colour, legend_above, log_scale, new_figure, stamp, style, with_ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 200
MOST_FIGURES = 12  # of one metric
Curve = Mapping[str, Array]


@dataclass(frozen=True)
class Shape:
    """How the curves of a kind of metric are compared.

    Attributes:
        along: name of the abscissa; "low" for values in bins, which end at "high".
        value, error: ordinate and its statistical error from the curve.
        titles: of the axes; `{signal}`, `{background}` and other labels of the part are filled in.
        log: whether the ordinate is logarithmic.
        start: smallest abscissa that is drawn, None for all.
    """

    along: str
    value: Callable[[Curve], Array]
    error: Callable[[Curve], Array]
    titles: tuple[str, str]
    log: bool = False
    start: float | None = None


def _inverse(curve: Curve) -> Array:
    passed: Array = curve["background_efficiency"]
    rejection: Array = np.divide(1.0, passed, out=np.full(len(passed), np.nan), where=passed > 0)
    return rejection


def _inverse_error(curve: Curve) -> Array:
    return np.asarray(curve["background_error"] * _inverse(curve) ** 2)


def _named(key: str) -> Callable[[Curve], Array]:
    return lambda curve: curve[key]


def _none(curve: Curve) -> Array:
    return np.zeros_like(next(iter(curve.values())))


REJECTION = Shape(
    "signal_efficiency", _inverse, _inverse_error, ("Efficiency for {signal}", "Rejection of {background}"), True, 0.3
)
SHAPES: dict[str, tuple[Shape, ...]] = {
    "roc": (REJECTION,),
    "discriminant": (REJECTION,),
    "precision_recall": (Shape("recall", _named("precision"), _none, ("Recall for {signal}", "Precision")),),
    "distance": (Shape("low", _named("mean"), _named("mean_error"), ("{variable}", "Mean distance{unit}, {class}")),),
    "object_selection": tuple(
        Shape("low", _named(key), _named(f"{key}_error"), ("{variable}", f"{key.capitalize()} of objects, {{class}}"))
        for key in ("efficiency", "purity")
    ),
}


def comparison_drawings(found: Sequence[Contender], title: str) -> Iterator[Drawing]:
    """A figure for each inclusive curve that the first contender has."""
    for name, result in found[0].documents[0]["metrics"].items():
        shapes = SHAPES.get(result["kind"], ())
        parts = [part for part in result.get("parts", ()) if part.get("curve") and part.get("group", "all") == "all"]
        for part in parts[:MOST_FIGURES]:
            labels = {key: part[key] for key in ("signal", "background", "group", "class", "variable") if key in part}
            unit = f" [{result['unit']}]" if result.get("unit") else ""
            words = {**labels, "variable": _variable(result, part), "unit": unit}
            for number, shape in enumerate(shapes):
                with style():
                    drawing = _draw(found, title, name, labels, words, shape, number)
                if drawing is not None:
                    yield drawing


@dataclass(frozen=True)
class _Band:
    """Values of a contender on a common abscissa: mean over the runs, half width of the band, each run."""

    mean: Array
    half: Array
    each: Array


def _draw(
    found: Sequence[Contender],
    title: str,
    name: str,
    labels: Mapping[str, Any],
    words: Mapping[str, Any],
    shape: Shape,
    number: int,
) -> Drawing | None:
    curves = [each.curves(name, labels) for each in found]
    if not curves[0]:
        return None
    binned = shape.along == "low"
    grid = curves[0][0]["low"] if binned else _grid(curves[0][0][shape.along], shape.start)
    bands = [_band(each, shape, grid) if each else None for each in curves]
    edges = np.append(grid, curves[0][0]["high"][-1:]) if binned else None
    figure = new_figure(7.0, 6.2)
    upper, lower = with_ratio(figure)
    reference = bands[0]
    for index, (each, band) in enumerate(zip(found, bands, strict=True)):
        if band is not None and reference is not None:
            runs = f" ({each.count} runs)" if each.count > 1 else ""
            _line(upper, grid, edges, band.mean, band.half, index, each.label + runs)
            mean, half = (_over(values, reference.mean) for values in (band.mean, band.half))
            _line(lower, grid, edges, mean, half, index, "")
    if len(found) == 1 and reference is not None and edges is None:
        for each in reference.each if found[0].count > 1 else ():
            lower.plot(grid, _over(each, reference.mean), color=GREY, linewidth=0.7)
    _finish(upper, lower, bands, shape, grid if edges is None else edges, words)
    stamp(upper, title if len(title) < 40 else name, f"{found[0].documents[0]['split']} split")
    parts = (_text(value) for key, value in labels.items() if key != "group")
    file = "_".join(each.replace(", ", "_") for each in (name, *parts, *([str(number)] if number else [])))
    return Drawing(file, figure, _caption(found, name))


def _grid(along: Array, start: float | None) -> Array:
    low, high = float(np.nanmin(along)), float(np.nanmax(along))
    return np.linspace(max(low, start) if start is not None and start < high else low, high, GRID)


def _band(curves: Sequence[Curve], shape: Shape, grid: Array) -> _Band:
    """Mean and standard deviation over runs; of a single run its values and their statistical errors."""
    rows = []
    for curve in curves:
        values, errors = shape.value(curve), shape.error(curve)
        if shape.along == "low":
            rows.append((values, errors) if len(values) == len(grid) else (np.full(len(grid), np.nan),) * 2)
        else:
            rows.append(_interpolated(curve[shape.along], values, errors, grid, shape.log))
    each, errors = (np.stack([row[i] for row in rows]) for i in (0, 1))
    if len(each) == 1:
        return _Band(each[0], np.nan_to_num(errors[0]), each)
    return _Band(each.mean(axis=0), each.std(axis=0, ddof=1), each)


def _interpolated(along: Array, values: Array, errors: Array, grid: Array, log: bool) -> tuple[Array, Array]:
    """Values and errors at the grid, between the points of the curve; NaN before its first and after its last."""
    used = np.isfinite(along) & np.isfinite(values) & (values > 0 if log else np.ones(len(values), dtype=bool))
    if not used.any():
        return np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    order = np.argsort(along[used], kind="stable")
    x, y, e = along[used][order], values[used][order], np.nan_to_num(errors[used][order])
    ends = {"left": np.nan, "right": np.nan}
    result = np.exp(np.interp(grid, x, np.log(y), **ends)) if log else np.interp(grid, x, y, **ends)
    return result, np.interp(grid, x, e, **ends)


def _over(values: Array, reference: Array) -> Array:
    """The ratio to the reference; NaN, which is not drawn, where that is 0."""
    ratio: Array = np.divide(values, reference, out=np.full(len(values), np.nan), where=reference != 0)
    return ratio


def _line(axes: Axes, grid: Array, edges: Array | None, middle: Array, half: Array, index: int, label: str) -> None:
    low, high = middle - half, middle + half
    if edges is None:
        axes.plot(grid, middle, color=colour(index), label=label or None)
        axes.fill_between(grid, np.maximum(low, middle / 5), high, color=colour(index), alpha=0.2, linewidth=0)
    else:
        axes.stairs(middle, edges, color=colour(index), linewidth=1.8, label=label or None, baseline=None)
        axes.stairs(high, edges, baseline=low, fill=True, color=colour(index), alpha=0.2, linewidth=0)


def _finish(
    upper: Axes,
    lower: Axes,
    bands: Sequence[_Band | None],
    shape: Shape,
    along: Array,
    labels: Mapping[str, Any],
) -> None:
    """Limits, titles and the legend."""
    known = [band for band in bands if band is not None]
    tops = np.concatenate([(band.mean + band.half)[np.isfinite(band.mean)] for band in known])
    means = np.concatenate([band.mean[np.isfinite(band.mean)] for band in known])
    top = float(tops.max(initial=0.0)) or 1.0
    if shape.log:
        upper.set_ylim(max(float(means.min(initial=top)) / 1.2, 1e-6), 1.2 * top)
        log_scale(upper)
    else:
        upper.set_ylim(0, 1.05 * top)
    words = {key: _text(value) for key, value in labels.items()}
    upper.set_ylabel(shape.titles[1].format(**words).removesuffix(", all"))
    lower.set_xlabel(shape.titles[0].format(**words))
    legend_above(upper, columns=1)
    ratios = [_over(values, known[0].mean) for values in (*(band.mean for band in known), *known[0].each)]
    known_ratios = np.concatenate([np.ones(1), *(ratio[np.isfinite(ratio)] for ratio in ratios)])
    low, high = (float(each) for each in np.quantile(known_ratios, (0.02, 0.98)))
    margin = max(0.04, 0.15 * (high - low))
    lower.set_ylim(max(min(low, 1) - margin, 0.0), max(high, 1) + margin)
    lower.axhline(1, color="black", linewidth=0.8)
    lower.minorticks_off()
    lower.set_ylabel("Ratio to\nthe first" if len(known) > 1 else "Run /\nmean", loc="center", fontsize=12)
    lower.set_xlim(float(along[0]), float(along[-1]))


def _variable(result: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """Title and unit of a part's variable."""
    look = result.get("variables", {}).get(part.get("variable"), {})
    name = look.get("title") or str(part.get("variable", ""))
    return f"{name} [{look['unit']}]" if look.get("unit") else name


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _caption(found: Sequence[Contender], name: str) -> str:
    bands = "statistical errors" if all(each.count == 1 for each in found) else "standard deviations from run to run"
    if len(found) == 1:
        return f"{name}: mean over the runs, bands are {bands}; below, each run over the mean."
    mixed = len({each.count > 1 for each in found}) > 1
    extra = " (statistical errors of single runs)" if mixed else ""
    return f"{name}: bands are {bands}{extra}; below, the ratio to {found[0].label}."
