"""The `evaluation:` and `export:` sections of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import Path


@dataclass(frozen=True)
class MetricSpec:
    """A metric, plot or exporter: its kind and its options as written."""

    kind: str
    options: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class EvaluationSpec:
    """The whole `evaluation:` section."""

    split: Literal["train", "validation", "test"]
    metrics: tuple[MetricSpec, ...] | None  # None: what fits the losses
    plots: tuple[MetricSpec, ...] | None  # None: what fits the losses
    path: Path = ("evaluation",)
