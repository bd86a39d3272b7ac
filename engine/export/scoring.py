"""A trained network on the rows of a file: its outputs as columns, lists where a row has a value for each object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform
from torch import Tensor

from engine.data.columns import Array, Column, Jagged
from engine.data.rows import RowTable
from engine.errors import DataError
from engine.spec.sections.data import DataSpec

if TYPE_CHECKING:
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment


class Scorer:
    """A trained network on rows as preparation makes them, with the transforms that it was trained with."""

    def __init__(self, network: Network, data: DataSpec, contract: Mapping[str, Any], outputs: Sequence[str]) -> None:
        self.network, self.data, self.outputs = network.eval(), data, tuple(outputs)
        self.device = next(network.parameters()).device
        self.transforms = contract_transforms(contract, data)

    def __call__(self, table: RowTable, batch: int) -> dict[str, Array]:
        """Outputs for all rows, float32 of shape (rows, values), padding included."""
        return {name: flat for name, (flat, _) in self._scores(table, batch).items()}

    def columns(self, table: RowTable, batch: int) -> dict[str, Column]:
        """Outputs for all rows, float32, without padding.

        Returns:
            Shape (rows, values); for outputs of objects those of the real ones, lists of shape (objects, values); for
            outputs of pairs those of the pairs of real ones, row by row of the matrix.
        """
        scores = self._scores(table, batch)
        return {name: flat if real is None else _lists(flat, real) for name, (flat, real) in scores.items()}

    def _scores(self, table: RowTable, batch: int) -> dict[str, tuple[Array, Array | None]]:
        """Outputs, shape (rows, values), and which of their objects or pairs are real, shape (rows, objects)."""
        gathers = {
            name: Gather([_segment(table.inputs[name])], self.transforms[name], spec.keep)
            for name, spec in self.data.inputs.items()
        }
        batches = [
            self._batch(gathers, np.arange(start, min(start + batch, len(table))))
            for start in range(0, len(table), batch)
        ]
        found: dict[str, tuple[Array, Array | None]] = {}
        for name in self.outputs:
            no_rows, no_mask = self._no_rows(name)
            real = [mask for piece in batches if (mask := piece[name][1]) is not None]
            flat = np.concatenate([no_rows, *(piece[name][0] for piece in batches)])
            found[name] = (flat, None if no_mask is None else np.concatenate([no_mask, *real]))
        return found

    def _no_rows(self, name: str) -> tuple[Array, Array | None]:
        """An output of no rows, so that a piece of a file without any has the same columns as all others."""
        kind = self.network.plan.outputs[name]
        mask = np.zeros((0, math.prod(kind.objects)), bool) if kind.objects else None
        return np.zeros((0, math.prod(kind.shape)), "f4"), mask

    def _batch(self, gathers: Mapping[str, Gather], rows: Array) -> dict[str, tuple[Array, Array | None]]:
        known: dict[str, tuple[Tensor, Tensor | None]] = {}
        for name, gather in gathers.items():
            values, mask = gather(np.zeros(len(rows), np.int32), rows)
            objects = None if mask is None else torch.from_numpy(mask).to(self.device)
            known[name] = (torch.from_numpy(values).to(self.device), objects)
        with torch.inference_mode():
            computed = self.network.compute(known, self.outputs)
        found: dict[str, tuple[Array, Array | None]] = {}
        for name in self.outputs:
            scores, real_objects = computed[name]
            axes = self.network.plan.outputs[name].objects
            real = None
            if axes:
                shape = (len(rows), math.prod(axes))
                real = np.ones(shape, bool) if real_objects is None else real_objects.cpu().numpy().reshape(shape)
            found[name] = (scores.float().cpu().numpy().reshape(len(rows), -1), real)
        return found


def _lists(flat: Array, real: Array) -> Jagged:
    """The values of real objects alone."""
    values = flat.reshape(*real.shape, flat.shape[1] // real.shape[1])
    return Jagged.from_counts(real.sum(axis=1), values[real])


def contract_transforms(contract: Mapping[str, Any], data: DataSpec) -> dict[str, list[FeatureTransform]]:
    """The fitted transforms that a run was trained with.

    Raises:
        DataError: the contract is not that of the spec's inputs.
    """
    for name, spec in data.inputs.items():
        trained = contract["inputs"].get(name, {}).get("features")
        if trained != list(spec.features):
            message = f"the run was trained with the features {trained} of {name}, the spec has {list(spec.features)}"
            raise DataError(message)
    return {name: [FeatureTransform.from_dict(one) for one in contract["transforms"][name]] for name in data.inputs}


def _segment(values: Column) -> tuple[Array | None, Array]:
    if isinstance(values, Jagged):
        return values.offsets, np.ascontiguousarray(values.values)
    return None, np.ascontiguousarray(values)


def named_scores(scores: Mapping[str, Column], experiment: Experiment) -> dict[str, Column]:
    """One column a value: `is_data` for a single one, `jet_class_signal` for each class, `vertex_position_x` for each
    component, `<node>_<i>` otherwise.
    """
    columns: dict[str, Column] = {}
    for node, values in scores.items():
        target = experiment.data.targets.get(experiment.trained_on.get(node, ""))
        table = np.asarray(values.values) if isinstance(values, Jagged) else values
        width = table.shape[1]
        meanings = [list(target.classes), list(target.components)] if target is not None else []
        names = next((each for each in meanings if len(each) == width), [str(index) for index in range(width)])
        stem = node.replace(".", "_")  # a dot means a branch within a branch to many readers
        for index, name in enumerate(names):
            column = table[:, index]
            key = stem if width == 1 else f"{stem}_{name}"
            columns[key] = Jagged(values.offsets, column) if isinstance(values, Jagged) else column
    return columns
