"""Rows without a target and losses with nothing to learn from, found before the training begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import TrainingError
from engine.spec.sections import TrainingSpec
from engine.training.objectives import Objective

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset, RowIndex


MEAN_WEIGHT = (1e-4, 1e4)  # between which the mean of training weights is nothing to worry about
CHUNK = 4096  # rows whose objects are looked at together


def check_targets(
    training: TrainingSpec, objectives: Mapping[str, Objective], dataset: PreparedDataset, tell: Callable[[str], None]
) -> dict[str, Objective]:
    """Mark the losses that have nothing to compare some of their rows with; those rows are left out and told.

    Objects and pairs are padded, so something is always absent among them and nothing is told.

    Raises:
        TrainingError: a sample has no target at all, so it should not be in the stream of the loss.
    """
    checked = {}
    for name, objective in objectives.items():
        absent = _absent(name, objective, training, dataset)
        for sample, (lost, rows) in absent.items():
            what = f"have no target {objective.spec.target} and do not count for the loss {name}"
            tell(f"{lost} of {rows} rows of {sample} {what}")
        listed = objective.spec.target is not None and is_listed(objective.spec.target, dataset)
        checked[name] = replace(objective, incomplete=bool(absent) or listed)
    return checked


def check_weights(
    training: TrainingSpec, objectives: Mapping[str, Objective], dataset: PreparedDataset, tell: Callable[[str], None]
) -> None:
    """Refuse a loss that has nothing to learn from, and warn of weights by which no optimizer is made to step.

    Raises:
        TrainingError: the condition of the loss holds for no training row of its stream that has the target, or the
            weights of those rows have no positive sum.
    """
    for name, objective in objectives.items():
        weight, where = objective.spec.weight, objective.spec.where
        if weight is None and where is None:
            continue
        stream = training.streams[objective.spec.stream]
        rows = dataset.rows(stream.samples, "train")
        counting = _counting(objective, rows, dataset)
        if where is not None and not counting.any():
            raise TrainingError(
                f"the condition `{where}` of the loss {name} holds for no training row of the stream {stream.name} "
                "that has its target, so it has nothing to learn from; write another `where`",
                (*objective.spec.path, "where"),
            )
        if weight is None:
            continue
        weights = training_weights(weight, rows, dataset)[counting]
        total = float(weights.sum(dtype=np.float64))
        if not (total > 0 and math.isfinite(total)):
            raise TrainingError(
                f"the weights ({weight}) of the training rows of the stream {stream.name} sum to {total:g}, so the "
                f"loss {name} has nothing to learn from; their sum must be above 0",
                (*objective.spec.path, "weight"),
            )
        mean = float(np.abs(weights).mean(dtype=np.float64))
        if not MEAN_WEIGHT[0] <= mean <= MEAN_WEIGHT[1]:
            tell(
                f"warning: the training weights ({weight}) of the loss {name} have a mean of {mean:.2g}; optimizers "
                "such as Adam do not bear gradients so small or large. Bring it near 1: in `data.weights` write "
                f"`scaled: {{of: {weight}, expression: {1 / mean:.0e}}}`, in the loss `weight: scaled`"
            )


def _counting(objective: Objective, rows: RowIndex, dataset: PreparedDataset) -> NDArray[np.bool_]:
    """The rows that a loss counts: those with its target, where that is one of rows, and for which `where` holds."""
    target, where = objective.spec.target, objective.spec.where
    counting = np.ones(len(rows), bool)
    if target is not None and not is_listed(target, dataset):
        counting &= _present(dataset.read([f"target:{target}"], rows)[f"target:{target}"])
    if where is not None:
        named = [f"target:{each}" for each in where.names if each in dataset.manifest["targets"]]
        values = {name.removeprefix("target:"): read for name, read in dataset.read(named, rows).items()}
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        counting &= objective.condition(where, tensors).numpy()
    return counting


def training_weights(name: str, rows: RowIndex, dataset: PreparedDataset) -> NDArray[np.float32]:
    """The weights of the given rows as a batch holds them, so that one may be 0 there."""
    with np.errstate(over="ignore"):
        return dataset.read([f"weight:{name}"], rows)[f"weight:{name}"].astype(np.float32)


def is_listed(target: str, dataset: PreparedDataset) -> bool:
    """Whether a target has a value for each object or pair, not one a row."""
    return bool(dataset.manifest["targets"][target].get("kind", "row") != "row")


def _present(values: NDArray[Any]) -> NDArray[np.bool_]:
    """What has a target: a class (not -1), finite numbers in all components."""
    present = np.asarray(values >= 0 if np.issubdtype(values.dtype, np.integer) else np.isfinite(values))
    whole: NDArray[np.bool_] = np.logical_and.reduce(np.atleast_2d(present.T), axis=0)
    return whole


def _absent(
    name: str, objective: Objective, training: TrainingSpec, dataset: PreparedDataset
) -> dict[str, tuple[int, int]]:
    """For each sample with such rows: how many rows have no target, of how many (training and validation)."""
    target, stream = objective.spec.target, training.streams[objective.spec.stream]
    absent: dict[str, tuple[int, int]] = {}
    if target is None:
        return absent
    for sample in stream.samples:
        indices = [dataset.rows([sample], split) for split in ("train", "validation")]
        rows = sum(len(index) for index in indices)
        if is_listed(target, dataset):
            lost = 0 if any(_any_object(target, index, dataset) for index in indices) else rows
        else:
            values = (dataset.read([f"target:{target}"], index)[f"target:{target}"] for index in indices)
            lost = sum(int(np.sum(~_present(each))) for each in values)
        if rows and lost == rows:
            raise TrainingError(
                f"no row of the sample {sample} has a target {target}, which the loss {name} needs; give the sample a "
                f"label of {target} or take it out of the stream {stream.name}",
                (*objective.spec.path, "target"),
            )
        if lost:
            absent[sample] = (lost, rows)
    return absent


def _any_object(target: str, index: RowIndex, dataset: PreparedDataset) -> bool:
    """Whether any object or pair of these rows has the target."""
    for start in range(0, len(index), CHUNK):
        rows = type(index)(index.segment[start : start + CHUNK], index.row[start : start + CHUNK])
        values = dataset.read_objects(f"target:{target}", rows)
        if bool((values >= 0).any() if np.issubdtype(values.dtype, np.integer) else np.isfinite(values).any()):
            return True
    return False
