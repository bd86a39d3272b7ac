"""gather in plain NumPy: the definition that the other implementations are tested against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sanitize.transforms import FeatureTransform, apply

Segment = tuple[NDArray[np.int64] | None, NDArray[Any]]
"""(offsets of shape (rows + 1,) or None where object i is row i, values of shape (objects, F))."""


def gather_rows(
    segments: Sequence[Segment],
    transforms: Sequence[FeatureTransform],
    segment: NDArray[np.int32],
    row: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Rows without offsets into `out`, shape (B, W)."""
    for index in np.unique(segment):
        here = segment == index
        out[here] = apply(segments[index][1][row[here]], transforms)


def gather_objects(
    segments: Sequence[Segment],
    transforms: Sequence[FeatureTransform],
    segment: NDArray[np.int32],
    row: NDArray[np.int64],
    out: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> None:
    """The first objects of each row into `out`, shape (B, keep, W), zeros behind them, and `mask`, shape (B, keep)."""
    out[:] = 0
    mask[:] = False
    keep = out.shape[1]
    for index in np.unique(segment):
        offsets, values = segments[index]
        here = np.flatnonzero(segment == index)
        begin, end = offsets[row[here]], offsets[row[here] + 1]
        slot = np.arange(keep)
        real = slot < (end - begin)[:, None]
        mask[here] = real
        batch, position = np.nonzero(real)
        out[here[batch], position] = apply(values[begin[batch] + position], transforms)
