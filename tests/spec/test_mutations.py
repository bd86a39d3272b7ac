"""Whatever is done to a spec, the outcome is an experiment or located sentences, never anything else."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.cli import main
from engine.errors import SpecError
from engine.examination import with_plan
from engine.spec.load import examine_text, load_experiment, load_text
from engine.spec.writer import to_yaml
from engine.validation import plan_of

SPECS = Path(__file__).resolve().parent.parent.parent / "specs"
PATH = SPECS / "calratio.yaml"
TEXT = PATH.read_text(encoding="utf-8")


def plain_spec(name: str) -> Any:
    """A shipped spec with all that it includes; of long vocabularies the beginning is enough."""
    spec = copy.deepcopy(load_experiment(SPECS / f"{name}.yaml").document.value)
    for value in spec["data"]["inputs"].values():
        for owner in (value, *value.get("features", {}).values()):
            if owner.get("vocabulary") is not None:
                owner["vocabulary"] = owner["vocabulary"][:5]
    return spec


PLAIN = {name: plain_spec(name) for name in ("calratio", "ndive_ftag", "smartbkg", "smartbkg/bias")}

SETTINGS = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of a value but the empty one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in items:
        found.extend(paths(item, (*path, key)))
    return found


PLACES = [(name, path) for name, spec in PLAIN.items() for path in paths(spec)]

deep: Any = "x"
for _ in range(35):
    deep = [deep]

odd = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        0.5,
        1e300,
        10**6,
        2**62,
        -(2**62),
        float("nan"),
        float("inf"),
        "",
        " ",
        "nonsense",
        "pt >",
        "1/0",
        "9**9**9",
        "(" * 200,
        "$units",
        "$",
        "a.b.c",
        ".",
        "..",
        "\u00fc\u2028\ufeff",
        "clusters",
        "jet_class",
        "is_data",
        "label",
        "weight",
        "signal",
        "fit",
        "implicit",
        [],
        {},
        [[]],
        [None],
        {"": ""},
        {"from": {}},
        {"nonsense": 1},
        {"for": {"units": []}, "layers": []},
        "left.pt == right.pt",
        "rank(left.pt)",
        {"x": "pt >", "y": 1},
        ["a", "a"],
        [1, "1.0"],
        "vocabularies/pdg.json",
        "vocabularies/nothing.json",
        "/dev/zero",
        "skip",
        "float16",
        deep,
    ]
)


def outcome(text: str, overrides: tuple[str, ...] = ()) -> None:
    """Load and plan; anything but success or located sentences fails the test."""
    try:
        experiment = load_text(text, overrides, name="spec.yaml")
        assert plan_of(experiment).outputs
    except SpecError as error:
        problems = error.problems
    else:
        assert load_text(experiment.document.to_yaml()).document.value == experiment.document.value
        return
    assert problems
    for problem in problems:
        assert problem.file in ("spec.yaml", *(f"--set {each}" for each in overrides))
        assert problem.line > 0 or problem.file != "spec.yaml" or "the file" in problem.message
        assert problem.message
        assert "\n" not in problem.message
        assert "Traceback" not in problem.message


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


def get(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def test_the_untouched_spec_loads_and_is_planned() -> None:
    assert plan_of(load_text(TEXT, name="spec.yaml")).outputs
    outcome(TEXT)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.epochs=many", "`epochs` must be a whole number"),
        ("training.losses.tagging.cross_entropy.of=nothing", "there is no node `nothing`"),
        ("model.graph.jet_class.layers.2.dense.units=4", "`jet_class` has 4 outputs; `label` has 3 classes"),
    ],
)
def test_a_mistake_of_any_depth_ends_the_command_with_2(override: str, sentence: str) -> None:
    """Found by the schema, by the cross-checks, by the planner."""
    told = CliRunner().invoke(main, ["validate", str(PATH), "--no-data", "--set", override])
    assert told.exit_code == 2, told.output
    assert sentence in told.output
    assert "Traceback" not in told.output


@SETTINGS
@given(st.sampled_from(list(PLAIN)), st.data())
def test_values_of_a_wrong_kind(name: str, data: st.DataObject) -> None:
    spec = copy.deepcopy(PLAIN[name])
    places = [path for other, path in PLACES if other == name]
    for path, new in data.draw(st.lists(st.tuples(st.sampled_from(places), odd), min_size=1, max_size=3)):
        try:
            put(spec, path, new)
        except (TypeError, KeyError, IndexError):
            continue
    outcome(to_yaml(spec))


@SETTINGS
@given(st.sampled_from(PLACES))
def test_missing_keys_and_items(place: tuple[str, tuple[Any, ...]]) -> None:
    name, path = place
    spec = copy.deepcopy(PLAIN[name])
    del get(spec, path[:-1])[path[-1]]
    outcome(to_yaml(spec))


@SETTINGS
@given(st.sampled_from(PLACES), st.text(st.characters(exclude_categories=("Cs",)), max_size=8))
def test_keys_of_another_name(place: tuple[str, tuple[Any, ...]], key: str) -> None:
    name, path = place
    spec = copy.deepcopy(PLAIN[name])
    parent = get(spec, path[:-1])
    if isinstance(parent, dict):
        parent[key] = parent.pop(path[-1])
    outcome(to_yaml(spec))


@SETTINGS
@given(st.sampled_from(PLACES), st.sampled_from(PLACES))
def test_parts_in_each_others_place(one: tuple[str, tuple[Any, ...]], other: tuple[str, tuple[Any, ...]]) -> None:
    """Of the same spec, or of another one."""
    spec = copy.deepcopy(PLAIN[one[0]])
    put(spec, one[1], copy.deepcopy(get(PLAIN[other[0]], other[1])))
    outcome(to_yaml(spec))


@SETTINGS
@given(st.integers(0, len(TEXT)), st.integers(0, 60), st.text(st.characters(), max_size=6))
def test_letters_lost_and_put_in(start: int, count: int, letters: str) -> None:
    outcome(TEXT[:start] + letters + TEXT[start + count :])


@SETTINGS
@given(st.integers(0, len(TEXT)), st.sampled_from(list("[]{}:,-?&*!|>'\"%@`#\t\0\n \r~\x85\u2028")))
def test_a_letter_that_means_something_to_yaml(start: int, letter: str) -> None:
    outcome(TEXT[:start] + letter + TEXT[start:])


@SETTINGS
@given(st.text(max_size=200) | st.text("[]{}:,-?&*!|>'\"%@ \nab1<.", max_size=200))
def test_texts_that_are_no_spec(text: str) -> None:
    outcome(text)


@SETTINGS
@given(data=st.binary(max_size=200))
def test_files_that_are_no_text(data: bytes, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(data)
    try:
        load_experiment(path)
    except SpecError as error:
        problems = error.problems
    assert problems
    assert all(problem.file == str(path) for problem in problems)


@SETTINGS
@given(st.sampled_from(paths(PLAIN["calratio"])), st.text(max_size=20), st.sampled_from([".", "..", "=", ".0.", " . "]))
def test_overrides_of_any_kind(path: tuple[Any, ...], value: str, glue: str) -> None:
    outcome(TEXT, (glue.join(map(str, path)) + "=" + value,))


NAMES = ["nonsense", "pt >", -1, None, [], {}, {"nonsense": 1}, ["a", "a"], 1e300, True, 0.5, 10**6, "clusters"]


@SETTINGS
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
