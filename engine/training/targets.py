"""Rows without a target and losses without a weight, found before training begins, so that none goes unnoticed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import TrainingError
from engine.progress import Progress
from engine.spec.sections import TrainingSpec
from engine.training.objectives import Objective

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset


def check_targets(
    training: TrainingSpec, objectives: Mapping[str, Objective], dataset: PreparedDataset, progress: Progress
) -> dict[str, Objective]:
    """Mark the losses some of whose rows have no target; those rows are left out and told.

    Raises:
        TrainingError: a sample has no target at all, so it should not be in the stream of the loss.
    """
    checked = {}
    for name, objective in objectives.items():
        absent = _absent(name, objective, training, dataset)
        for sample, (lost, rows) in absent.items():
            what = f"have no target {objective.spec.target} and do not count for the loss {name}"
            progress.say(f"{lost} of {rows} rows of {sample} {what}")
        checked[name] = replace(objective, incomplete=bool(absent))
    return checked


def check_weights(training: TrainingSpec, objectives: Mapping[str, Objective], dataset: PreparedDataset) -> None:
    """Refuse a loss whose weights leave nothing to learn from.

    Raises:
        TrainingError: the weights of the training rows of its stream have no positive sum.
    """
    for name, objective in objectives.items():
        weight, stream = objective.spec.weight, training.streams[objective.spec.stream]
        if weight is None:
            continue
        column, target = f"weight:{weight}", f"target:{objective.spec.target}"
        read = dataset.read([column, target], dataset.rows(stream.samples, "train"))
        total = float(read[column][_present(read[target])].sum())
        if not (total > 0 and math.isfinite(total)):
            raise TrainingError(
                f"the weights ({weight}) of the training rows of the stream {stream.name} sum to {total:g}, so the "
                f"loss {name} has nothing to learn from; their sum must be above 0"
            )


def _present(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a target: a class (not -1), a finite number."""
    present: NDArray[np.bool_] = values >= 0 if np.issubdtype(values.dtype, np.integer) else np.isfinite(values)
    return present


def _absent(
    name: str, objective: Objective, training: TrainingSpec, dataset: PreparedDataset
) -> dict[str, tuple[int, int]]:
    """For each sample with such rows: how many rows have no target, of how many (training and validation)."""
    target, stream = objective.spec.target, training.streams[objective.spec.stream]
    absent = {}
    for sample in stream.samples:
        lost = rows = 0
        for split in ("train", "validation"):
            index = dataset.rows([sample], split)
            values = dataset.read([f"target:{target}"], index)[f"target:{target}"]
            rows += len(values)
            lost += int(np.sum(~_present(values)))
        if rows and lost == rows:
            raise TrainingError(
                f"no row of the sample {sample} has a target {target}, which the loss {name} needs; give the sample a "
                f"label of {target} or take it out of the stream {stream.name}"
            )
        if lost:
            absent[sample] = (lost, rows)
    return absent
