"""The `evaluation:` and `export:` sections of a spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import Path
from engine.spec.sections.choice import ChoiceSpec


@dataclass(frozen=True)
class EvaluationSpec:
    """The whole `evaluation:` section."""

    split: Literal["train", "validation", "test"]
    metrics: tuple[ChoiceSpec, ...] | None  # None: what fits the losses
    plots: tuple[ChoiceSpec, ...] | None  # None: what fits the losses
    path: Path = ("evaluation",)
