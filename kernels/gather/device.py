"""`DeviceGather`: batches of one input whose segments lie on a device as a whole, made there.

It is for data that fit into the device's memory: a step then copies row numbers alone. There is no operator of torch
for it, since nothing of it is differentiated or exported: its results are the leaves of a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import backends
from ..sanitize import ops
from ..sanitize.reference import transform_columns
from ..sanitize.tensors import TensorSanitizer
from ..sanitize.transforms import FeatureTransform
from ..streams import Readers, on_device_of, stream_of

Piece = tuple[Tensor | NDArray[np.int64] | None, Tensor | NDArray[Any]]
"""(offsets of shape (rows + 1,) or None where object i is row i, values of shape (objects, F))."""
_NONE = torch.iinfo(torch.int64).max


class DeviceGather:
    """One input of a dataset on a device. Rows are named by (segment, row), as for `api.Gather`.

    On a CUDA device the compiled kernel runs on the current stream where it was built; else, and on the processor,
    operations of torch do. `choice` says which, and why. Each call may run on another stream, and still run when the
    object goes.

    Args:
        segments: (offsets, values) each, arrays or tensors; they are copied to the device unless they lie there.
        transforms: one for each of the F features.
        keep: objects that are kept of a row; None for an input without offsets.
        device: where the segments are kept and the batches are made.

    Raises:
        ValueError: segments do not fit each other, the transforms or `keep`.
    """

    def __init__(
        self,
        segments: Sequence[Piece],
        transforms: Sequence[FeatureTransform],
        keep: int | None = None,
        device: torch.device | str = "cuda",
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.keep = keep
        self._sanitizer = TensorSanitizer(transforms)
        features = self._sanitizer.layout.features
        self.segments = [_resident(segment, features, keep, torch.device(device)) for segment in segments]
        if len({values.dtype for _, values in self.segments}) > 1:
            raise ValueError("the segments of an input must all store the same type")
        # The device of the tensors: "cuda" alone becomes the current one when the first segment goes there.
        self.device = self.segments[0][1].device if self.segments else torch.empty(0, device=device).device
        self.choice = self._choose()
        table = [
            [values.data_ptr(), 0 if offsets is None else offsets.data_ptr(), _rows(offsets, values), len(values)]
            for offsets, values in self.segments
        ]
        self._sanitizer.packed(self.device)
        # This last copy, from the processor, is waited for, and with it all that the stream had to do before: a call
        # finds everything done, whatever stream it runs on.
        self._table = torch.tensor(table, dtype=torch.int64, device="cpu").reshape(-1, 4).to(self.device)
        kept = [part for piece in self.segments for part in piece if part is not None]
        self._readers = Readers([*kept, self._table])

    def _choose(self) -> backends.Choice:
        if self.device.type == "cuda":
            return backends.choose_cuda("gather")
        return backends.Choice("gather", "reference", f"operations of torch on {self.device}")

    def shape(self, count: int) -> tuple[int, ...]:
        """Shape of a batch of `count` rows: (count, W) or (count, keep, W)."""
        width = self._sanitizer.layout.width
        return (count, width) if self.keep is None else (count, self.keep, width)

    def __call__(self, segment: Tensor, row: Tensor, check: bool = True) -> tuple[Tensor, Tensor | None]:
        """A batch and its mask on the device; slots without an object are 0 and False.

        Args:
            segment: which segment, int32 (B,), on the device.
            row: which row of it, int64 (B,), on the device.
            check: look whether all rows exist, which waits for the device. Without it, a row that does not exist is
                not read either: it becomes zeros without an object.

        Raises:
            ValueError: an index or the offsets of its row are out of range (with `check`), or a tensor has the wrong
                shape, type or device.
        """
        if segment.dtype != torch.int32 or row.dtype != torch.int64 or segment.shape != row.shape or row.dim() != 1:
            raise ValueError("segment must be int32 and row int64, one-dimensional and of the same length")
        if segment.device != self.device or row.device != self.device:
            raise ValueError(f"segment and row must be on {self.device}, not {segment.device} and {row.device}")
        out = torch.empty(self.shape(len(row)), dtype=torch.float32, device=self.device)
        mask = None
        if self.keep is not None:
            mask = torch.empty(out.shape[:2], dtype=torch.bool, device=self.device)
        self._readers.add_current()
        make = self._launch if self.choice.implementation == "cuda" else self._by_torch
        bad = make(segment.contiguous(), row.contiguous(), out, mask)
        first = int(bad) if check else _NONE
        if first != _NONE:
            raise ValueError(self._complaint(int(segment[first]), int(row[first])))
        return out, mask

    def _launch(self, segment: Tensor, row: Tensor, out: Tensor, mask: Tensor | None) -> Tensor:
        """The compiled kernel; returns the smallest position of a row that does not exist."""
        layout, packed = self._sanitizer.layout, self._sanitizer.packed(self.device)
        bad = torch.full((), _NONE, dtype=torch.int64, device=self.device)
        code = ops.storage_code(self.segments[0][1]) if self.segments else 1
        with on_device_of(row):
            error = backends.native_module().gather_cuda(
                layout.features,
                ops.addresses(packed),
                layout.width,
                code,
                self._table.data_ptr(),
                len(self.segments),
                segment.data_ptr(),
                row.data_ptr(),
                len(row),
                self.keep or 1,
                out.data_ptr(),
                0 if mask is None else mask.data_ptr(),
                bad.data_ptr(),
                stream_of(row),
            )
        ops.checked_error(error)
        return bad

    def _by_torch(self, segment: Tensor, row: Tensor, out: Tensor, mask: Tensor | None) -> Tensor:
        """The same with operations of torch, segment after segment."""
        packed = self._sanitizer.packed(self.device)
        out.zero_()
        found = torch.zeros(len(row), dtype=torch.bool, device=self.device)
        if mask is not None:
            mask.zero_()
        for index, (offsets, values) in enumerate(self.segments):
            here = torch.nonzero((segment == index) & (row >= 0) & (row < _rows(offsets, values))).squeeze(1)
            batch, objects = here, row[here]
            if offsets is not None and mask is not None:
                begin, end = offsets[objects], offsets[objects + 1]
                sound = (begin >= 0) & (begin <= end) & (end <= len(values))
                here, begin, end = here[sound], begin[sound], end[sound]
                real = torch.arange(mask.shape[1], device=self.device) < (end - begin).unsqueeze(1)
                mask[here] = real
                which, slot = torch.nonzero(real, as_tuple=True)
                batch, objects = here[which], begin[which] + slot
                out[batch, slot] = transform_columns(
                    values[objects], packed.source, packed.flags.bool(), packed.numbers
                )
            else:
                out[batch] = transform_columns(values[objects], packed.source, packed.flags.bool(), packed.numbers)
            found[here] = True
        positions = torch.arange(len(row), device=self.device)
        missing = torch.where(found, _NONE, positions)
        return missing.min() if len(row) else torch.tensor(_NONE)

    def _complaint(self, segment: int, row: int) -> str:
        if not 0 <= segment < len(self.segments):
            return f"there is no segment {segment}; there are {len(self.segments)}"
        rows = _rows(*self.segments[segment])
        if not 0 <= row < rows:
            return f"segment {segment} has no row {row}; it has {rows}"
        return f"the offsets of row {row} of segment {segment} do not lie within its objects"


def _rows(offsets: Tensor | None, values: Tensor) -> int:
    return len(values) if offsets is None else max(0, len(offsets) - 1)


def _tensor(values: Tensor | NDArray[Any]) -> Tensor:
    return torch.from_numpy(values) if isinstance(values, np.ndarray) else values


def _resident(segment: Piece, features: int, keep: int | None, device: torch.device) -> tuple[Tensor | None, Tensor]:
    offsets, values = segment[0], _tensor(segment[1])
    if values.dim() != 2 or values.shape[1] != features:
        raise ValueError(f"a segment has values of shape {tuple(values.shape)}, but there are {features} transforms")
    ops.storage_code(values)
    if (offsets is None) != (keep is None):
        raise ValueError("segments with offsets need keep, and segments without must not have it")
    values = values.to(device).contiguous()
    if offsets is None:
        return None, values
    made = _tensor(offsets)
    if made.dim() != 1 or made.dtype != torch.int64:
        raise ValueError(f"offsets must be int64 of shape (rows + 1,), not {made.dtype} of shape {tuple(made.shape)}")
    return made.to(device).contiguous(), values
