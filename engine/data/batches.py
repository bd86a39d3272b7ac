"""A batch, and the buffers that it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.data.columns import Array

if TYPE_CHECKING:
    from engine.data.gathers import Gathers, TargetGather
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
    """Targets and weights of all rows of a stream, in memory; not the targets of objects.

    Attributes:
        targets: int64 or float32, shape (rows,), or (rows, components) for a vector.
        weights: float32, shape (rows,).
    """

    def __init__(self, dataset: PreparedDataset, rows: RowIndex) -> None:
        of_rows = {name: v for name, v in dataset.manifest["targets"].items() if name not in dataset.listed_targets}
        weights = ["weight", *dataset.manifest.get("weights", {})]
        names = {name: name if name == "weight" else f"weight:{name}" for name in weights}
        read = dataset.read([*(f"target:{name}" for name in of_rows), *names.values()], rows)
        self.targets: dict[str, Array] = {
            name: read[f"target:{name}"].astype(np.float32 if facts["classes"] is None else np.int64)
            for name, facts in of_rows.items()
        }
        self.weights: dict[str, Array] = {name: read[key].astype(np.float32) for name, key in names.items()}


class Buffers:
    """Memory of one batch, filled again and again.

    Args:
        gathers: of inputs and of targets of objects.
        facts: what the other targets and the weights are taken from.
        batch: rows.
        pin: use page-locked memory, from which copies to a CUDA device run in the background.
    """

    def __init__(self, gathers: Gathers, facts: RowFacts, batch: int, pin: bool = False) -> None:
        def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, pin_memory=pin)

        jagged = {name: gather for name, gather in gathers.inputs.items() if gather.keep is not None}
        row_targets = {name: empty((batch, *v.shape[1:]), _torch_type(v)) for name, v in facts.targets.items()}
        listed = {name: empty(each.shape(batch), _torch_type(each)) for name, each in gathers.targets.items()}
        self.batch = Batch(
            inputs={name: empty(gather.shape(batch), torch.float32) for name, gather in gathers.inputs.items()},
            masks={name: empty(gather.shape(batch)[:2], torch.bool) for name, gather in jagged.items()},
            targets=row_targets | listed,
            weights={name: empty((batch,), torch.float32) for name in facts.weights},
            rows=np.empty(batch, dtype=np.int64),
        )
        self._facts = facts
        self._inputs = {name: tensor.numpy() for name, tensor in self.batch.inputs.items()}
        self._masks = {name: tensor.numpy() for name, tensor in self.batch.masks.items()}
        self._targets = {name: tensor.numpy() for name, tensor in self.batch.targets.items()}
        self._scratch = {
            name: (each.scratch(self._targets[name]), np.empty((batch, each.keep), np.bool_))
            for name, each in gathers.targets.items()
        }
        self._weights = {name: tensor.numpy() for name, tensor in self.batch.weights.items()}

    def fill(self, at: slice, rows: Array, segment: Array, row: Array, gathers: Gathers) -> None:
        """Fill a part of the batch.

        Args:
            at: the part.
            rows: rows of the stream, for targets and weights, int64.
            segment: segment of each, int32, in terms of `gathers`.
            row: row of the segment, int64.
            gathers: of inputs and of targets of objects.
        """
        self.batch.rows[at] = rows
        for name, gather in gathers.inputs.items():
            mask = self._masks.get(name)
            gather.into(segment, row, self._inputs[name][at], None if mask is None else mask[at])
        for name, targets in gathers.targets.items():
            scratch, real = self._scratch[name]
            targets.into(segment, row, self._targets[name][at], scratch[at], real[at])
        for filled, source in ((self._targets, self._facts.targets), (self._weights, self._facts.weights)):
            for name, values in source.items():
                # "clip": the rows are in range, and it is faster
                np.take(values, rows, axis=0, out=filled[name][at], mode="clip")


def _torch_type(numbers: Array | TargetGather) -> torch.dtype:
    return torch.from_numpy(np.empty(0, numbers.dtype)).dtype
