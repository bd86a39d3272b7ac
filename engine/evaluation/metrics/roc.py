"""ROC curves of weighted rows, the area under them, and background rejection at working points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Per, groups
from engine.evaluation.metrics.classweights import Normalise, background_sets, class_weights, members, signals
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count, limit_where_none_passes
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled
from engine.statistics import area_under_curve


@dataclass(frozen=True)
class RocCurve:
    """Efficiencies of `score >= threshold` for each distinct score, from the highest down; first point: nothing passes.

    With negative weights the efficiencies need not rise from point to point and may leave [0, 1]; the working points
    stay defined.

    Attributes:
        thresholds: shape (p,), descending, first one infinite.
        signal, background: efficiencies, shape (p,).
        background_error: statistical error of the background efficiency, shape (p,).
        background_count: effective number of background rows.
    """

    thresholds: Array
    signal: Array
    background: Array
    background_error: Array
    background_count: float


def roc_curve(scores: Array, is_signal: Array, weights: Array) -> RocCurve:
    """The curve for rows with scores, shape (m,), truth (bool) and weights.

    Raises:
        UnavailableError: signal or background has no rows, or no positive sum of weights.
    """
    require_weights(is_signal, weights)
    order = np.argsort(-scores, kind="stable")
    ordered, truth, weight = scores[order], is_signal[order], weights[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
    sums = [np.cumsum(np.where(truth, weight, 0.0)), *(np.cumsum(np.where(truth, 0.0, w)) for w in (weight, weight**2))]
    passed_signal, passed, passed_squares = (np.r_[0.0, total[last]] for total in sums)
    efficiency = passed / passed[-1]
    failed_squares = passed_squares[-1] - passed_squares
    variance = (1 - efficiency) ** 2 * passed_squares + efficiency**2 * failed_squares
    error = np.sqrt(np.maximum(variance, 0.0)) / passed[-1]
    count = effective_count(weights[~is_signal])
    return RocCurve(np.r_[np.inf, ordered[last]], passed_signal / passed_signal[-1], efficiency, error, count)


def require_weights(is_signal: Array, weights: Array) -> None:
    """Signal and background must be there for an area or a curve.

    Raises:
        UnavailableError: either has no rows, or no positive sum of weights.
    """
    _require_weight(weights[is_signal], "signal")
    _require_weight(weights[~is_signal], "background")


def _require_weight(weights: Array, what: str) -> None:
    if not len(weights):
        message = f"there is no {what} row"
        raise UnavailableError(message)
    if weights.sum() <= 0:
        message = f"the weights of the {len(weights):,} {what} rows sum to {weights.sum():g}"
        raise UnavailableError(message)


def area_error(scores: Array, is_signal: Array, weights: Array) -> float:
    """Statistical error of the area under the curve, with weights (E. R. DeLong et al., Biometrics 44 (1988) 837)."""
    variance = 0.0
    for own in (is_signal, ~is_signal):
        other = np.sort(scores[~own])
        weight = weights[~own][np.argsort(scores[~own])]
        below = np.r_[0.0, np.cumsum(weight)] / weight.sum()
        share = (below[np.searchsorted(other, scores[own])] + below[np.searchsorted(other, scores[own], "right")]) / 2
        mean = float(np.average(share, weights=weights[own]))
        shares_of_weight = weights[own] / weights[own].sum()  # whose squares are not lost where the weights are tiny
        variance += float((shares_of_weight**2 * (share - mean) ** 2).sum())
    return float(np.sqrt(variance))


def working_point(curve: RocCurve, efficiency: float) -> dict[str, Any]:
    """Threshold, background efficiency and rejection at a signal efficiency, linear between the points of the curve.

    Where no background row passes there is a lower limit of the rejection (95 % CL) in its place.
    """
    rising = np.maximum.accumulate(curve.signal)
    after = int(np.clip(np.searchsorted(rising, efficiency), 1, len(rising) - 1))
    low, high = rising[after - 1], rising[after]
    share = min(max((efficiency - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    background = float(curve.background[after - 1] + share * (curve.background[after] - curve.background[after - 1]))
    error = float(curve.background_error[after])
    point: dict[str, Any] = {"signal_efficiency": efficiency, "threshold": float(curve.thresholds[after])}
    point |= {"background_efficiency": background, "background_efficiency_error": error}
    if background <= 0:
        point |= {"rejection": None, "rejection_error": None}
        if error > 0:
            return point | {"reason": "the weights of the background that passes do not sum to more than 0"}
        limit = 1 / limit_where_none_passes(curve.background_count)
        return point | {"rejection_limit": limit, "reason": "no background row passes"}
    return point | {"rejection": 1 / background, "rejection_error": error / background**2}


@dataclass(frozen=True)
class Comparison:
    """A signal, the classes it is compared with, the rows of both, and what to call them."""

    signal: str
    backgrounds: tuple[str, ...]
    group: str
    values: Mapping[str, Any]
    mask: Array

    @property
    def labels(self) -> dict[str, Any]:
        """How the comparison is told from others in `metrics.json`."""
        labels = {"signal": self.signal, "background": list(self.backgrounds), "group": self.group}
        return labels | ({"bin": dict(self.values)} if self.values else {})


def comparisons(
    rows: Labelled, signal: str | None, backgrounds: Sequence[str] | None, per: Per
) -> Iterator[Comparison]:
    """Each signal against each set of backgrounds on all rows, then against the first set for each category or bin."""
    for name in signals(rows, signal):
        sets = background_sets(rows, name, backgrounds)
        for classes in sets:
            yield Comparison(name, classes, "all", {}, members(rows, [name, *classes]))
        is_signal = rows.truth == rows.index(name)
        concerned = members(rows, [name, *sets[0]])
        for group in groups(per, rows.columns, is_signal):
            yield Comparison(name, sets[0], group.name, group.values, concerned & group.mask)


@metric("roc", "ROC curve")
def roc(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    signal: str | None = None,
    backgrounds: Sequence[str] | None = None,
    normalise: Normalise = None,
    factors: Mapping[str, float] | None = None,
    per: Per = None,
    working_points: Sequence[float] = (0.5, 0.7, 0.9),
) -> Computed:
    """Curve, area and working points of each signal against its backgrounds, per category or bin."""
    rows = labelled(predictions, of, target, weight)
    weights = class_weights(rows, normalise, factors or {})
    parts = []
    for comparison in comparisons(rows, signal, backgrounds, per):
        try:
            parts.append(part_of_curve(rows, weights, comparison, working_points))
        except UnavailableError as error:
            parts.append(Part(comparison.labels, {"auc": None}, reason=str(error)))
    return Computed({"of": rows.output, "target": rows.target}, tuple(parts), _headlines(parts))


def part_of_curve(rows: Labelled, weights: Array, comparison: Comparison, working_points: Sequence[float]) -> Part:
    """Curve, area and working points of one comparison.

    Raises:
        UnavailableError: signal or background has no rows, or no positive sum of weights.
    """
    mask = comparison.mask
    scores, is_signal = rows.score_of(comparison.signal)[mask], rows.truth[mask] == rows.index(comparison.signal)
    curve = roc_curve(scores, is_signal, weights[mask])
    values = {
        "auc": area_under_curve(scores, is_signal, weights[mask]),
        "auc_error": area_error(scores, is_signal, weights[mask]),
        "signal_rows": int(is_signal.sum()),
        "background_rows": int((~is_signal).sum()),
        "negative_weights": int((weights[mask] < 0).sum()),
        "rejection_limit": 1 / limit_where_none_passes(curve.background_count),
        "working_points": [working_point(curve, efficiency) for efficiency in working_points],
    }
    curves = {"signal_efficiency": curve.signal, "background_efficiency": curve.background}
    curves |= {"background_error": curve.background_error, "threshold": np.r_[np.nan, curve.thresholds[1:]]}
    return Part(comparison.labels, values, curves)


def _headlines(parts: Sequence[Part]) -> tuple[Headline, ...]:
    found: list[Headline] = []
    for part in parts:
        found += headlines([part], "AUC", "auc")
        for point in part.values.get("working_points", ()) if part.labels["group"] == "all" else ():
            label = f"Rejection at {100 * point['signal_efficiency']:g} % efficiency, {against(part)}"
            found.append(rejection_headline(label, point))
    return tuple(found)


def rejection_headline(label: str, point: Mapping[str, Any]) -> Headline:
    """The rejection at a working point, or its lower limit."""
    return Headline(label, point["rejection"], point["rejection_error"], point.get("rejection_limit"))


def headlines(parts: Sequence[Part], title: str, value: str) -> list[Headline]:
    """A number with its error (`<value>_error`) for each comparison of all rows."""
    return [
        Headline(f"{title}, {against(part)}", part.values[value], part.values.get(f"{value}_error"))
        for part in parts
        if part.labels["group"] == "all"
    ]


def against(part: Part) -> str:
    """Which signal and which backgrounds a comparison is of, in words."""
    return f"{part.labels['signal']} against {', '.join(part.labels['background'])}"
