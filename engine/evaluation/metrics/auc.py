"""The area under the ROC curve alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.data.columns import Array
from engine.evaluation.grouping import Per
from engine.evaluation.metrics.classweights import Normalise, class_weights
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Part
from engine.evaluation.metrics.roc import Comparison, area_error, comparisons, headlines, require_weights
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled
from engine.statistics import area_under_curve


@metric("auc", "Area under the ROC curve")
def auc(
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
    """The area and its statistical error for each signal and its backgrounds, per category or bin."""
    rows = labelled(predictions, of, target, weight)
    rows_weights = class_weights(rows, normalise, factors or {})
    parts = [_part(rows, rows_weights, comparison) for comparison in comparisons(rows, signal, backgrounds, per)]
    lines = headlines(parts, "AUC", "auc")
    return Computed({"of": rows.output, "target": rows.target}, tuple(parts), tuple(lines))


def _part(rows: Labelled, weights: Array, comparison: Comparison) -> Part:
    mask = comparison.mask
    weight = weights[mask]
    scores, is_signal = rows.score_of(comparison.signal)[mask], rows.truth[mask] == rows.index(comparison.signal)
    try:
        require_weights(is_signal, weight)
    except UnavailableError as error:
        return Part(comparison.labels, {"auc": None}, reason=str(error))
    area = area_under_curve(scores, is_signal, weight)
    return Part(comparison.labels, {"auc": area, "auc_error": area_error(scores, is_signal, weight)})
