"""Precision against recall, and its average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Per
from engine.evaluation.metrics.classweights import Normalise, class_weights
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Part
from engine.evaluation.metrics.roc import Comparison, comparisons, headlines, require_weights
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled


def precision_recall_curve(scores: Array, is_signal: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Recall, precision and threshold for `score >= threshold`, one point for each distinct score, recall ascending."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
    passed = np.cumsum(np.where(is_signal, weights, 0.0)[order])[last]
    taken = np.cumsum(weights[order])[last]
    precision = np.divide(passed, taken, out=np.full_like(taken, np.nan), where=taken > 0)
    return passed / passed[-1], precision, ordered[last]


def average_precision(scores: Array, is_signal: Array, weights: Array) -> tuple[float, float]:
    """Mean over the signal of the precision at each signal row's score, and its statistical error.

    The error is the infinitesimal jackknife (B. Efron, J. R. Stat. Soc. B 54 (1992) 83): the root of the sum of
    (w dAP/dw)^2, each weight entering through the precision at all thresholds below its score.
    """
    order = np.argsort(-scores, kind="stable")
    truth, weight = is_signal[order], weights[order]
    starts = np.r_[0, np.flatnonzero(np.diff(scores[order])) + 1]
    run = np.cumsum(np.r_[0, np.diff(scores[order]) != 0]) if len(order) else np.empty(0, int)
    signal = np.cumsum(np.add.reduceat(np.where(truth, weight, 0.0), starts))
    taken = np.cumsum(np.add.reduceat(weight, starts))
    with np.errstate(all="ignore"):
        precision = np.where(taken > 0, signal / taken, 0.0)
        up, down = (np.where(taken > 0, each / taken**2, 0.0) for each in (taken - signal, signal))
    steps = np.diff(signal, prepend=0.0)
    total = signal[-1]
    mean = float((steps * precision).sum() / total)
    below_up, below_down = (np.cumsum((steps * each)[::-1])[::-1] for each in (up, down))
    slope = np.where(truth, precision[run] - mean + below_up[run], -below_down[run]) / total
    return mean, float(np.sqrt(np.square(weight * slope).sum()))


@metric("precision_recall", "Precision and recall")
def precision_recall(
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
) -> Computed:
    """Curve and average precision of each signal against its backgrounds, per category or bin."""
    rows = labelled(predictions, of, target, weight)
    weights = class_weights(rows, normalise, factors or {})
    parts = [_part(rows, weights, comparison) for comparison in comparisons(rows, signal, backgrounds, per)]
    lines = headlines(parts, "Average precision", "average_precision")
    return Computed({"of": rows.output, "target": rows.target}, tuple(parts), tuple(lines))


def _part(rows: Labelled, weights: Array, comparison: Comparison) -> Part:
    mask = comparison.mask
    scores, is_signal = rows.score_of(comparison.signal)[mask], rows.truth[mask] == rows.index(comparison.signal)
    try:
        require_weights(is_signal, weights[mask])
    except UnavailableError as error:
        return Part(comparison.labels, {"average_precision": None}, reason=str(error))
    recall, precision, threshold = precision_recall_curve(scores, is_signal, weights[mask])
    mean, deviation = average_precision(scores, is_signal, weights[mask])
    values = {
        "average_precision": mean,
        "average_precision_error": deviation,
        "signal_share": float(weights[mask][is_signal].sum() / weights[mask].sum()),
        "signal_rows": int(is_signal.sum()),
        "background_rows": int((~is_signal).sum()),
    }
    return Part(comparison.labels, values, {"recall": recall, "precision": precision, "threshold": threshold})
