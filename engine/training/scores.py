"""Weighted accuracy and area under the ROC curve of the validation, from probabilities; NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.statistics import area_under_curve


def accuracy(probabilities: NDArray[np.float32], classes: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The weighted share of rows whose most probable class is their own; NaN where the weights add up to 0.

    Args:
        probabilities: (rows, classes), or (rows) of class 1.
        classes: class index of each row.
        weights: weight of each row.
    """
    chosen = probabilities.argmax(1) if probabilities.ndim == 2 else probabilities > 0.5
    total = float(weights.sum())
    return float(weights[chosen == classes].sum() / total) if total else float("nan")


def mean_area(probabilities: NDArray[np.float32], classes: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The area of class 1 for two classes; for more, the mean over classes of the area of each against the rest."""
    if probabilities.ndim == 1:
        return area_under_curve(probabilities, classes == 1, weights)
    if probabilities.shape[1] == 2:
        return area_under_curve(probabilities[:, 1], classes == 1, weights)
    areas = [
        area_under_curve(probabilities[:, each], classes == each, weights) for each in range(probabilities.shape[1])
    ]
    return float(np.mean(areas))
