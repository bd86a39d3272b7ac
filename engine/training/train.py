"""Train a declared experiment on prepared data: phase after phase, from the start or from a checkpoint."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import TrainingError
from engine.graph.types import plural
from engine.progress import Progress
from engine.training import checkpoint
from engine.training.board import TensorBoard
from engine.training.checks import check_precision
from engine.training.loading import fit, load_nodes
from engine.training.logs import MetricsLog
from engine.training.session import Session, assemble
from engine.training.sources import Kept, keep_copies

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.plan import Plan
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment
    from engine.spec.sections import TrainingSpec
    from engine.training.loop import Loop


@dataclass(frozen=True)
class TrainingSummary:
    """What came of a training.

    Attributes:
        epochs, steps: that were done, in all phases.
        best_epoch: epochs that were done at the best validation of the last phase; the last one where nothing says
            which is best.
        best_metrics: the metrics of that validation, as in metrics.jsonl.
        last_metrics: those of the last one.
        stopped_early: whether early stopping ended the last phase.
        phases: name, epochs and whether stopped early of each phase; one without a name where there are no phases.
        best, last: the checkpoints (directories with `network.safetensors`).
        seconds: of training and validation.
    """

    epochs: int
    steps: int
    best_epoch: float
    best_metrics: dict[str, float]
    last_metrics: dict[str, float]
    stopped_early: bool
    phases: tuple[tuple[str, int, bool], ...]
    best: Path
    last: Path
    seconds: float

    @property
    def sentence(self) -> str:
        """What was trained, in a line."""
        early = {True: ", stopped early", False: ""}
        parts = [f"{name} {epochs}{early[stopped]}" for name, epochs, stopped in self.phases if name]
        phases = f": {'; '.join(parts)}" if parts else early[self.stopped_early]
        rate = f"{self.steps} iterations in {self.seconds:.0f} s"
        return f"trained {plural(self.epochs, 'epoch')}{phases} ({rate}); best epoch {self.best_epoch:g}"


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
        UsageError: a run that weights are loaded from is not there.
        StorageError: there is no room for a checkpoint or the logs; the last checkpoint is untouched.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; a checkpoint was written.
    """
    where = torch.device(device)
    prepare_device(experiment.training, where)
    session = assemble(experiment, plan, dataset, run, where, progress if progress is not None else Progress())
    loads = keep_copies(experiment.training, run)
    for each in loads:
        fit(session.network, each)
    seed_everything(experiment.seed)
    last = checkpoint.find(run.checkpoints) if resume else None
    loop, log_position = restore(session, last) if last else (session.loop(0), 0)
    with (
        closing(MetricsLog(run.metrics_log, log_position)) as log,
        closing(TensorBoard(run.tensorboard, experiment.document.to_yaml(), loop.position.step)) as board,
    ):
        loop.log, loop.board = log, board
        if last is None:
            begin(session, loop, loads)
        while True:
            loop.run()
            loop.position.done.append((loop.training.name, loop.epochs_begun, loop.stopped_early))
            if loop.position.phase + 1 == len(session.stages):
                return summarise(loop)
            loop = session.loop(loop.position.phase + 1, loop.position)
            loop.log, loop.board = log, board
            begin(session, loop, loads)


def begin(session: Session, loop: Loop, loads: Sequence[Kept]) -> None:
    """Put the weights into the network that a phase begins with: the best of the phase before, and what is loaded.

    From the second phase on they are a checkpoint, the best one until the first validation. Being killed before or
    after it makes no difference: what is loaded does not depend on what was there.
    """
    training, phase = loop.training, loop.position.phase
    if phase:
        best = checkpoint.find(loop.checkpoints, "best")
        checkpoint.load_weights(loop.network, best or loop.checkpoints / "best")
    wanted = [training.load, session.experiment.training.load if phase == 0 else None]
    for kept in loads:
        if any(kept.load is each for each in wanted):
            loop.progress.say(load_nodes(loop.network, kept))
    if training.name:
        frozen = f", {', '.join(training.freeze)} frozen" if training.freeze else ""
        length = f"{plural(training.epochs, 'epoch')} of {plural(loop.steps_per_epoch, 'step')}"
        sentence = (
            f"phase {training.name}: {length}{frozen}" if training.epochs else f"phase {training.name}: no epochs"
        )
        loop.progress.say(sentence)
        if training.epochs:
            loop.board.phase(sentence, loop.position.step)
    if phase or not training.epochs:
        loop.save(best=True)


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


def restore(session: Session, last: Path) -> tuple[Loop, int]:
    """Continue where a checkpoint was written; returns the length of metrics.jsonl at that moment too, in bytes.

    Raises:
        TrainingError: it cannot be read, or it is of another network, of other phases or of other updates.
    """
    state = checkpoint.load_state(last)
    if state["phase"] >= len(session.stages):
        counts = f"it is of phase {state['phase'] + 1} and the spec has {len(session.stages)}"
        raise TrainingError(f"the checkpoint {last} does not fit the spec: {counts}; start a new run")
    loop = session.loop(state["phase"])
    if len(state["optimizers"]) != len(loop.updates):
        counts = f"{len(state['optimizers'])} updates and the spec {len(loop.updates)}"
        raise TrainingError(f"the checkpoint {last} does not fit the spec: it has {counts}; start a new run")
    checkpoint.load_weights(loop.network, last)
    try:
        restore_state(loop, state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(f"the checkpoint {last} does not fit the spec: {error}; start a new run") from error
    checkpoint.restore_random_state(state["random"])
    return loop, int(state["log_position"])


def restore_state(loop: Loop, state: dict[str, Any]) -> None:
    """All but weights and random numbers."""
    loop.position.restore(state)
    for update, optimizer, schedule in zip(loop.updates, state["optimizers"], state["schedules"], strict=True):
        update.optimizer.restore(optimizer)
        update.schedule.restore(schedule)
    scaler = loop.updates[0].scaler
    if scaler and state["scaler"]:
        scaler.load_state_dict(state["scaler"])


def summarise(loop: Loop) -> TrainingSummary:
    """What came of a training that is over."""
    position, folder = loop.position, loop.checkpoints
    last = checkpoint.find(folder, "last")
    best = checkpoint.find(folder, "best")
    if last is None or best is None:
        raise TrainingError(f"the training has left no checkpoint in {folder}")
    return TrainingSummary(
        epochs=position.epoch + bool(position.part),
        steps=position.step,
        best_epoch=position.best_epoch,
        best_metrics=position.best_metrics,
        last_metrics=position.last_metrics,
        stopped_early=loop.stopped_early,
        phases=tuple(position.done),
        best=best,
        last=last,
        seconds=position.seconds,
    )
