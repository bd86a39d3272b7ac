"""Mistakes of different kinds are told together, and none of them makes something else look wrong."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.cli import main
from engine.errors import SpecError
from engine.examination import with_plan
from engine.spec.load import examine_text, load_text
from engine.spec.writer import to_yaml
from tests.spec.conftest import SMALL
from tests.spec.test_mutations import PLACES, PLAIN, paths, put

SCHEMA = ("pt: jet_pt,", "pt: [jet_pt],", "`pt` must be a text or a mapping, found a list")
MISSING = ("run: event.run", "run: event.", "in the expression `event.`")
UPDATE = ("lr: 1e-3", "rate: 1e-3", "unknown key `rate`")
ROWS = ("rows: good, label: signal", "rows: god, label: signal", "there is no collection or selection `god`")
SAMPLE = ("samples: [signal, background]", "samples: [signals, background]", "there is no sample `signals`")
LOSS = ("target: label}", "target: labels}", "there is no target `labels`")
BLOCK = ("lstm: 4", "lsmt: 4", "there is no block `lsmt`")
SHAPE = ("dense: 8, lstm: 4", "dense: 8", "write `mean_pool`")
LAYER = ("dense: 8", "dense: [none]", "`dense` must be a whole number")


def told(*changes: tuple[str, str, str]) -> list[str]:
    text = SMALL
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
def test_mistakes_of_different_kinds_are_told_together(changes: tuple[tuple[str, str, str], ...]) -> None:
    found = told(*changes)
    assert len(found) == len(changes), found
    for _, _, sentence in changes:
        assert any(sentence in each for each in found), (sentence, found)
    assert all(re.match(r"small\.yaml:\d+:\d+: ", each) for each in found)


def test_a_wrong_shape_is_told_beside_mistakes_that_do_not_change_it() -> None:
    graph = ("units: 2, activation: softmax", "units: 3, activation: softmax", "")
    shape = ("layers: [concat, dense", "layers: [dense", "")
    assert len(told(shape)) == 1
    for other in (UPDATE, ROWS, LOSS, SAMPLE):
        assert told(shape, other) == sorted({*told(shape), *told(other)}), other
    assert told(graph, ROWS) == sorted({*told(graph), *told(ROWS)})


def test_the_second_of_two_metrics_is_told_at_its_line() -> None:
    text = SMALL + "evaluation:\n  metrics:\n    - roc: {nonsense: 1}\n    - roc: {signal: signa}\n"
    found = problems(text)
    assert len(found) == 2
    assert found[1].startswith("small.yaml:30:21: there is no class `signa`")


def test_a_section_that_is_missing_hides_no_mistake_of_another() -> None:
    text = re.sub(r"training:.*", "", SMALL, flags=re.DOTALL).replace("rows: good, label: signal", "rows: god")
    found = problems(text)
    assert [each.split(": ", 1)[1][:40] for each in found] == [
        "the spec needs the key `training` (strea",
        "there is no collection or selection `god",
        "no sample has the label `signal`; known ",
    ]


@pytest.mark.parametrize("key", ["collections", "samples", "inputs", "split", "streams", "losses", "graph"])
def test_without_a_part_that_all_refer_to_nothing_is_said_about_what_refers_to_it(key: str) -> None:
    spec = copy.deepcopy(load_text(SMALL).document.value)
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


NAMES = ["nonsense", "pt >", -1, None, [], {}, {"nonsense": 1}, ["a", "a"], 1e300, True, 0.5, 10**6, "clusters"]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.sampled_from(list(PLAIN)), st.data())
def test_two_mistakes_tell_nothing_that_neither_tells_alone(name: str, data: st.DataObject) -> None:
    places = st.sampled_from([path for other, path in PLACES if other == name])
    one, two = data.draw(places), data.draw(places)
    first, second = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(NAMES))
    both = {}
    for key, changes in {"1": [(one, first)], "2": [(two, second)], "12": [(one, first), (two, second)]}.items():
        spec: Any = copy.deepcopy(PLAIN[name])
        for path, value in changes:
            assume(path in paths(spec))
            put(spec, path, value)
        both[key] = sentences(to_yaml(spec))
    assert both["12"] <= both["1"] | both["2"]


def sentences(text: str) -> set[tuple[Any, str]]:
    """Places and sentences, without the lists of what else is known, which what is wrong is no part of."""
    try:
        found = with_plan(examine_text(text, name="s.yaml")).mistakes
    except SpecError as error:
        return {((), str(error))}
    return {(mistake.path, re.sub("; known are.*", "", mistake.message)) for mistake in found}
