"""What the schemas say of losses, optimizers and schedules is what there is, with the same defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.spec.sections import ChoiceSpec
from engine.training.objectives import LOSSES, OUTPUT
from engine.training.optimizers import CONVENTIONS, OPTIMIZERS
from engine.training.schedules import FACTORS, make_schedule


def definitions(repository: Path, name: str) -> Any:
    return json.loads((repository / "schemas" / name).read_text())["$defs"]


def test_every_loss_has_a_schema_and_no_other(repository: Path) -> None:
    assert definitions(repository, "losses.json").keys() == LOSSES.keys() | {OUTPUT}


def test_every_optimizer_and_schedule_has_a_schema_and_no_other(repository: Path) -> None:
    found = definitions(repository, "optimizers.json")
    assert found["optimizers"].keys() == OPTIMIZERS.keys()
    assert found["schedules"].keys() == FACTORS.keys()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_defaults_of_an_optimizer_are_those_of_its_schema(repository: Path, kind: str) -> None:
    stated = {
        name: each["default"]
        for name, each in definitions(repository, "optimizers.json")["optimizers"][kind]["properties"].items()
    }
    _, defaults = OPTIMIZERS[kind]
    hidden = {"decoupled", "eps_first"}
    assert stated.keys() == (defaults.keys() | CONVENTIONS["keras"][kind].keys()) - hidden
    for name, value in stated.items():
        left_to_conventions = name in CONVENTIONS["keras"][kind]
        assert value is None if left_to_conventions else value == defaults[name]


@pytest.mark.parametrize("kind", FACTORS)
def test_the_defaults_of_a_schedule_are_those_of_its_schema(repository: Path, kind: str) -> None:
    properties = definitions(repository, "optimizers.json")["schedules"][kind]["properties"]
    written = {name: each["default"] for name, each in properties.items()}
    schedule = make_schedule(ChoiceSpec(kind, written, ()), 10, 5)
    absent = make_schedule(ChoiceSpec(kind, {"per": written.get("per", "epoch")}, ()), 10, 5)
    assert [schedule.factor(step) for step in range(50)] == [absent.factor(step) for step in range(50)]


@pytest.mark.parametrize("name", ["training.json", "losses.json", "optimizers.json"])
def test_every_property_has_a_title_and_a_meaning(repository: Path, name: str) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.get("properties", {}).values():
                if "$ref" in each:  # it has its own title where it stands
                    continue
                assert each.get("title"), each
                assert each.get("description", "").endswith("."), each
            for each in value.values():
                walk(each)

    walk(json.loads((repository / "schemas" / name).read_text()))
