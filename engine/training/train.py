"""Train a declared experiment on prepared data: put the parts together, run the loop, say what came of it."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.errors import TrainingError
from engine.graph.network import build_network
from engine.progress import Progress
from engine.spec.sections import MonitorSpec
from engine.training import checkpoint
from engine.training.board import TensorBoard
from engine.training.checks import check_precision
from engine.training.logs import MetricsLog
from engine.training.loop import Loop
from engine.training.objectives import CLASSIFICATION, Objective, make_objectives
from engine.training.state import Means, Position, Watch
from engine.training.streams import iteration_length
from engine.training.targets import check_targets, check_weights
from engine.training.updates import make_updates
from engine.training.validation import Validation

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.plan import Plan
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment
    from engine.spec.sections import TrainingSpec


@dataclass(frozen=True)
class TrainingSummary:
    """What came of a training.

    Attributes:
        epochs, steps: that were done.
        best_epoch: the epoch of the best checkpoint, counted from 1; the last one where nothing says which is best.
        best_metrics: the metrics of that epoch, as in metrics.jsonl.
        last_metrics: those of the last epoch.
        stopped_early: whether early stopping ended it.
        best, last: the checkpoints (directories with `network.safetensors`).
        seconds: of training and validation.
    """

    epochs: int
    steps: int
    best_epoch: int
    best_metrics: dict[str, float]
    last_metrics: dict[str, float]
    stopped_early: bool
    best: Path
    last: Path
    seconds: float


def train(
    experiment: Experiment,
    plan: Plan,
    dataset: PreparedDataset,
    run: RunDirectory,
    device: str = "cpu",
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingSummary:
    """Train, or continue a training from its last checkpoint.

    Args:
        experiment: the checked spec.
        plan: its network, with all sizes.
        dataset: its prepared data.
        run: where checkpoints, metrics.jsonl and TensorBoard events go.
        device: `cpu`, `cuda` or `cuda:1`.
        resume: continue from the last checkpoint of `run`, if there is one.
        progress: where bars and lines go; the standard error by default.

    Raises:
        TrainingError: data without rows or targets, a loss that is not finite, a checkpoint that does not fit.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    training, where = experiment.training, torch.device(device)
    prepare_device(training, where)
    loop = assemble(experiment, plan, dataset, run, where, progress if progress is not None else Progress())
    seed_everything(experiment.seed)
    last = checkpoint.find(run.checkpoints) if resume else None
    log_position = restore(loop, last) if last else 0
    with (
        closing(MetricsLog(run.metrics_log, log_position)) as loop.log,
        closing(TensorBoard(run.tensorboard, experiment.document.to_yaml(), loop.position.step)) as loop.board,
    ):
        loop.run()
    return summarise(loop)


def assemble(
    experiment: Experiment,
    plan: Plan,
    dataset: PreparedDataset,
    run: RunDirectory,
    device: torch.device,
    progress: Progress,
) -> Loop:
    """The loop with all its parts, at the beginning."""
    training = experiment.training
    network = build_network(plan, experiment.seed).to(device)
    steps_per_epoch = iteration_length(training, dataset)
    objectives = check_targets(training, make_objectives(training.losses, plan.offers), dataset, progress)
    check_weights(training, objectives, dataset)
    check_metrics(training, objectives, dataset)
    updates = make_updates(
        training, network, objectives, list(plan.nodes), experiment.conventions, steps_per_epoch, device
    )
    names = [*dict.fromkeys(name for update in updates for name in update.objectives), "total"]
    return Loop(
        training=training,
        network=network,
        updates=updates,
        validation=Validation(training, network, objectives, dataset, device),
        dataset=dataset,
        seed=experiment.seed,
        device=device,
        steps_per_epoch=steps_per_epoch,
        position=make_position(training, names),
        checkpoints=run.checkpoints,
        progress=progress,
        names=names,
    )


def prepare_device(training: TrainingSpec, device: torch.device) -> None:
    """Check that the device can do what is asked for, and choose deterministic algorithms where they are.

    Raises:
        TrainingError: no such device, or it lacks the precision.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device here; use `--device cpu`")
    check_precision(training, device.type)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic matrix products need
        torch.use_deterministic_algorithms(training.deterministic)


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  blocks and libraries may draw from the global generator
    random.seed(seed)


def check_metrics(training: TrainingSpec, objectives: dict[str, Objective], dataset: PreparedDataset) -> None:
    """Refuse to watch a metric that will not be there.

    Raises:
        TrainingError: which one, who watches it, and which there are.
    """
    known = set()
    for name, objective in objectives.items():
        samples = training.streams[objective.spec.stream].samples
        if any(name in update.minimize.names for update in training.updates):
            known.add(f"train.{name}")
        if len(dataset.rows(samples, "validation").row):
            known.add(f"validation.{name}")
            if objective.spec.kind in CLASSIFICATION:
                known |= {f"validation.{name}.accuracy", f"validation.{name}.auc"}
    known.add("train.total")
    if all(f"validation.{name}" in known for name in training.updates[-1].minimize.names):
        known.add("validation.total")
    watched: list[tuple[str, str | None]] = [("best", _metric(training.best))]
    if training.early_stopping:
        watched.append(("early_stopping", _metric(training.early_stopping.monitor)))
    schedules = [update.schedule for update in training.updates if update.schedule]
    watched += [
        ("plateau", each.options.get("metric", "validation.total")) for each in schedules if each.kind == "plateau"
    ]
    for who, metric in watched:
        if metric is not None and metric not in known:
            there = ", ".join(sorted(known))
            raise TrainingError(f"training: {who} watches {metric}, which this training has not got; it has {there}")


def _metric(monitor: MonitorSpec | None) -> str | None:
    return monitor.metric if monitor else None


def make_position(training: TrainingSpec, names: Sequence[str]) -> Position:
    """The beginning."""
    stopping = training.early_stopping
    return Position(
        epoch_means=Means(np.zeros(len(names))),
        log_means=Means(np.zeros(len(names))),
        best=Watch(training.best),
        stopping=Watch(stopping.monitor, stopping.min_delta) if stopping else Watch(None),
    )


def restore(loop: Loop, last: Path) -> int:
    """Continue where a checkpoint was written; returns the length of metrics.jsonl at that moment, in bytes.

    Raises:
        TrainingError: it cannot be read, or it is of another network or of other updates.
    """
    state = checkpoint.load_state(last)
    if len(state["optimizers"]) != len(loop.updates):
        counts = f"{len(state['optimizers'])} updates and the spec {len(loop.updates)}"
        raise TrainingError(f"the checkpoint {last} does not fit the spec: it has {counts}; start a new run")
    checkpoint.load_weights(loop.network, last)
    try:
        loop.position.restore(state)
        for update, optimizer, schedule in zip(loop.updates, state["optimizers"], state["schedules"], strict=True):
            update.optimizer.restore(optimizer)
            update.schedule.restore(schedule)
        scaler = loop.updates[0].scaler
        if scaler and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(f"the checkpoint {last} does not fit the spec: {error}; start a new run") from error
    checkpoint.restore_random_state(state["random"])
    position: int = state["log_position"]
    return position


def summarise(loop: Loop) -> TrainingSummary:
    """What came of a training that is over."""
    position, folder = loop.position, loop.checkpoints
    last = checkpoint.find(folder, "last")
    best = checkpoint.find(folder, "best")
    if last is None or best is None:
        raise TrainingError(f"the training has left no checkpoint in {folder}")
    return TrainingSummary(
        epochs=position.epoch,
        steps=position.step,
        best_epoch=position.best.epoch or position.epoch,
        best_metrics=position.best_metrics or position.last_metrics,
        last_metrics=position.last_metrics,
        stopped_early=position.epoch < loop.training.epochs,
        best=best,
        last=last,
        seconds=position.seconds,
    )
