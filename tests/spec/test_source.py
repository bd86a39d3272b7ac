"""Reading YAML: numbers and words of YAML 1.2, places, and what a spec may not hold."""

from __future__ import annotations

import math

import pytest

from engine.errors import SpecError
from engine.spec.document import Document
from engine.spec.nodes import Node
from engine.spec.source import compose


def read(text: str) -> Document:
    node = compose(text, "spec.yaml")
    assert isinstance(node, Node)
    return Document.from_tree(node, "spec.yaml")


def problem(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        compose(text, "spec.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8e-4", 8e-4),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+12", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("-.inf", -math.inf),
        ("inf", "inf"),
        ("true", True),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("~", None),
        ("", None),
        ("'8e-4'", "8e-4"),
        ('"true"', "true"),
        ("2026-11-20", "2026-11-20"),
        ("=", "="),
        ("1/500", "1/500"),
        ("-", None),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    if text == "-":
        assert read("a:\n  -").value == {"a": [None]}
        return
    found = read(f"a: {text}").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_texts_as_written() -> None:
    assert read("{-1: a, true: b, 1.0: c}").value == {"-1": "a", "true": "b", "1.0": "c"}


def test_every_key_and_value_knows_its_place() -> None:
    document = read("name: x\ndata:\n  inputs: [a, {b: 'text'}]\n")
    assert document.locate(("name",)) == ("spec.yaml", 1, 7)
    assert document.locate(("name",), key=True) == ("spec.yaml", 1, 1)
    assert document.locate(("data", "inputs", 1, "b")) == ("spec.yaml", 3, 19)
    assert document.locate(("data", "inputs", 1, "nothing")) == ("spec.yaml", 3, 15)
    assert document.locate(("data", "nothing", "at", "all")) == ("spec.yaml", 2, 1)


def test_aliases_and_merge_keys_repeat_values() -> None:
    document = read("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [{p: 5}, *x]}\n")
    assert document.value["b"] == {"p": 1, "q": 2}
    assert document.value["c"] == {"q": 3, "p": 1}
    assert document.value["d"] == {"p": 5, "q": 2}
    assert document.locate(("b",)) == ("spec.yaml", 2, 1)
    assert document.locate(("b", "p")) == ("spec.yaml", 1, 11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "spec.yaml:3:1: `a` stands here a second time, first in line 1"),
        ("a: {b: 1, b: 2}", "spec.yaml:1:11: `b` stands here a second time, first in line 1"),
        (
            "a: !!python/object:os.system x",
            "spec.yaml:1:4: tags such as `tag:yaml.org,2002:python/object:os.syste` are",
        ),
        ("a: &x [*x]", "spec.yaml:1:8: the alias `*x` stands inside the value that it repeats"),
        ("a: *y", "spec.yaml:1:4: the alias `*y` has no anchor `&y` before it"),
        ("a: 1\n---\nb: 2", "spec.yaml:2:1: a second document starts here; a spec is a single one"),
        ("? [1]\n: 2", "spec.yaml:1:3: a key must be a word, found a list"),
        ("a: 1e999", "spec.yaml:1:4: the number 1e999 is too large; write `inf` for no limit"),
        ("a: .nan", "spec.yaml:1:4: NaN is not a number that a spec can use"),
        ("a: 9223372036854775808", "spec.yaml:1:4: the whole number 9223372036854775808 is too large: it does not fit"),
        ("a: " + "9" * 5000, "is too large: it does not fit in 64 bits"),
        ("a: b: c", "spec.yaml:1:5: this is not YAML: a `key: value` cannot stand here; is the indentation right"),
        ("a: [1, 2\nb: 3", "this is not YAML: a `,` or the closing `]` is missing (opened in line 1)"),
        (
            "a: 'text",
            "this is not YAML: the file ends inside a quoted text; a closing quote is missing (opened in line 1)",
        ),
        ("a:\n\t- 1", "put quotes around the text, and spaces in place of tabs"),
        ("a: @b", "spec.yaml:1:4: this is not YAML: this letter cannot start a value; put quotes around the text"),
        ("a\0b", "spec.yaml:1:2: the letter with code 0 cannot stand in YAML; is this a text file?"),
        ("[" * 5000, "spec.yaml:1:42: values are nested more than 40 deep"),
        ("a: 1\n" * 900_000, "spec.yaml: the file is larger than 4 MB; is it a spec?"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    assert message in problem(text)


def test_several_mistakes_are_told_at_once() -> None:
    assert problem("a: 1\na: 2\nb: .nan\nc: !x 3").count("\n") == 2


def test_aliases_cannot_multiply_without_end() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "this holds more than 200000 values, aliases counted" in problem("\n".join(lines))
    chain = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 500)]
    assert "values are nested more than 40 deep, aliases counted" in problem("\n".join(chain))


def test_an_empty_text_is_no_spec() -> None:
    assert compose("", "spec.yaml") is None
    assert compose("# nothing\n", "spec.yaml") is None
