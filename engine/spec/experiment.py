"""One experiment: a checked spec as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.spec.document import Document
from engine.spec.sections import ChoiceSpec, DataSpec, EvaluationSpec, ModelSpec, TrainingSpec


@dataclass(frozen=True)
class Experiment:
    """A whole spec; `document` is the resolved YAML with the position of every value, for messages and the record."""

    name: str
    seed: int
    conventions: Literal["keras", "torch"]
    data: DataSpec
    model: ModelSpec
    training: TrainingSpec
    evaluation: EvaluationSpec
    export: tuple[ChoiceSpec, ...]
    document: Document

    @property
    def trained_on(self) -> dict[str, str]:
        """For each node that a loss compares with a target the target of the first such loss."""
        found: dict[str, str] = {}
        for loss in self.training.losses.values():
            if loss.target is not None:
                found.setdefault(loss.of.removesuffix(".logits"), loss.target)
        return found
