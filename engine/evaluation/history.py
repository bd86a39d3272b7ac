"""What the log of a training says about each epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class History:
    """Values after each epoch.

    Attributes:
        curves: name, such as `validation.tagging`, -> epoch -> value; values that were not finite are absent.
        updates: names of the updates, in the order of `lr.1`, `lr.2`, ...
        best: epoch that was kept, None where unknown.
        steps: iterations until the last epoch.
    """

    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    updates: tuple[str, ...] = ()
    best: int | None = None
    steps: int = 0

    @property
    def epochs(self) -> int:
        """The last epoch that was logged; 0 for none."""
        return max((max(curve) for curve in self.curves.values() if curve), default=0)

    @property
    def quantities(self) -> dict[str, dict[str, Mapping[int, float]]]:
        """Losses and metrics with a curve for each of `train` and `validation` that there is."""
        found: dict[str, dict[str, Mapping[int, float]]] = {}
        for name, curve in self.curves.items():
            part, _, quantity = name.partition(".")
            if part in ("train", "validation") and curve:
                found.setdefault(quantity, {})[part] = curve
        return found

    @property
    def learning_rates(self) -> dict[str, Mapping[int, float]]:
        """Learning rate of each update."""
        rates = {name: curve for name, curve in self.curves.items() if name.startswith("lr.") and curve}
        names = dict(zip((f"lr.{number}" for number in range(1, len(self.updates) + 1)), self.updates, strict=True))
        return {names.get(name, name): curve for name, curve in rates.items()}


def read_history(path: Path, updates: tuple[str, ...] = (), best: int | None = None) -> History:
    """The epochs of `metrics.jsonl`, none where there is no file; of an epoch logged twice the later line counts."""
    curves: dict[str, dict[int, float]] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:  # what a kill left of the last line
            continue
        if not isinstance(line, dict) or line.get("kind") != "epoch" or not isinstance(line.get("epoch"), int):
            continue
        for name, value in line.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and math.isfinite(value) and name != "epoch":
                curves.setdefault(name, {})[line["epoch"]] = float(value)
    steps = curves.pop("step", {})
    return History(curves, updates, best, int(max(steps.values(), default=0)))


def best_epoch(history: History, metric: str | None, mode: str = "min") -> int | None:
    """The epoch with the smallest (or largest) value of a metric, the first of equals; None where it was not logged."""
    curve = history.curves.get(metric or "", {})
    if not curve:
        return None
    return min(curve, key=lambda epoch: (curve[epoch] if mode == "min" else -curve[epoch], epoch))
