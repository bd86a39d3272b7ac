"""Where a training is: all that changes from iteration to iteration beside weights, optimizers and random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.spec.sections import MonitorSpec


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
    """Follows a metric from epoch to epoch.

    Attributes:
        monitor: which one, and whether small or large is good; None watches nothing.
        min_delta: an improvement is larger than this.
        best: its best value so far, None before the first finite one.
        epoch: of the best value, counted from 1; 0 before the first.
        waited: epochs since then.
    """

    monitor: MonitorSpec | None
    min_delta: float = 0.0
    best: float | None = None
    epoch: int = 0
    waited: int = 0

    def observe(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Take the metrics of an epoch; True if this one is the best so far."""
        if self.monitor is None:
            return False
        value = metrics[self.monitor.metric]
        gain = 0.0 if self.best is None else self.best - value if self.monitor.mode == "min" else value - self.best
        if np.isfinite(value) and (self.best is None or gain > self.min_delta):
            self.best, self.epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best, "epoch": self.epoch, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.best, self.epoch, self.waited = state["best"], state["epoch"], state["waited"]


@dataclass
class Position:
    """Where the training is.

    Attributes:
        step: iterations done, which is also the position in the data of every stream.
        epoch: epochs done, their validation included.
        epoch_means, log_means: of the losses since the epoch began, and since the last line of the log.
        best, stopping: the metrics that say which epoch is kept, and when to stop.
        last_metrics, best_metrics: of the last epoch and of the best one.
        seconds: of training and validation, over all resumed parts.
    """

    epoch_means: Means
    log_means: Means
    best: Watch
    stopping: Watch
    step: int = 0
    epoch: int = 0
    last_metrics: dict[str, float] = field(default_factory=dict)
    best_metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        parts = {name: getattr(self, name).state() for name in ("epoch_means", "log_means", "best", "stopping")}
        plain = {name: getattr(self, name) for name in ("step", "epoch", "last_metrics", "best_metrics", "seconds")}
        return {**parts, **plain}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        for name in ("epoch_means", "log_means", "best", "stopping"):
            getattr(self, name).restore(state[name])
        for name in ("step", "epoch", "last_metrics", "best_metrics", "seconds"):
            setattr(self, name, state[name])
