"""Statistics of weighted rows that training and evaluation share; NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def area_under_curve(scores: NDArray[Any], positive: NDArray[np.bool_], weights: NDArray[Any]) -> float:
    """The area under the ROC curve: the weighted probability that a positive row has the larger score.

    Ties count one half. Negative weights count as they are.

    Args:
        scores: finite, shape (rows,).
        positive: which rows are positive (signal), shape (rows,).
        weights: shape (rows,).

    Returns:
        NaN where the weights of the positive or of the negative rows sum to 0.
    """
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf))  # last row of each run of equal scores
    positives = np.cumsum(np.where(positive, weights, 0.0)[order])[ends]
    negatives = np.cumsum(np.where(positive, 0.0, weights)[order])[ends]
    if not len(ends) or positives[-1] == 0 or negatives[-1] == 0:
        return float("nan")
    steps = np.diff(positives / positives[-1], prepend=0.0)
    negatives /= negatives[-1]  # each by itself: the product of two tiny sums would be 0
    below = np.concatenate([[0.0], negatives[:-1]])
    return float(np.sum(steps * 0.5 * (below + negatives)))
