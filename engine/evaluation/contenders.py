"""What is compared: runs, or groups of repeated runs, with the numbers and curves of their evaluations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.errors import UsageError
from engine.files import read_json
from engine.runs import is_group

METRICS = "metrics.json"
ROUNDING = 1e-12  # a smaller relative spread is that of the arithmetic


@dataclass(frozen=True)
class Average:
    """A number of one or several runs.

    Attributes:
        values: of each run that has it.
        statistical: the error that the evaluation of a single run gives; None for several runs.
    """

    values: tuple[float, ...]
    statistical: float | None = None

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """Standard deviation from run to run; None for a single run."""
        if len(self.values) < 2:
            return None
        spread = float(np.std(self.values, ddof=1))
        return spread if spread > ROUNDING * abs(self.mean) else 0.0

    @property
    def error(self) -> float | None:
        """Error of the mean over runs; of a single run the statistical error of its evaluation."""
        spread = self.spread
        return self.statistical if spread is None else spread / math.sqrt(len(self.values))

    def over(self, reference: Average) -> tuple[float, float | None] | None:
        """The ratio to another average, and its error, both taken as independent.

        None where it has no meaning: the other differs from 0 by less than two of its errors.
        """
        if abs(reference.mean) <= 2 * (reference.error or 0.0):
            return None
        ratio = self.mean / reference.mean
        if self.error is None or reference.error is None:
            return ratio, None
        return ratio, math.hypot(self.error, ratio * reference.error) / abs(reference.mean)


@dataclass(frozen=True)
class Contender:
    """A run, or several of one spec.

    Attributes:
        label: what it is called.
        path: where it is.
        documents: `metrics.json` of each run.
        content: hash of the prepared data of the first run; empty where it is not known.
    """

    label: str
    path: Path
    documents: tuple[Mapping[str, Any], ...]
    content: str = ""

    @property
    def count(self) -> int:
        """Number of runs."""
        return len(self.documents)

    def average(self, headline: str) -> Average | None:
        """A headline number; None where no run has it."""
        lines = [document["headlines"].get(headline) for document in self.documents]
        found = [line for line in lines if line is not None and line["value"] is not None]
        if not found:
            return None
        statistical = found[0].get("error") if self.count == 1 else None
        return Average(tuple(float(line["value"]) for line in found), statistical)

    def limit(self, headline: str) -> float | None:
        """The lower limit of a headline number that no run has a value of: the smallest of the runs."""
        lines = [document["headlines"].get(headline) or {} for document in self.documents]
        limits = [float(line["lower_limit"]) for line in lines if line.get("lower_limit") is not None]
        return min(limits, default=None) if self.average(headline) is None else None

    def curves(self, metric: str, labels: Mapping[str, Any]) -> list[dict[str, Array]]:
        """The curves of one part of a metric, of each run that has it; NaN where there is no value."""
        found = []
        for document in self.documents:
            for part in document["metrics"].get(metric, {}).get("parts", ()):
                if part.get("curve") and all(part.get(key) == value for key, value in labels.items()):
                    curve = {name: np.asarray(values, dtype=np.float64) for name, values in part["curve"].items()}
                    found.append(curve)
                    break
        return found


def contenders(paths: Sequence[Path]) -> list[Contender]:
    """What stands at the paths: runs, or groups of repeated runs.

    Raises:
        UsageError: one of them is neither, or was not evaluated, or they were evaluated on different splits.
    """
    labels = labels_of(paths)
    found = [_contender(path, label) for path, label in zip(paths, labels, strict=True)]
    splits = {document["split"]: each.path for each in found for document in each.documents}
    if len(splits) > 1:
        told = ", ".join(f"{path} on the {split} split" for split, path in splits.items())
        message = f"only evaluations of one split can be compared: {told}"
        raise UsageError(message)
    return found


def _contender(path: Path, label: str) -> Contender:
    if is_group(path):
        runs = sorted((p.parent for p in path.glob(f"*/{METRICS}")), key=lambda run: (len(run.name), run.name))
        if not runs:
            message = f"no run of {path} was evaluated yet; `engine resume {path}` goes on with them"
            raise UsageError(message)
        return of_runs(path, runs, label)
    if not (path / METRICS).is_file():
        known = (path / "spec.yaml").is_file()
        hint = f"was not evaluated yet; `engine evaluate {path}` does it" if known else "is no run and no group of runs"
        message = f"{path} {hint}"
        raise UsageError(message)
    return of_runs(path, [path], label)


def of_runs(path: Path, runs: Sequence[Path], label: str) -> Contender:
    """Runs of one spec that were evaluated."""
    keys = ("split", "rows", "headlines", "metrics")
    documents = tuple(read_json(run / METRICS, "the metrics of a run", keys) for run in runs)
    return Contender(label, path, documents, _content(runs[0]))


def _content(run: Path) -> str:
    try:
        found = json.loads((run / "contract.json").read_text(encoding="utf-8"))
        return str(found.get("content", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def labels_of(paths: Sequence[Path]) -> list[str]:
    """Short names that differ: that of the experiment, with the number of the run where there are several of it."""
    resolved = [path.resolve() for path in paths]
    experiments = [path.parent.name for path in resolved]
    if len(set(experiments)) == len(experiments):
        return experiments
    numbered = [f"{path.parent.name}/{path.name}" for path in resolved]
    return numbered if len(set(numbered)) == len(numbered) else [str(path) for path in paths]
