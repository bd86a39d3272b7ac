"""Mistakes of different kinds are told together, and none of them makes something else look wrong."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from engine.cli import main
from engine.errors import SpecError
from engine.examination import with_plan
from engine.spec.load import examine_text, load_text
from engine.spec.writer import to_yaml

SCHEMA = ("pt: jet_pt,", "pt: [jet_pt],", "`pt` must be a text or a mapping, found a list")
MISSING = ("run: event.run", "run: event.", "in the expression `event.`")
UPDATE = ("lr: 1e-3", "rate: 1e-3", "unknown key `rate`")
ROWS = ("rows: good, label: signal", "rows: god, label: signal", "there is no collection or selection `god`")
SAMPLE = ("samples: [signal, background]", "samples: [signals, background]", "there is no sample `signals`")
LOSS = ("target: label}", "target: labels}", "there is no target `labels`")
BLOCK = ("lstm: 4", "lsmt: 4", "there is no block `lsmt`")
SHAPE = ("dense: 8, lstm: 4", "dense: 8", "write `mean_pool`")
LAYER = ("dense: 8", "dense: [none]", "`dense` must be a whole number")


def told(text: str, *changes: tuple[str, str, str]) -> list[str]:
    for old, new, _ in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return problems(text)


def problems(text: str) -> list[str]:
    try:
        with_plan(examine_text(text, name="small.yaml")).sound()
    except SpecError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "changes",
    [
        (SCHEMA, ROWS),
        (SCHEMA, SAMPLE, LOSS),
        (MISSING, ROWS, BLOCK),
        (UPDATE, ROWS, BLOCK),
        (ROWS, LAYER),
        (UPDATE, LAYER, LOSS),
    ],
)
def test_mistakes_of_different_kinds_are_told_together(small: str, changes: tuple[tuple[str, str, str], ...]) -> None:
    found = told(small, *changes)
    assert len(found) == len(changes), found
    for _, _, sentence in changes:
        assert any(sentence in each for each in found), (sentence, found)
    assert all(re.match(r"small\.yaml:\d+:\d+: ", each) for each in found)


def test_a_wrong_shape_is_told_beside_mistakes_that_do_not_change_it(small: str) -> None:
    graph = ("units: 2, activation: softmax", "units: 3, activation: softmax", "")
    shape = ("layers: [concat, dense", "layers: [dense", "")
    assert len(told(small, shape)) == 1
    for other in (UPDATE, ROWS, LOSS, SAMPLE):
        assert told(small, shape, other) == sorted({*told(small, shape), *told(small, other)}), other
    assert told(small, graph, ROWS) == sorted({*told(small, graph), *told(small, ROWS)})


def test_the_second_of_two_metrics_is_told_at_its_line(small: str) -> None:
    text = small + "evaluation:\n  metrics:\n    - roc: {nonsense: 1}\n    - roc: {signal: signa}\n"
    found = problems(text)
    assert len(found) == 2
    assert found[1].startswith("small.yaml:30:21: there is no class `signa`")


def test_a_section_that_is_missing_hides_no_mistake_of_another(small: str) -> None:
    text = re.sub(r"training:.*", "", small, flags=re.DOTALL).replace("rows: good, label: signal", "rows: god")
    found = problems(text)
    assert [each.split(": ", 1)[1][:40] for each in found] == [
        "the spec needs the key `training` (strea",
        "there is no collection or selection `god",
        "no sample has the label `signal`; known ",
    ]


@pytest.mark.parametrize("key", ["collections", "samples", "inputs", "split", "streams", "losses", "graph"])
def test_without_a_part_that_all_refer_to_nothing_is_said_about_what_refers_to_it(small: str, key: str) -> None:
    spec = copy.deepcopy(load_text(small).document.value)
    for section in spec.values():
        if isinstance(section, dict):
            section.pop(key, None)
    found = problems(to_yaml(spec))
    assert len(found) == 1, found
    assert f"needs the key `{key}`" in found[0]


def test_a_missing_branch_is_told_beside_a_wrong_shape(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(4)
    text = f"""\
name: flat
data:
  format: hdf5
  collections: {{event: {{x: x, y: y}}}}
  samples: {{a: {{files: {tmp_path}/a.h5, rows: event}}}}
  inputs: {{x: {{of: event, features: {{x: {{}}}}}}}}
  targets: {{y: {{expression: event.y}}}}
  columns: {{x: event.x}}
  split: {{by: [x]}}
model: {{graph: {{y: {{from: x, layers: [dense: 2]}}}}}}
training:
  streams: {{main: {{samples: [a], batch: 2}}}}
  losses: {{y: {{squared_error: {{of: y, target: y}}}}}}
  updates: [{{minimize: y, optimizer: adam}}]
"""
    spec = tmp_path / "flat.yaml"
    spec.write_text(text)
    output = CliRunner().invoke(main, ["validate", str(spec)]).output
    assert "there is no branch 'y'" in output, output
    assert "`y` has 2 outputs" in output


def test_a_block_that_hides_a_primitive_makes_no_layer_of_that_name_look_wrong(small: str) -> None:
    clash = "blocks:\n  dense: {parameters: {width: integer}, graph: {output: {from: input, layers: [lstm: $width]}}}\n"
    assert [each.split(": ", 1)[1] for each in problems(small + clash)] == [
        "`dense` is the name of a block of the program; choose another"
    ]
