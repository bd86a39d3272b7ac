"""What all phases of a training share, everything checked before the first of them, and the loop of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.errors import TrainingError
from engine.graph.network import build_network
from engine.progress import Progress
from engine.spec.sections import MonitorSpec
from engine.spec.sections.training import CLASSIFICATION
from engine.training.classes import check_classes
from engine.training.loop import Loop
from engine.training.objectives import Objective, make_objectives
from engine.training.state import Position, begin_phase
from engine.training.streams import iteration_length
from engine.training.targets import check_targets, check_weights
from engine.training.updates import make_updates
from engine.training.validation import Validation

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.graph.plan import Plan
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment
    from engine.spec.sections import TrainingSpec


@dataclass(frozen=True)
class Stage:
    """A phase (or the whole training where there are none) that the data allow.

    Attributes:
        training: its settings.
        objectives: all declared losses.
        steps_per_epoch: iterations in an epoch.
    """

    training: TrainingSpec
    objectives: dict[str, Objective]
    steps_per_epoch: int


@dataclass(frozen=True)
class Session:
    """A training with all its parts.

    Attributes:
        experiment, dataset, run, device, progress: as given.
        network: on its device.
        trainable: its parameters that move if nothing freezes them.
        stages: the phases.
    """

    experiment: Experiment
    dataset: PreparedDataset
    run: RunDirectory
    device: torch.device
    progress: Progress
    network: Network
    trainable: tuple[nn.Parameter, ...]
    stages: tuple[Stage, ...]

    def loop(self, number: int, before: Position | None = None) -> Loop:
        """The loop of a phase at its beginning, with new optimizers.

        Args:
            number: of the phase, counted from 0.
            before: where the phase before it ended; None for the first one, and for what is restored afterwards.
        """
        stage = self.stages[number]
        training, network, experiment = stage.training, self.network, self.experiment
        for parameter in self.trainable:
            parameter.requires_grad_(True)
        nodes = list(network.plan.nodes)
        updates = make_updates(
            training, network, stage.objectives, nodes, experiment.conventions, stage.steps_per_epoch, self.device
        )
        names = [*dict.fromkeys(name for update in updates for name in update.objectives), "total"]
        return Loop(
            training=training,
            network=network,
            updates=updates,
            validation=Validation(training, network, stage.objectives, self.dataset, self.device),
            dataset=self.dataset,
            seed=experiment.seed,
            device=self.device,
            steps_per_epoch=stage.steps_per_epoch,
            position=begin_phase(training, len(names), before),
            checkpoints=self.run.checkpoints,
            progress=self.progress,
            names=names,
        )


def assemble(
    experiment: Experiment,
    plan: Plan,
    dataset: PreparedDataset,
    run: RunDirectory,
    device: torch.device,
    progress: Progress,
) -> Session:
    """Build the network, and hold every phase against the data.

    Raises:
        TrainingError: an empty stream, a sample without targets, weights of 0, a metric that will not be there.
    """
    network = build_network(plan, experiment.seed).to(device)
    told: set[str] = set()

    def tell(sentence: str) -> None:
        if sentence not in told:
            progress.say(sentence)
        told.add(sentence)

    stages = []
    for training in experiment.training.stages:
        steps = iteration_length(training, dataset)
        objectives = make_objectives(training.losses, plan.offers, experiment.data.targets)
        objectives = check_targets(training, objectives, dataset, tell)
        check_weights(training, objectives, dataset, tell)
        check_metrics(training, objectives, experiment, dataset)
        stages.append(Stage(training, objectives, steps))
    check_classes(experiment, dataset, tell)
    if experiment.data.split.validation and not len(dataset.rows(list(experiment.data.samples), "validation")):
        tell(f"warning: nothing will be validated: {empty_split(experiment, 'validation')}")
    evaluated = experiment.evaluation.split
    if not len(dataset.rows(list(experiment.data.samples), evaluated)):
        tell(f"warning: nothing will be evaluated: {empty_split(experiment, evaluated)}")
    trainable = tuple(parameter for parameter in network.parameters() if parameter.requires_grad)
    return Session(experiment, dataset, run, device, progress, network, trainable, tuple(stages))


def check_metrics(
    training: TrainingSpec, objectives: dict[str, Objective], experiment: Experiment, dataset: PreparedDataset
) -> None:
    """Refuse to watch a metric that will not be there.

    Raises:
        TrainingError: which one, who watches it, and which there are, or that no row is validated.
    """

    def validated(objective: Objective) -> bool:
        return bool(len(dataset.rows(training.streams[objective.spec.stream].samples, "validation")))

    known = _metrics(training, objectives, validated)
    watched: list[tuple[str, str | None]] = [("best", _metric(training.best))]
    if training.early_stopping:
        watched.append(("early_stopping", _metric(training.early_stopping.monitor)))
    schedules = [update.schedule for update in training.updates if update.schedule]
    watched += [
        ("plateau", each.options.get("metric", "validation.total")) for each in schedules if each.kind == "plateau"
    ]
    for who, metric in watched:
        if metric is None or metric in known:
            continue
        if metric in _metrics(training, objectives, lambda _: True):
            empty = f"{who} watches {metric}, but {empty_split(experiment, 'validation')}"
            raise TrainingError(empty, (*experiment.data.path, "split"))
        there = ", ".join(sorted(known))
        raise TrainingError(
            f"{who} watches {metric}, which this training has not got; it has {there}",
            (*training.path, who if who != "plateau" else "updates"),
        )


def _metrics(
    training: TrainingSpec, objectives: dict[str, Objective], validated: Callable[[Objective], bool]
) -> set[str]:
    """The metrics of a training, given which losses have rows to be validated on."""
    known = {"train.total"}
    for name, objective in objectives.items():
        if any(name in update.minimize.names for update in training.updates):
            known.add(f"train.{name}")
        if validated(objective):
            known.add(f"validation.{name}")
            if objective.spec.kind in CLASSIFICATION:
                known |= {f"validation.{name}.accuracy", f"validation.{name}.auc"}
    if all(f"validation.{name}" in known for name in training.updates[-1].minimize.names):
        known.add("validation.total")
    return known


def empty_split(experiment: Experiment, split: str) -> str:
    """That a split has no rows, and what to change."""
    if getattr(experiment.data.split, split) == 0:
        return f"the {split} split has 0 rows, as its fraction in `data.split` is 0; write a larger `{split}`"
    by = ", ".join(experiment.data.split.by)
    return (
        f"the {split} split has 0 rows; the columns [{by}] in `data.split.by` decide where a row goes: name one with "
        f"more different values, such as the number of the event, make the fraction `{split}` larger, or add files"
    )


def _metric(monitor: MonitorSpec | None) -> str | None:
    return monitor.metric if monitor else None
