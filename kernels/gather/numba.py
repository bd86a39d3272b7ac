"""gather compiled by numba, for machines without the compiled module; one compiled call a segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ..sanitize.layout import Layout
from ..sanitize.numba import readable, transform_value
from .reference import Segment


@numba.njit(nogil=True, error_model="numpy")
def _rows(values: Any, row: Any, at: Any, out: Any, columns: Any) -> None:
    source = columns[0]
    for i in range(len(row)):
        for column in range(len(source)):
            out[at[i], column] = transform_value(np.float32(values[row[i], source[column]]), column, columns)


@numba.njit(nogil=True, error_model="numpy")
def _objects(values: Any, begin: Any, real: Any, at: Any, out: Any, mask: Any, columns: Any) -> None:
    source = columns[0]
    for i in range(len(begin)):
        for slot in range(out.shape[1]):
            mask[at[i], slot] = slot < real[i]
        for slot in range(real[i]):
            for column in range(len(source)):
                x = np.float32(values[begin[i] + slot, source[column]])
                out[at[i], slot, column] = transform_value(x, column, columns)
        out[at[i], real[i] :] = 0


def _groups(segment: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The positions of a batch that belong to each segment."""
    order = np.argsort(segment, kind="stable")
    indices, starts = np.unique(segment[order], return_index=True)
    yield from zip(indices.tolist(), np.split(order, starts[1:]), strict=False)


def gather_rows(
    segments: Sequence[Segment],
    layout: Layout,
    segment: NDArray[np.int32],
    row: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Rows without offsets into `out`, shape (B, W)."""
    for index, at in _groups(segment):
        values, rows = _picked(segments[index][1], row[at])
        _rows(values, rows, at, out, layout.arrays)


def gather_objects(
    segments: Sequence[Segment],
    layout: Layout,
    segment: NDArray[np.int32],
    row: NDArray[np.int64],
    out: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> None:
    """The first objects of each row into `out`, shape (B, keep, W), zeros behind them, and `mask`, shape (B, keep)."""
    for index, at in _groups(segment):
        offsets, values = segments[index]
        begin = offsets[row[at]]  # type: ignore[index]
        real = np.minimum(offsets[row[at] + 1] - begin, out.shape[1])  # type: ignore[index]
        if values.dtype == np.float16:
            picked = np.repeat(begin - np.concatenate(([0], np.cumsum(real)[:-1])), real) + np.arange(real.sum())
            begin, values = np.cumsum(real) - real, readable(values[picked])
        _objects(values, begin, real, at, out, mask, layout.arrays)


def _picked(values: NDArray[Any], row: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """float16 rows are picked by NumPy first, because numba cannot read them."""
    if values.dtype != np.float16:
        return values, row
    return readable(values[row]), np.arange(len(row))
