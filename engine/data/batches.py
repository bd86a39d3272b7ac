"""A batch, and the buffers that it lies in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.data.columns import Array

if TYPE_CHECKING:
    from engine_kernels.gather.api import Gather

    from engine.data.store import PreparedDataset, RowIndex


@dataclass(frozen=True)
class Batch:
    """B rows of a stream.

    Attributes:
        inputs: float32, (B, keep, W) for objects, 0 where there is none, or (B, W) for the row itself.
        masks: for inputs of objects, bool (B, keep): True for an object.
        targets: int64 class numbers (-1: absent) or float32 values (NaN: absent); of rows (B,) or, for vectors, (B, n);
            of the objects of an input (B, keep) or (B, keep, n); of their pairs (B, keep, keep). Padding is absent.
        weights: (B,), float32; `weight` and the weights derived from it.
        rows: position of each row among the rows that the batches are made of, int64, shape (B,).
    """

    inputs: dict[str, Tensor]
    masks: dict[str, Tensor]
    targets: dict[str, Tensor]
    weights: dict[str, Tensor]
    rows: Array


class RowFacts:
    """Targets and weights of all rows of a stream, in memory.

    Attributes:
        targets: int64 or float32, shape (rows,).
        weights: float32, shape (rows,).
    """

    def __init__(self, dataset: PreparedDataset, rows: RowIndex) -> None:
        targets, weights = dataset.manifest["targets"], ["weight", *dataset.manifest.get("weights", {})]
        names = {name: name if name == "weight" else f"weight:{name}" for name in weights}
        read = dataset.read([*(f"target:{name}" for name in targets), *names.values()], rows)
        self.targets: dict[str, Array] = {
            name: read[f"target:{name}"].astype(np.float32 if facts["classes"] is None else np.int64)
            for name, facts in targets.items()
        }
        self.weights: dict[str, Array] = {name: read[key].astype(np.float32) for name, key in names.items()}


class Buffers:
    """Memory of one batch, filled again and again.

    Args:
        gathers: one for each input.
        facts: what the targets and weights are taken from.
        batch: rows.
        pin: use page-locked memory, from which copies to a CUDA device run in the background.
    """

    def __init__(self, gathers: Mapping[str, Gather], facts: RowFacts, batch: int, pin: bool = False) -> None:
        def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, pin_memory=pin)

        jagged = {name: gather for name, gather in gathers.items() if gather.keep is not None}
        self.batch = Batch(
            inputs={name: empty(gather.shape(batch), torch.float32) for name, gather in gathers.items()},
            masks={name: empty(gather.shape(batch)[:2], torch.bool) for name, gather in jagged.items()},
            targets={name: empty((batch,), torch.from_numpy(v[:0]).dtype) for name, v in facts.targets.items()},
            weights={name: empty((batch,), torch.float32) for name in facts.weights},
            rows=np.empty(batch, dtype=np.int64),
        )
        self._facts = facts
        self._inputs = {name: tensor.numpy() for name, tensor in self.batch.inputs.items()}
        self._masks = {name: tensor.numpy() for name, tensor in self.batch.masks.items()}
        self._targets = {name: tensor.numpy() for name, tensor in self.batch.targets.items()}
        self._weights = {name: tensor.numpy() for name, tensor in self.batch.weights.items()}

    def fill(self, at: slice, rows: Array, segment: Array, row: Array, gathers: Mapping[str, Gather]) -> None:
        """Fill a part of the batch.

        Args:
            at: the part.
            rows: rows of the stream, for targets and weights, int64.
            segment: segment of each, int32, in terms of `gathers`.
            row: row of the segment, int64.
            gathers: one for each input.
        """
        self.batch.rows[at] = rows
        for name, gather in gathers.items():
            mask = self._masks.get(name)
            gather.into(segment, row, self._inputs[name][at], None if mask is None else mask[at])
        for filled, source in ((self._targets, self._facts.targets), (self._weights, self._facts.weights)):
            for name, values in source.items():
                np.take(
                    values, rows, out=filled[name][at], mode="clip"
                )  # "clip": the rows are in range, and it is faster
