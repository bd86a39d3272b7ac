"""The log ratio of the probabilities of signal and backgrounds: rejections, and what the fractions of them change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Per
from engine.evaluation.metrics.classweights import members
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.roc import against, comparisons, part_of_curve, rejection_headline
from engine.evaluation.metrics.statistics import weighted_fraction, weighted_quantiles
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled

SMALLEST = 1e-38  # probabilities that underflowed count as this
SCANNED = tuple(np.linspace(0.0, 1.0, 41).round(3).tolist())


@metric("discriminant", "Discriminant")
def discriminant(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    signal: str | None = None,
    fractions: Mapping[str, float] | None = None,
    per: Per = None,
    working_points: Sequence[float] = (0.6, 0.65, 0.7, 0.77, 0.8, 0.85, 0.9),
    scan: Mapping[str, Any] | None = None,
) -> Computed:
    """Rejection of each background at signal efficiencies by D = log(p_s / sum f_i p_i), and a scan of a fraction."""
    rows = labelled(predictions, of, target, weight)
    name = signal if signal is not None else rows.classes[-1]
    shares = background_fractions(rows, name, fractions)
    judged = replace(rows, scores=discriminant_scores(rows, name, shares)[:, None], names=(name,))
    parts = []
    for background in shares:
        for comparison in comparisons(judged, name, [background], per):
            try:
                parts.append(part_of_curve(judged, judged.weights, comparison, working_points))
            except UnavailableError as error:
                parts.append(Part(comparison.labels, {"auc": None}, reason=str(error)))
    headlines = tuple(line for part in parts for line in _headlines(part))
    if scan is not None:
        parts += _scan(rows, name, shares, scan)
    facts = {"of": rows.output, "target": rows.target, "signal": name, "fractions": shares}
    return Computed(facts, tuple(parts), headlines)


def background_fractions(rows: Labelled, signal: str, fractions: Mapping[str, float] | None) -> dict[str, float]:
    """The share of each background in the denominator, made to add up to 1; equal shares by default.

    One background left out of `fractions` gets what is missing to 1.
    """
    rows.index(signal)
    others = [name for name in rows.classes if name != signal]
    given = dict(fractions or {})
    for name in given:
        rows.index(name)
    left_out = [name for name in others if name not in given]
    if given and len(left_out) == 1:
        given[left_out[0]] = max(0.0, 1.0 - sum(given.values()))
    shares = {name: float(given.get(name, 0.0)) for name in others} if given else dict.fromkeys(others, 1.0)
    total = sum(shares.values())
    if signal in given or total <= 0:
        message = f"the fractions are of the backgrounds {', '.join(others)}, and one of them must be above 0"
        raise UnavailableError(message)
    return {name: share / total for name, share in shares.items()}


def discriminant_scores(rows: Labelled, signal: str, fractions: Mapping[str, float]) -> Array:
    """log(p_s / sum f_i p_i) of each row, shape (m,)."""
    below = np.zeros(len(rows.truth))
    for name, share in fractions.items():
        below += share * np.maximum(rows.score_of(name), 0.0)
    scores: Array = np.log(np.maximum(rows.score_of(signal), SMALLEST)) - np.log(np.maximum(below, SMALLEST))
    return scores


def _headlines(part: Part) -> list[Headline]:
    if part.labels["group"] != "all":
        return []
    return [
        rejection_headline(
            f"Rejection by the discriminant at {100 * point['signal_efficiency']:g} % efficiency, {against(part)}",
            point,
        )
        for point in part.values.get("working_points", ())
    ]


def _scan(rows: Labelled, signal: str, shares: Mapping[str, float], scan: Mapping[str, Any]) -> list[Part]:
    """Rejection of each background while the fraction of one goes from 0 to 1 and the others keep their ratios."""
    varied = scan["fraction"]
    if varied not in shares:
        message = f"the scanned fraction is of one of {', '.join(shares)}, not of {varied}"
        raise UnavailableError(message)
    values = np.asarray(scan.get("values") or SCANNED, dtype=np.float64)
    points = scan.get("working_points") or (0.6, 0.85)
    rejections = np.full((len(points), len(shares), 2, len(values)), np.nan)
    for number, value in enumerate(values):
        scores = discriminant_scores(rows, signal, _with_fraction(shares, varied, float(value)))
        rejections[..., number] = _rejections(rows, scores, signal, list(shares), points)
    return [
        Part(
            {"signal": signal, "background": [name], "group": "scan", "scan": varied, "signal_efficiency": point},
            {},
            {"fraction": values, "rejection": rejections[i, j, 0], "rejection_error": rejections[i, j, 1]},
        )
        for i, point in enumerate(points)
        for j, name in enumerate(shares)
    ]


def _with_fraction(shares: Mapping[str, float], varied: str, value: float) -> dict[str, float]:
    """The fraction of one background changed; the others share the rest as before."""
    rest = sum(share for name, share in shares.items() if name != varied)
    count = len(shares) - 1
    others = {name: share / rest if rest > 0 else 1 / count for name, share in shares.items() if name != varied}
    return {name: value if name == varied else (1 - value) * others[name] for name in shares}


def _rejections(rows: Labelled, scores: Array, signal: str, names: Sequence[str], points: Sequence[float]) -> Array:
    """Rejection and its error, shape (points, backgrounds, 2); NaN where no row passes."""
    found = np.full((len(points), len(names), 2), np.nan)
    own = members(rows, [signal])
    if not own.any() or rows.weights[own].sum() <= 0:
        return found
    thresholds = weighted_quantiles(scores[own], rows.weights[own], [1 - point for point in points])
    for j, name in enumerate(names):
        other = members(rows, [name])
        if not other.any() or rows.weights[other].sum() <= 0:
            continue
        for i, threshold in enumerate(thresholds):
            passed, error = weighted_fraction(scores[other] >= threshold, rows.weights[other])
            if passed > 0:
                found[i, j] = 1 / passed, error / passed**2
    return found
