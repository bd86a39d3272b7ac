"""Where a training is: all that changes from iteration to iteration beside weights, optimizers and random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.spec.sections import MonitorSpec, TrainingSpec


@dataclass
class Means:
    """Means of the losses of iterations, added in the order of the iterations so that they repeat bit for bit."""

    sums: NDArray[np.float64]
    steps: int = 0
    rows: int = 0
    seconds: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count one iteration."""
        self.sums = self.sums + values
        self.steps += 1

    def clear(self) -> None:
        """Begin anew."""
        self.sums = np.zeros_like(self.sums)
        self.steps, self.rows, self.seconds = 0, 0, 0.0

    def record(self, names: list[str]) -> dict[str, float]:
        """`train.<name>` for each loss, and the throughput."""
        if not self.steps:
            return {}
        means = {f"train.{name}": float(value) for name, value in zip(names, self.sums / self.steps, strict=True)}
        return {**means, "rows_per_second": self.rows / max(self.seconds, 1e-9)}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"sums": self.sums.tolist(), "steps": self.steps, "rows": self.rows, "seconds": self.seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.sums = np.array(state["sums"], np.float64)
        self.steps, self.rows, self.seconds = state["steps"], state["rows"], state["seconds"]


@dataclass
class Watch:
    """Follows a metric from validation to validation.

    Attributes:
        monitor: which one, and whether small or large is good; None watches nothing.
        min_delta: an improvement is larger than this.
        best: its best value so far, None before the first finite one.
        waited: validations since then.
    """

    monitor: MonitorSpec | None
    min_delta: float = 0.0
    best: float | None = None
    waited: int = 0

    def observe(self, metrics: Mapping[str, float]) -> bool:
        """Take the metrics of a validation; True if this one is the best so far."""
        if self.monitor is None:
            return False
        value = metrics[self.monitor.metric]
        gain = 0.0 if self.best is None else self.best - value if self.monitor.mode == "min" else value - self.best
        if np.isfinite(value) and (self.best is None or gain > self.min_delta):
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.best, self.waited = state["best"], state["waited"]


PARTS = ("round_means", "log_means", "best", "stopping")
PLAIN = (
    "step", "epoch", "part", "validations", "phase", "first_step", "first_epoch", "done",
    "best_epoch", "last_metrics", "best_metrics", "seconds",
)  # fmt: skip


@dataclass
class Position:
    """Where the training is. Iterations and epochs are counted through all phases.

    Attributes:
        step: iterations done, which is also the position in the data of every stream.
        epoch: epochs done, their validation included; one that a phase left early counts as one.
        part: validations done in the epoch that has begun.
        validations: done in all.
        phase: number of the phase, counted from 0.
        first_step, first_epoch: where the phase began.
        done: name, epochs and whether stopped early of each phase that is over.
        round_means, log_means: of the losses since the last validation, and since the last line of the log.
        best, stopping: the metrics that say what is kept, and when to stop.
        best_epoch: epochs that were done at the best validation (1.25: one and a quarter).
        last_metrics, best_metrics: of the last validation and of the best one.
        seconds: of training and validation, over all resumed parts.
    """

    round_means: Means
    log_means: Means
    best: Watch
    stopping: Watch
    step: int = 0
    epoch: int = 0
    part: int = 0
    validations: int = 0
    phase: int = 0
    first_step: int = 0
    first_epoch: int = 0
    done: list[tuple[str, int, bool]] = field(default_factory=list)
    best_epoch: float = 0
    last_metrics: dict[str, float] = field(default_factory=dict)
    best_metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name).state() for name in PARTS} | {name: getattr(self, name) for name in PLAIN}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        for name in PARTS:
            getattr(self, name).restore(state[name])
        for name in PLAIN:
            setattr(self, name, state[name])


def begin_phase(phase: TrainingSpec, losses: int, before: Position | None = None) -> Position:
    """The position at the beginning of a phase.

    Args:
        phase: that begins.
        losses: values that an iteration gives, the total among them.
        before: where the phase before it ended; None for the first one.
    """
    stopping = phase.early_stopping
    position = Position(
        round_means=Means(np.zeros(losses)),
        log_means=Means(np.zeros(losses)),
        best=Watch(phase.best),
        stopping=Watch(stopping.monitor, stopping.min_delta) if stopping else Watch(None),
    )
    if before is None:
        return position
    for name in PLAIN:
        setattr(position, name, getattr(before, name))
    position.epoch, position.part = before.epoch + bool(before.part), 0
    position.phase, position.first_step, position.first_epoch = before.phase + 1, before.step, position.epoch
    return position
