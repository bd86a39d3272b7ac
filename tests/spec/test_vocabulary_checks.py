"""Vocabularies and texts in a spec: files found beside it, and every mistake with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.graph.plan import input_types
from engine.spec.load import load_experiment, load_text
from engine.spec.vocabularies import MOST_TOKENS

SPEC = """\
name: codes
data:
  collections:
    event: {number: evtNum, decay: decay_str}
    parts: {owner: implicit, code: PDG, e: energy}
  samples: {all: {files: a.h5, rows: event}}
  inputs:
    codes: {of: parts, keep: 9, dtype: uint16, features: {code: {vocabulary: [11, -11, 22], unknown: own}}}
    decay: {text: event.decay, split: " ", keep: 9, dtype: uint16, vocabulary: words.json, unknown: skip}
  targets: {other: {expression: event.number}}
  columns: {number: event.number}
  split: {by: [number]}
model:
  graph:
    a: {from: codes, layers: [embedding: {size: 2}, mean_pool]}
    b: {from: decay, layers: [embedding: {size: 2}, mean_pool]}
    out: {from: [a, b], layers: [concat, dense: 1]}
training:
  streams: {main: {samples: [all], batch: 64}}
  losses: {l: {squared_error: {of: out, target: other}}}
  updates: [{minimize: l, optimizer: adam}]
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """The spec with a change, beside its vocabulary."""

    def written(change: tuple[str, str] = ("", ""), words: str = '["a", "b", 22]') -> Path:
        assert change[0] in SPEC
        (tmp_path / "words.json").write_text(words)
        path = tmp_path / "spec.yaml"
        path.write_text(SPEC.replace(*change) if change[0] else SPEC)
        return path

    return written


def told(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_sizes_reach_the_graph(write: Write) -> None:
    types = input_types(load_experiment(write()).data)
    assert (types["codes"].vocabulary, types["decay"].vocabulary) == (5, 4)
    assert types["decay"].shape == (9, 1)


def test_the_resolved_spec_needs_no_file(write: Write, tmp_path: Path) -> None:
    experiment = load_experiment(write())
    (tmp_path / "words.json").unlink()
    again = load_text(experiment.document.to_yaml(), beside="/")
    assert again.data.inputs == experiment.data.inputs
    assert again.data.raw == experiment.data.raw  # what the fingerprint of the prepared data is made of
    assert again.data.inputs["decay"].features["token"].vocabulary.tokens == ("a", "b", "22")


def test_a_shipped_vocabulary_and_one_in_the_folder_of_an_included_file(write: Write, tmp_path: Path) -> None:
    path = write(("words.json", "vocabularies/pdg.json"))
    tokens = load_experiment(path).data.inputs["decay"].features["token"].vocabulary.tokens
    assert len(tokens) == 541
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "spec.yaml").write_text(write().read_text())
    (tmp_path / "inner" / "words.json").write_text(json.dumps({"note": "mine", "tokens": ["x"]}))
    (tmp_path / "outer.yaml").write_text("include: inner/spec.yaml\n")
    assert load_experiment(tmp_path / "outer.yaml").data.inputs["decay"].vocabulary.tokens == ("x",)


OBJECTS = "features: {code: {vocabulary: [11, -11, 22], unknown: own}}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("words.json", "word.json"), "9: there is no vocabulary `word.json` in "),
        (("words.json", "wordz.json"), "did you mean `words.json`?"),
        (
            ("[11, -11, 22]", "[11, -11, 11]"),
            "8: the token `11` is in the vocabulary twice, so it would have two codes",
        ),
        (("[11, -11, 22]", "[11, '11.0']"), "8: the number 11 is in the vocabulary twice"),
        (("words.json", "[a, 'b c']"), "9: the token `b c` cannot come out of a text that is split at ` `"),
        (("keep: 9, dtype: uint16, features", "keep: 9, dtype: float99, features"), "float99"),
        (("[11, -11, 22], unknown: own", "[11], unknown: skip"), "8: `skip` is for the tokens of a text"),
        (("[11, -11, 22], unknown: own", "[11], scale: 2"), "8: `scale` would act on codes"),
        (("[11, -11, 22], unknown: own", "[11], one_hot: 3"), "8: `one_hot` would act on codes"),
        (
            ("vocabulary: [11, -11, 22], unknown", "unknown"),
            "8: `unknown` says what becomes of tokens that a `vocabulary`",
        ),
        (("of: parts, keep: 9", "of: parts, split: x, keep: 9"), "8: `split` of an input is for a `text`"),
        (
            ("of: parts, keep: 9", "of: parts, vocabulary: [a], keep: 9"),
            "8: `vocabulary` of an input is for a `text`; of",
        ),
        (("of: parts, keep: 9", "keep: 9"), "8: `codes` needs `of`, a collection, or `text`, such as `event.decay`"),
        ((", " + OBJECTS, ""), "8: `codes` needs `features`"),
        (("text: event.decay", "text: event.decay, of: parts"), "9: `of` and `text` exclude each other"),
        (("text: event.decay", "text: event.decay, order: e"), "9: `order` is for objects of a collection"),
        (("text: event.decay", "text: event.decay, features: {e: {}}"), "9: `features` is for objects of a collection"),
        (("vocabulary: words.json, ", ""), "9: `decay` is a text and needs a `vocabulary`"),
        (('split: " ", keep: 9', 'split: " "'), "9: `decay` is a text and needs `keep`"),
        (("text: event.decay", "text: decay"), "9: write the text field as <collection>.<field>, as in `event.decay`"),
        (("text: event.decay", "text: evnt.decay"), "9: there is no collection `evnt`; did you mean `event`?"),
        (("text: event.decay", "text: event.dekay"), "9: `event` has no field `dekay`; did you mean `decay`?"),
        (
            ("text: event.decay", "text: parts.e"),
            "9: a row has several `parts`, and a text input is made of one text a row",
        ),
        (
            ("other: {expression: event.number}", "other: {of: decay, expression: 'event.number'}"),
            "the tokens of a text, of which nothing",
        ),
    ],
)
def test_mistakes(write: Write, change: tuple[str, str], message: str) -> None:
    found = told(write(change))
    assert any(message in each for each in found), found


@pytest.mark.parametrize(
    ("dtype", "tokens", "advice"),
    [("uint8", 256, "uint16"), ("int8", 128, "uint8"), ("float16", 2049, "uint16"), ("uint16", 65536, "int32")],
)
def test_a_type_that_is_too_small_for_the_codes(write: Write, dtype: str, tokens: int, advice: str) -> None:
    change = ("dtype: uint16, vocabulary: words.json, unknown: skip", f"dtype: {dtype}, vocabulary: words.json")
    assert load_experiment(write(change, json.dumps(list(range(tokens - 1))))).data
    found = told(write(change, json.dumps(list(range(tokens)))))
    assert found == [f"9: the codes of `token` go up to {tokens}, which {dtype} does not hold; write `dtype: {advice}`"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("[1, ", "cannot be read as JSON"),
        ("[]", "holds no vocabulary: a list of tokens, or a mapping with the key `tokens`"),
        ('{"words": ["a"]}', "holds no vocabulary"),
        ('["a", null]', "token 2 is neither a text nor a number"),
        ('["a", ["b"]]', "token 2 is neither a text nor a number"),
        ("[" * 5000, "cannot be read as JSON"),
        (json.dumps(list(range(MOST_TOKENS + 1))), "may have 100,000 tokens together, not 100,00"),
    ],
)
def test_a_file_that_holds_no_vocabulary(write: Write, words: str, message: str) -> None:
    found = told(write(words=words))
    assert len(found) == 1
    assert found[0].startswith("9: ")
    assert message in found[0]


def test_a_vocabulary_named_by_an_override_is_looked_for_beside_the_spec(tmp_path: Path) -> None:
    specs = Path(__file__).resolve().parent.parent.parent / "specs"
    changed = "data.inputs.pdg.features.PDG.vocabulary="
    with pytest.raises(SpecError, match=f"there is no vocabulary `none.json` in {specs} nor among"):
        load_experiment(specs / "smartbkg.yaml", [f"{changed}none.json"])
    (tmp_path / "few.json").write_text("[11, 22]")
    (tmp_path / "own.yaml").write_text("include: smartbkg.yaml\nname: own\n")
    experiment = load_experiment(tmp_path / "own.yaml", [f"{changed}few.json"])
    vocabulary = experiment.data.inputs["pdg"].features["PDG"].vocabulary
    assert vocabulary is not None
    assert vocabulary.tokens == ("11", "22")
