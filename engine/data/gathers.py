"""What puts a batch together out of pieces of the prepared data: the inputs, and the targets of their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform

from engine.data.columns import Array

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset

Pieces = Mapping[str, tuple[Array | None, Array]]
"""Rows that lie together: (offsets, values) of each input, and of `target:<name>` for targets of objects and pairs."""

_NOT_A_NUMBER = -float(np.finfo(np.float32).max)  # what the kernel makes of NaN; it fills with finite numbers only


class TargetGather:
    """Targets of objects or pairs, padded; what is absent, and padding, is -1 for classes and NaN for numbers.

    The kernel of the inputs does the work. Small numbers (classes, conditions) come out 1 higher, so that padding,
    which it makes 0, is absent once they are put right.

    Args:
        pieces: offsets and values, shape (objects, numbers), of rows that lie together.
        facts: of the target, from the manifest.
        keep: objects of the input.
    """

    def __init__(self, pieces: Sequence[tuple[Array | None, Array]], facts: Mapping[str, Any], keep: int) -> None:
        self.keep, self.coded = keep, facts["dtype"] != "float32"
        self.dtype = np.dtype(np.int64 if facts["classes"] else np.float32)
        self.width = keep if facts["kind"] == "pairs" else max(1, len(facts["components"]))
        transform = FeatureTransform(offset=1.0) if self.coded else FeatureTransform(fill=_NOT_A_NUMBER)
        self._gather = Gather(pieces, [transform] * self.width, keep)
        self._is_scalar = facts["kind"] == "objects" and not facts["components"]

    def shape(self, count: int) -> tuple[int, ...]:
        """Shape of the targets of `count` rows: (count, keep), or (count, keep, width)."""
        return (count, self.keep) if self._is_scalar else (count, self.keep, self.width)

    def into(self, segment: Array, row: Array, out: Array, scratch: Array, mask: Array) -> None:
        """Fill the targets of some rows.

        Args:
            segment: which piece, int32, shape (rows,).
            row: which row of it, int64, shape (rows,).
            out: C-contiguous, of `dtype` and `shape(rows)`.
            scratch: memory to work in, float32, shape (rows, keep, width); may be that of `out`.
            mask: the same, bool, shape (rows, keep).
        """
        self._gather.into(segment, row, scratch, mask)
        out = out.reshape(scratch.shape)
        if self.coded:
            np.subtract(scratch, 1, out=out, casting="unsafe")
            if self.dtype.kind == "f":  # 0 and 1 are their own roots, that of -1 is NaN: faster than with a mask
                with np.errstate(invalid="ignore"):
                    np.sqrt(out, out=out)
        else:
            np.copyto(out, np.nan, where=out == _NOT_A_NUMBER)
            np.copyto(out, np.nan, where=~mask[:, :, None])

    def __call__(self, segment: Array, row: Array) -> Array:
        """The targets of some rows in memory of their own; arguments as of `into`."""
        out = np.empty(self.shape(len(row)), self.dtype)
        self.into(segment, row, out, self.scratch(out), np.empty((len(row), self.keep), np.bool_))
        return out

    def scratch(self, out: Array) -> Array:
        """Memory for `into`: that of the targets themselves where their type allows it."""
        shape = (len(out), self.keep, self.width)
        return out.reshape(shape) if self.dtype == np.float32 else np.empty(shape, np.float32)


@dataclass(frozen=True)
class Gathers:
    """The gather of each input, and of each target of objects or pairs."""

    inputs: Mapping[str, Gather]
    targets: Mapping[str, TargetGather]


def make_gathers(dataset: PreparedDataset, pieces: Sequence[Pieces]) -> Gathers:
    """The gathers over the given pieces of a dataset."""
    inputs = dataset.manifest["inputs"]
    return Gathers(
        inputs={
            name: Gather([piece[name] for piece in pieces], dataset.transforms(name), facts["keep"])
            for name, facts in inputs.items()
        },
        targets={name: target_gather(dataset, name, pieces) for name in dataset.listed_targets},
    )


def target_gather(dataset: PreparedDataset, name: str, pieces: Sequence[Pieces]) -> TargetGather:
    """The gather of one target of objects or pairs."""
    facts = dataset.manifest["targets"][name]
    keep = dataset.manifest["inputs"][facts["of"]]["keep"]
    return TargetGather([piece[f"target:{name}"] for piece in pieces], facts, keep)
