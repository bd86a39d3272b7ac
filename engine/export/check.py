"""Is the exported network the trained one? The same rows go through both, and through the training path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import ExportError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Agreement:
    """The largest difference between two sets of scores.

    Attributes:
        rows: how many rows were compared.
        largest: largest difference of any score; divided by the score where that is above 1.
        worst: number of the row where it is.
        output: the output where it is.
    """

    rows: int
    largest: float
    worst: int
    output: str


def compare(what: str, expected: Mapping[str, Array], found: Mapping[str, Array], tolerance: float) -> Agreement:
    """Compare scores.

    Raises:
        ExportError: they differ by more than `tolerance` (times the score where that is above 1), or one of them is
            not a number where the other is.
    """
    agreement = Agreement(0, 0.0, 0, next(iter(expected), ""))
    for name, values in expected.items():
        difference = _difference(values.astype(np.float64), found[name].astype(np.float64))
        per_row = difference.reshape(len(values), -1).max(axis=1, initial=0.0)
        worst = int(np.argmax(np.where(np.isnan(per_row), np.inf, per_row))) if len(values) else 0
        largest = float(per_row[worst]) if len(values) else 0.0
        if not largest <= tolerance:
            message = (
                f"{what} differs from the trained network by {largest:.3g} in {name} (row {worst}), "
                f"more than the tolerance of {tolerance:g}"
            )
            raise ExportError(message)
        if largest >= agreement.largest:
            agreement = Agreement(len(values), largest, worst, name)
    return agreement


def _difference(expected: Array, found: Array) -> Array:
    """As a part of the expected value where that is above 1: float32 holds seven digits, not seven places."""
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    with np.errstate(invalid="ignore"):
        difference = np.abs(expected - found) / np.maximum(1.0, np.abs(expected))
    return np.where(same, 0.0, difference)
