"""Signal over the root of the background, scanned over thresholds on the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Per
from engine.evaluation.metrics.classweights import Normalise, class_weights
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.roc import Comparison, comparisons
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, labelled


def default_thresholds() -> Array:
    """720 thresholds in ascending order, dense close to 0 and to 1."""
    return np.concatenate([np.logspace(-5, -1, 100), np.linspace(0.11, 0.89, 20), np.logspace(-0.04575, 0, 600)])


def sum_above(scores: Array, weights: Array, thresholds: Array) -> Array:
    """Sum of the weights of the scores above each threshold, shape (thresholds,)."""
    order = np.argsort(scores, kind="stable")
    below = np.r_[0.0, np.cumsum(weights[order])]
    above: Array = below[-1] - below[np.searchsorted(scores[order], thresholds, side="right")]
    return above


@metric("s_over_sqrt_b", "S over root B")
def s_over_sqrt_b(
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
    weighted_signal: bool = False,
    minimum_background: float = 10,
    thresholds: Sequence[float] | None = None,
) -> Computed:
    """The scan, its maximum and the area under it, against each set of backgrounds and per category or bin."""
    rows = labelled(predictions, of, target, weight)
    weights = class_weights(rows, normalise, factors or {})
    name = signal if signal is not None else rows.classes[-1]
    is_signal = rows.truth == rows.index(name)
    if not weighted_signal:
        weights = np.where(is_signal, 1.0, weights)
    cuts = default_thresholds() if thresholds is None else np.sort(np.asarray(thresholds, dtype=np.float64))
    parts = [
        _scan(rows, weights, comparison, cuts, minimum_background)
        for comparison in comparisons(rows, name, backgrounds, per)
    ]
    headlines = [
        Headline(f"Largest S/√B, {name} against {', '.join(part.labels['background'])}", part.values["maximum"])
        for part in parts
        if part.labels["group"] == "all"
    ]
    return Computed({"of": rows.output, "target": rows.target}, tuple(parts), tuple(headlines))


def _scan(rows: Labelled, weights: Array, comparison: Comparison, cuts: Array, minimum: float) -> Part:
    is_signal = rows.truth == rows.index(comparison.signal)
    scores = rows.score_of(comparison.signal)
    taken, other = comparison.mask & is_signal, comparison.mask & ~is_signal
    signal = sum_above(scores[taken], weights[taken], cuts)
    background = sum_above(scores[other], weights[other], cuts)
    enough = np.flatnonzero(background <= minimum)
    end = int(enough[0]) if len(enough) else len(cuts)
    values: dict[str, float | None] = {
        "maximum": None,
        "threshold": None,
        "area": None,
        "signal_rows": int(taken.sum()),
        "background_rows": int(other.sum()),
    }
    if end == 0 or not taken.any():
        reason = "there is no signal row" if end else f"no threshold leaves a background of more than {minimum:g}"
        return Part(comparison.labels, values, reason=reason)
    ratio = signal[:end] / np.sqrt(background[:end])
    best = int(ratio.argmax())
    values |= {
        "maximum": float(ratio[best]),
        "threshold": float(cuts[best]),
        "area": float(np.trapezoid(ratio, cuts[:end])),
    }
    curves = {"threshold": cuts[:end], "s_over_sqrt_b": ratio, "signal": signal[:end], "background": background[:end]}
    return Part(comparison.labels, values, curves)
