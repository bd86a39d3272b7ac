"""The one schema that editors read is made from the schemas of the sections."""

from __future__ import annotations

import json
import re
from pathlib import Path

from engine import shipped
from engine.spec.schema import lookup
from engine.validation import schema_text


def test_the_editor_schema_is_up_to_date(repository: Path) -> None:
    written = json.loads((repository / shipped.EDITOR_SCHEMA).read_text(encoding="utf-8"))
    assert written == json.loads(schema_text()), f"run `engine schema -o {shipped.EDITOR_SCHEMA}`"


def test_every_shipped_spec_points_at_it(repository: Path) -> None:
    specs = sorted((repository / "specs").glob("*.yaml"))
    assert specs
    for spec in specs:
        first = spec.read_text(encoding="utf-8").splitlines()[0]
        place = first.removeprefix("# yaml-language-server: $schema=")
        assert (spec.parent / place).resolve() == (repository / shipped.EDITOR_SCHEMA).resolve()


def test_what_the_manual_tells_to_include_comes_with_the_program(repository: Path) -> None:
    text = (repository / "schemas" / "experiment.json").read_text(encoding="utf-8")
    named = re.findall(r"`(blocks/\w+\.yaml)`", text)
    assert named
    assert all((repository / "specs" / name).is_file() for name in named)


def test_only_schedules_that_count_iterations_speak_of_them() -> None:
    for name, schedule in lookup("optimizers.json#/$defs/schedules").items():
        assert ("per: step" in schedule["properties"]["warmup"]["description"]) == ("per" in schedule["properties"]), (
            name
        )
