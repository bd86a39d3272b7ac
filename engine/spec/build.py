"""A valid spec as typed values: `Experiment` and the sections it is made of."""

from __future__ import annotations

from typing import Any

from engine.errors import Path
from engine.spec.build_data import build_data
from engine.spec.build_model import build_model
from engine.spec.build_training import build_training
from engine.spec.defaults import choice, complete
from engine.spec.document import Document
from engine.spec.experiment import Experiment
from engine.spec.sections import ChoiceSpec, EvaluationSpec


def build_experiment(document: Document) -> Experiment:
    """The typed experiment of a document in which the schema finds no mistake."""
    value = document.value
    head = complete({key: value[key] for key in ("name", "seed", "conventions") if key in value}, "experiment.json")
    return Experiment(
        name=head["name"],
        seed=head["seed"],
        conventions=head["conventions"],
        data=build_data(value["data"]),
        model=build_model(value["model"], value.get("blocks", {})),
        training=build_training(value["training"]),
        evaluation=_evaluation(value.get("evaluation", {})),
        export=_choices(value.get("export", []), "export.json#/$defs/exporters", ("export",)),
        document=document,
    )


def _evaluation(raw: dict[str, Any]) -> EvaluationSpec:
    value = complete(raw, "evaluation.json")
    path: Path = ("evaluation",)
    metrics, plots = (
        None if value[key] is None else _choices(value[key], f"evaluation.json#/$defs/{key}", (*path, key))
        for key in ("metrics", "plots")
    )
    return EvaluationSpec(value["split"], metrics, plots, path)


def _choices(values: list[Any], reference: str, path: Path) -> tuple[ChoiceSpec, ...]:
    """Names, or names with settings, with their defaults filled in."""
    specs = []
    for index, value in enumerate(values):
        kind, options = choice(value, reference)
        where = (*path, index) if isinstance(value, str) else (*path, index, kind)
        specs.append(ChoiceSpec(kind, options, where))
    return tuple(specs)
