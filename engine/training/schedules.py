"""How the learning rate changes: a factor on it.

A pure function of the iteration, but for `plateau`, which watches a metric.
The closed forms, with t the iterations or epochs done after the warm-up:
cosine: floor + (1 - floor) (1 + cos(pi min(t, T) / T)) / 2 (as Keras' CosineDecay);
step: factor^floor(t / every); exponential: factor^(t / every); warm-up over n: (t + 1) / (n + 1) while t < n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.spec.sections import ChoiceSpec


@dataclass
class Schedule:
    """The schedule of one update.

    Attributes:
        kind, options: as declared.
        steps_per_epoch: iterations in an epoch.
        epochs: epochs of the whole training.
        level: what `plateau` has come down to.
        best, waited: what `plateau` remembers of its metric.
    """

    kind: str
    options: Mapping[str, Any]
    steps_per_epoch: int
    epochs: int
    level: float = field(default=1.0, init=False)
    best: float | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied with at an iteration (counted from 0)."""
        per_step = self.options.get("per", "epoch") == "step"
        time = step if per_step else step // self.steps_per_epoch
        warmup: int = self.options.get("warmup", 0)
        if time < warmup:
            return (time + 1) / (warmup + 1)
        whole = (self.epochs * self.steps_per_epoch if per_step else self.epochs) - warmup
        return self.level * FACTORS[self.kind](time - warmup, whole, self.options)

    @property
    def metric(self) -> str | None:
        """The metric that it watches, if any."""
        return self.options.get("metric", "validation.total") if self.kind == "plateau" else None

    def observe(self, metrics: Mapping[str, float]) -> bool:
        """After a validation: come down if the metric has not got better for long enough; True if it does."""
        if self.metric is None:
            return False
        value = metrics[self.metric] * (1.0 if self.options.get("mode", "min") == "min" else -1.0)
        if math.isfinite(value) and (self.best is None or value < self.best - self.options.get("min_delta", 1e-4)):
            self.best, self.waited = value, 0
            return False
        self.waited += 1
        if self.waited < self.options.get("patience", 10):
            return False
        before, self.waited = self.level, 0
        self.level = max(before * self.options.get("factor", 0.1), self.options.get("floor", 0.0))
        return self.level < before

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"level": self.level, "best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.level, self.best, self.waited = state["level"], state["best"], state["waited"]


def _constant(time: int, whole: int, options: Mapping[str, Any]) -> float:
    return 1.0


def _cosine(time: int, whole: int, options: Mapping[str, Any]) -> float:
    floor: float = options.get("floor", 0.0)
    duration = max(options.get("duration") or whole, 1)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(time, duration) / duration))


def _step(time: int, whole: int, options: Mapping[str, Any]) -> float:
    return float(options.get("factor", 0.1) ** (time // options.get("every", 10)))


def _exponential(time: int, whole: int, options: Mapping[str, Any]) -> float:
    return float(options.get("factor", 0.9) ** (time / options.get("every", 1)))


FACTORS: dict[str, Callable[[int, int, Mapping[str, Any]], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
    "exponential": _exponential,
    "plateau": _constant,
}


def make_schedule(choice: ChoiceSpec | None, steps_per_epoch: int, epochs: int) -> Schedule:
    """The schedule of an update; constant where none is declared."""
    if choice is None:
        return Schedule("constant", {}, steps_per_epoch, epochs)
    return Schedule(choice.kind, choice.options, steps_per_epoch, epochs)
