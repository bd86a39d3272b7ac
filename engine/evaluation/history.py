"""What the log of a training says about each epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Curve = Mapping[float, float]


@dataclass(frozen=True)
class History:
    """Values after each validation, at the end of an epoch or in its course.

    Attributes:
        curves: name, such as `validation.tagging`, -> epochs that were done (0.5: half of the first) -> value; values
            that were not finite are absent.
        updates: names of the updates, in the order of `lr.1`, `lr.2`, ...
        best: epoch that was kept, None where unknown.
        steps: iterations until the last epoch.
        phases: name of each phase and the last epoch of it, in order; empty where there are none.
    """

    curves: Mapping[str, Curve] = field(default_factory=dict)
    updates: tuple[str, ...] = ()
    best: float | None = None
    steps: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)

    @property
    def epochs(self) -> float:
        """The last epoch that was logged; 0 for none."""
        return max((max(curve) for curve in self.curves.values() if curve), default=0)

    @property
    def first(self) -> float:
        """The first epoch that was logged, 1 or a part of it."""
        return min((min(curve) for curve in self.curves.values() if curve), default=1)

    @property
    def quantities(self) -> dict[str, dict[str, Curve]]:
        """Losses and metrics with a curve for each of `train` and `validation` that there is."""
        found: dict[str, dict[str, Curve]] = {}
        for name, curve in self.curves.items():
            part, _, quantity = name.partition(".")
            if part in ("train", "validation") and curve:
                found.setdefault(quantity, {})[part] = curve
        return found

    @property
    def learning_rates(self) -> dict[str, Curve]:
        """Learning rate of each update."""
        rates = {name: curve for name, curve in self.curves.items() if name.startswith("lr.") and curve}
        names = dict(zip((f"lr.{number}" for number in range(1, len(self.updates) + 1)), self.updates, strict=True))
        return {names.get(name, name): curve for name, curve in rates.items()}


def read_history(path: Path, updates: tuple[str, ...] = (), best: float | None = None) -> History:
    """The epochs of `metrics.jsonl`, none where there is no file; of an epoch logged twice the later line counts.

    Args:
        path: the log.
        updates: names of the updates.
        best: epoch that was kept; without it the last one of the last phase that the log calls best.
    """
    curves: dict[str, dict[float, float]] = {}
    phases: dict[str, float] = {}
    marked: float | None = None
    for line in _epochs(path):
        epoch, phase = line["epoch"], line.get("phase")
        if phase is not None and phase not in phases:
            marked = None
        if phase is not None:
            phases[phase] = epoch
        marked = epoch if line.get("best") is True else marked
        for name, value in line.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and math.isfinite(value) and name != "epoch":
                curves.setdefault(name, {})[epoch] = float(value)
    steps = curves.pop("step", {})
    return History(curves, updates, marked if best is None else best, int(max(steps.values(), default=0)), phases)


def _epochs(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the log that are of epochs."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:  # what a kill left of the last line
            continue
        if isinstance(line, dict) and line.get("kind") == "epoch" and isinstance(line.get("epoch"), int | float):
            yield line


def best_epoch(history: History, metric: str | None, mode: str = "min") -> float | None:
    """The epoch with the smallest (or largest) value of a metric, the first of equals; None where it was not logged."""
    curve = history.curves.get(metric or "", {})
    if not curve:
        return None
    return min(curve, key=lambda epoch: (curve[epoch] if mode == "min" else -curve[epoch], epoch))
