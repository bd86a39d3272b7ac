"""`Gather`: batches of one input out of prepared segments, by the fastest implementation there is."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from ..sanitize.layout import Layout, dtype_code
from ..sanitize.transforms import FeatureTransform
from . import reference
from .reference import Segment


class Gather:
    """One input of a dataset: its segments and the transforms of its features.

    Rows are named by (segment, row). Values are stored as float16, float32, float64 or integers, the same in every
    segment; they come out as float32 with the transforms applied.

    Segments are read where they lie. A copy (`copy.copy`, `copy.deepcopy`) reads the same ones. A pickle holds all
    their numbers, also of segments that are mapped from files: another process had better map the files itself and make
    an object of its own.

    Args:
        segments: (offsets, values) each. Values have shape (objects, F). With offsets, int64 of shape (rows + 1,), row
            i owns the objects from `offsets[i]` up to `offsets[i + 1]`; without (None), object i is row i.
        transforms: one for each of the F features.
        keep: objects that are kept of a row; None for an input without offsets.
        implementation: "native", "numba" or "reference"; without it `backends.choose` decides.

    Raises:
        ValueError: segments do not fit each other, the transforms or `keep`.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        transforms: Sequence[FeatureTransform],
        keep: int | None = None,
        implementation: str | None = None,
    ) -> None:
        self.segments = [_checked(segment, len(transforms), keep) for segment in segments]
        if len({values.dtype for _, values in self.segments}) > 1:
            raise ValueError("the segments of an input must all store the same type")
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.transforms, self.keep, self._asked = tuple(transforms), keep, implementation
        self.layout = Layout.of(self.transforms)
        self.choice = backends.choose("gather", implementation)
        self._rows = np.array([_rows(segment) for segment in self.segments], dtype=np.int64)
        self._native = self._make_native() if self.choice.implementation == "native" else None

    def __reduce__(self) -> tuple[type[Gather], tuple[Any, ...]]:
        return type(self), (self.segments, self.transforms, self.keep, self._asked)

    def __deepcopy__(self, memo: dict[int, Any]) -> Gather:
        return copy(self)

    def _make_native(self) -> Any:
        code = dtype_code(self.segments[0][1].dtype) if self.segments else 1
        pieces = [
            (values.ctypes.data, 0 if offsets is None else offsets.ctypes.data, _rows((offsets, values)), len(values))
            for offsets, values in self.segments
        ]
        return backends.native_module().Gather(self.layout.features, self.layout.columns, code, pieces)

    def shape(self, count: int) -> tuple[int, ...]:
        """Shape of a batch of `count` rows: (count, W) or (count, keep, W)."""
        return (count, self.layout.width) if self.keep is None else (count, self.keep, self.layout.width)

    def into(
        self,
        segment: NDArray[np.int32],
        row: NDArray[np.int64],
        out: NDArray[np.float32],
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Fill a batch; the GIL is released while it happens.

        Args:
            segment: which segment, shape (B,).
            row: which row of it, shape (B,).
            out: the batch, C-contiguous and writeable, shape (B, W) or (B, keep, W); slots without an object become 0.
            mask: with `keep`, shape (B, keep): True for a slot with an object.

        Raises:
            ValueError: an index or the offsets of its row are out of range, or an array has the wrong shape or type.
        """
        self._check(segment, row, out, mask)
        if self._native is not None:
            segment = np.require(segment, requirements=["C", "A"])
            row = np.require(row, requirements=["C", "A"])
            bad = (
                self._native.rows(segment, row, out)
                if self.keep is None
                else self._native.objects(segment, row, self.keep, out, mask)
            )
            if bad >= 0:
                raise ValueError(self._complaint(int(segment[bad]), int(row[bad])))
            return
        self._check_range(segment, row)
        self._fallback(segment, row, out, mask)

    def __call__(
        self, segment: NDArray[np.int32], row: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """A fresh batch and its mask (None for an input without offsets); arguments and errors as in `into`."""
        out = np.empty(self.shape(len(row)), dtype=np.float32)
        mask = None if self.keep is None else np.empty((len(row), self.keep), dtype=np.bool_)
        self.into(segment, row, out, mask)
        return out, mask

    def _fallback(
        self,
        segment: NDArray[np.int32],
        row: NDArray[np.int64],
        out: NDArray[np.float32],
        mask: NDArray[np.bool_] | None,
    ) -> None:
        if self.choice.implementation == "reference":
            if mask is None:
                return reference.gather_rows(self.segments, self.transforms, segment, row, out)
            return reference.gather_objects(self.segments, self.transforms, segment, row, out, mask)
        from . import numba

        if mask is None:
            return numba.gather_rows(self.segments, self.layout, segment, row, out)
        return numba.gather_objects(self.segments, self.layout, segment, row, out, mask)

    def _check(
        self,
        segment: NDArray[np.int32],
        row: NDArray[np.int64],
        out: NDArray[np.float32],
        mask: NDArray[np.bool_] | None,
    ) -> None:
        if segment.dtype != np.int32 or row.dtype != np.int64 or segment.shape != row.shape or row.ndim != 1:
            raise ValueError("segment must be int32 and row int64, one-dimensional and of the same length")
        if out.dtype != np.float32 or out.shape != self.shape(len(row)) or not _fillable(out):
            raise ValueError(f"the batch must be writeable, C-contiguous float32 of shape {self.shape(len(row))}")
        if (mask is None) != (self.keep is None):
            raise ValueError("a mask goes with keep, and only with it")
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != out.shape[:2] or not _fillable(mask)):
            raise ValueError(f"the mask must be writeable, C-contiguous bool of shape {out.shape[:2]}")

    def _check_range(self, segment: NDArray[np.int32], row: NDArray[np.int64]) -> None:
        """What the compiled kernel checks itself, for the other implementations."""
        bad = (segment < 0) | (segment >= len(self.segments))
        if not bad.any() and len(row):
            bad = (row < 0) | (row >= self._rows[segment])
            if not bad.any() and self.keep is not None:
                bad = ~self._sound(segment, row)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise ValueError(self._complaint(int(segment[first]), int(row[first])))

    def _sound(self, segment: NDArray[np.int32], row: NDArray[np.int64]) -> NDArray[np.bool_]:
        """True where the offsets of a row are in order and within its segment."""
        sound = np.zeros(len(row), dtype=np.bool_)
        for index in np.unique(segment):
            offsets, values = self.segments[index]
            here = segment == index
            begin, end = offsets[row[here]], offsets[row[here] + 1]
            sound[here] = (begin >= 0) & (begin <= end) & (end <= len(values))
        return sound

    def _complaint(self, segment: int, row: int) -> str:
        if not 0 <= segment < len(self.segments):
            return f"there is no segment {segment}; there are {len(self.segments)}"
        if not 0 <= row < self._rows[segment]:
            return f"segment {segment} has no row {row}; it has {self._rows[segment]}"
        return f"the offsets of row {row} of segment {segment} do not lie within its objects"


def _fillable(array: NDArray[Any]) -> bool:
    return array.flags.c_contiguous and array.flags.writeable


def _rows(segment: Segment) -> int:
    offsets, values = segment
    return len(values) if offsets is None else max(0, len(offsets) - 1)


def _checked(segment: Segment, features: int, keep: int | None) -> Segment:
    """The segment as the kernels read it: contiguous, aligned, offsets int64; no copy where it is so already."""
    offsets, values = segment
    if values.ndim != 2 or values.shape[1] != features:
        raise ValueError(f"a segment has values of shape {values.shape}, but there are {features} transforms")
    dtype_code(values.dtype)
    if (offsets is None) != (keep is None):
        raise ValueError("segments with offsets need keep, and segments without must not have it")
    values = np.require(values, requirements=["C", "A"])
    if offsets is None:
        return None, values
    if offsets.ndim != 1 or offsets.dtype != np.int64:
        raise ValueError(f"offsets must be int64 of shape (rows + 1,), not {offsets.dtype} of shape {offsets.shape}")
    return np.require(offsets, requirements=["C", "A"]), values
