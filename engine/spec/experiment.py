"""One experiment: a checked spec as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.spec.document import Document
from engine.spec.sections import DataSpec, EvaluationSpec, MetricSpec, ModelSpec, TrainingSpec


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
    export: tuple[MetricSpec, ...]
    document: Document

    @property
    def resolved(self) -> dict[str, Any]:
        """The spec after includes, overrides and aliases, as plain values; it reads back as the same experiment."""
        value: dict[str, Any] = self.document.value
        return value
