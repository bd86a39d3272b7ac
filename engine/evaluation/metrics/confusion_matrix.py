"""True class against class of the highest output."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.accuracy import predicted_classes
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Part
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import labelled


@metric("confusion_matrix", "Confusion matrix")
def confusion_matrix(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    normalise: Literal["truth", "prediction", "none"] = "truth",
) -> Computed:
    """Matrix with a row for each true class and a column for each predicted class; null where a sum is not positive."""
    rows = labelled(predictions, of, target, weight)
    size = len(rows.classes)
    cell = rows.truth * size + predicted_classes(rows)
    sums = np.bincount(cell, rows.weights, minlength=size**2).reshape(size, size)
    counts = np.bincount(cell, minlength=size**2).reshape(size, size)
    values = {
        "classes": list(rows.classes),
        "matrix": _normalised(sums, normalise),
        "sum_of_weights": sums,
        "rows": counts,
    }
    absent = [name for name, count in zip(rows.classes, counts.sum(axis=1), strict=True) if not count]
    reason = f"there is no row of class {', '.join(absent)}" if absent else None
    return Computed({"of": rows.output, "target": rows.target}, (Part({"group": "all"}, values, reason=reason),))


def _normalised(sums: Array, normalise: str) -> Array:
    if normalise == "none":
        return sums
    total = sums.sum(axis=1 if normalise == "truth" else 0, keepdims=True)
    fractions: Array = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return fractions
