"""Classes that a classification could not learn, found before the training begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Mistake, TrainingError
from engine.spec.sections import LossSpec, TrainingSpec
from engine.training.targets import is_listed, training_weights

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.spec.experiment import Experiment

Sums = NDArray[Any]
Minimised = tuple[TrainingSpec, LossSpec]


def check_classes(experiment: Experiment, dataset: PreparedDataset, tell: Callable[[str], None]) -> None:
    """Refuse a class that no loss of an output can learn, in any phase; of classes that an expression says, warn.

    Several losses may share the classes of an output among them: those of a discriminator, one for what is real and
    one for what is not. A condition (`where`) may leave out classes, so it is not looked at. Targets of objects and
    pairs are not looked at either: what is rare among objects may be absent.

    Raises:
        TrainingError: the training split has no row of a class that labels say, or its weights have no positive sum.
    """
    refused = []
    for (_, name), losses in experiment.training.classified.items():
        target = experiment.data.targets[name]
        if not target.classes or is_listed(name, dataset):
            continue
        found = [_sums(stage, loss, len(target.classes), dataset) for stage, loss in losses]
        for index, (label, value) in enumerate(target.classes.items()):
            if not any(sums[index] > 0 for sums, _ in found):
                message = _nothing_of(label, losses, [(float(sums[index]), int(rows[index])) for sums, rows in found])
                path = (*target.path, "classes", index if value is None else label)
                sentence = str(experiment.document.problem(Mistake(path, message)))
                if value is None:
                    refused.append(sentence)
                else:
                    tell(f"warning: {sentence}")
    if refused:
        raise TrainingError("\n".join(refused))


def _sums(stage: TrainingSpec, loss: LossSpec, classes: int, dataset: PreparedDataset) -> tuple[Sums, Sums]:
    """Sum of weights and number of the training rows of each class."""
    rows = dataset.rows(stage.streams[loss.stream].samples, "train")
    target = dataset.read([f"target:{loss.target}"], rows)[f"target:{loss.target}"]
    known = target >= 0
    numbers = np.bincount(target[known], minlength=classes)
    if loss.weight is None:
        return numbers, numbers
    weights = training_weights(loss.weight, rows, dataset)
    return np.bincount(target[known], weights[known], minlength=classes), numbers


def _nothing_of(label: str, losses: Sequence[Minimised], found: Sequence[tuple[float, int]]) -> str:
    """Why nothing can be learnt of a class."""
    stage, loss = losses[0]
    weighted = [(total, each.weight) for (total, rows), (_, each) in zip(found, losses, strict=True) if rows]
    if not weighted:
        samples = ", ".join(stage.streams[loss.stream].samples)
        why = f"there is no row of it in the training split of the samples of the stream {loss.stream} ({samples})"
    else:
        total, weight = weighted[0]
        why = f"the weights ({weight}) of its rows in the training split sum to {total:g}, and must be above 0"
    return f"the loss {loss.name} has nothing to learn of the class `{label}` from: {why}"
