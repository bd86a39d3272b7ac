"""Weighted accuracy and area under the ROC curve of the validation, from probabilities; NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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


def area_under_curve(scores: NDArray[np.float32], positive: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """The weighted probability that a positive row has a larger score than a negative one; ties count one half.

    NaN where either kind has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf))  # last row of each run of equal scores
    positives = np.cumsum(np.where(positive, weights, 0.0)[order])[ends]
    negatives = np.cumsum(np.where(positive, 0.0, weights)[order])[ends]
    if not len(ends) or positives[-1] == 0 or negatives[-1] == 0:
        return float("nan")
    steps = np.diff(positives, prepend=0.0)
    below = np.concatenate([[0.0], negatives[:-1]])
    return float(np.sum(steps * 0.5 * (below + negatives)) / (positives[-1] * negatives[-1]))


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
