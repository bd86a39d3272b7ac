"""Codes of values and texts: against a plain loop over tokens, and each policy for what is not listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.data.loader import sequential
from engine.data.prepare import prepare
from engine.data.vocabulary import encode, encode_texts
from engine.errors import DataError
from engine.spec.sections.data import TextSpec, VocabularySpec
from engine.spec.vocabularies import as_number

TOKENS = ("a", "22", "(-->", "-11", "b")
SPACE = TextSpec("event.decay", " ")


def code_of(token: str, vocabulary: VocabularySpec) -> int | None:
    """One token by the definition; None where it is left out."""
    if token in vocabulary.tokens:
        return vocabulary.tokens.index(token) + 1
    return {"pad": 0, "own": len(vocabulary.tokens) + 1, "skip": None}[vocabulary.unknown]


@given(
    texts=st.lists(st.lists(st.sampled_from([*TOKENS, "z", "é", "-"]), max_size=12), max_size=8),
    unknown=st.sampled_from(["pad", "own", "skip"]),
    keep=st.integers(1, 8),
    blanks=st.integers(1, 3),
)
def test_texts_are_tokenised_as_a_plain_loop_does(texts: Any, unknown: Any, keep: int, blanks: int) -> None:
    vocabulary = VocabularySpec(TOKENS, unknown)
    joined = np.array([" " + (" " * blanks).join(words) for words in texts], dtype=object)
    found = encode_texts(joined, SPACE, vocabulary, keep, "x")
    expected = [[code for word in words if (code := code_of(word, vocabulary)) is not None][:keep] for words in texts]
    assert found.counts.tolist() == [len(codes) for codes in expected]
    assert found.values.tolist() == [code for codes in expected for code in codes]


@given(st.lists(st.sampled_from([22.0, -11.0, 3.0, float("nan"), float("inf"), 22.5, 0.0]), max_size=20))
def test_numbers_are_compared_as_numbers(values: list[float]) -> None:
    known = {22.0: 2, -11.0: 4}
    for unknown, other in (("pad", 0), ("own", 6)):
        found = encode(np.array(values, dtype=np.float64), VocabularySpec(TOKENS, unknown), "x")  # type: ignore[arg-type]
        assert found.tolist() == [known.get(value, other) for value in values]


def test_what_is_no_text_has_no_tokens() -> None:
    texts = np.array(["a b", None, float("nan"), "", "b"], dtype=object)
    assert encode_texts(texts, SPACE, VocabularySpec(TOKENS, "stop"), 5, "x").counts.tolist() == [2, 0, 0, 0, 1]


def test_another_separator_and_texts_as_values() -> None:
    texts = np.array(["a,b,,22", "b"], dtype=object)
    assert encode_texts(texts, TextSpec("", ","), VocabularySpec(TOKENS, "pad"), 9, "x").values.tolist() == [1, 5, 2, 5]
    assert encode(texts, VocabularySpec(TOKENS, "own"), "x").tolist() == [6, 5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([22.0, 7.0, 300553.0]), "2 values are not in the vocabulary of x, the first is '7'"),
        (np.array(["a", "zz"], dtype=object), "1 value is not in the vocabulary of x, the first is 'zz'"),
    ],
)
def test_stop_says_what_was_not_found_and_how_often(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode(values, VocabularySpec(TOKENS, "stop"), "x")


def test_tokens_that_are_no_finite_numbers_take_no_part_among_numbers() -> None:
    assert [as_number(token) for token in ("7", "-1.5", "nan", "inf", "(-->", "")] == [7, -1.5, None, None, None, None]
    assert encode(np.array([np.nan, np.inf, 1.0]), VocabularySpec(("nan", "inf"), "pad"), "x").tolist() == [0, 0, 0]


SPEC = """
collections:
  event: {number: evtNum, label: label, decay: decay_str}
  particles: {owner: implicit, PDG: PDG, charge: charge, energy: energy}
samples: {all: {files: [FILE], rows: event}}
inputs:
  pdg: {of: particles, keep: 30, dtype: uint16, features: {PDG: {vocabulary: [22, 11, -11], unknown: own}}}
  charge: {of: particles, keep: 30, dtype: int8, features: {charge: {one_hot: [-1, 0, 1]}}}
  decay: {text: event.decay, keep: 20, dtype: uint8, vocabulary: ["(-->", "<--)", "22"], unknown: skip}
targets: {passes: {expression: event.label, classes: {no: 0, yes: 1}}}
columns: {number: event.number}
split: {by: [number], train: 1, validation: 0, test: 0}
format: pandas_hdf
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from engine.simulate.smartbkg import simulate

    return simulate(tmp_path_factory.mktemp("smartbkg"), 60, 3, 1)[0]


def spec_of(file: Path, **changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(SPEC.replace("FILE", str(file)))
    for name, value in changes.items():
        raw["inputs"][name] |= value
    return raw


def test_codes_are_stored_in_their_type_and_come_out_padded_with_zeros(
    section: Any, file: Path, tmp_path: Path
) -> None:
    dataset = prepare(section(spec_of(file)), tmp_path, 1)
    types = {name: values.dtype for name, (_, values) in dataset.segments[0].inputs.items()}
    assert types == {"pdg": np.uint16, "charge": np.int8, "decay": np.uint8}
    batch = next(sequential(dataset, ["all"], "train", 60))
    for name in types:
        values, mask = batch.inputs[name].numpy(), batch.masks[name].numpy()
        assert (values[~mask] == 0).all()
    codes = batch.inputs["pdg"].numpy()[..., 0]
    assert set(np.unique(codes[batch.masks["pdg"].numpy()])) <= {1.0, 2.0, 3.0, 4.0}
    assert (batch.inputs["charge"].sum(-1).numpy()[batch.masks["charge"].numpy()] == 1).all()
    vocabularies = dataset.contract()["inputs"]["pdg"]["vocabularies"]
    assert vocabularies == {"PDG": {"tokens": ["22", "11", "-11"], "unknown": "own"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"charge": {"dtype": "uint8"}}, "charge of the input charge has the value -1, which uint8 .* does not hold"),
        (
            {"charge": {"dtype": "int8", "features": {"energy": {}}}},
            "energy of the input charge has the value 5.*, which int8",
        ),
        (
            {"pdg": {"features": {"PDG": {"vocabulary": [22], "unknown": "stop"}}}},
            r"smartbkg_000.h5: \d+ values are not",
        ),
        ({"decay": {"text": "event.number"}}, "event.number holds numbers where text is needed"),
    ],
)
def test_what_a_type_or_vocabulary_does_not_hold_ends_in_a_sentence(
    section: Any, file: Path, tmp_path: Path, changes: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message.replace("5.*", r"[\d.]+")):
        prepare(section(spec_of(file, **changes)), tmp_path, 1)


def test_another_vocabulary_makes_another_dataset(section: Any, file: Path, tmp_path: Path) -> None:
    first = prepare(section(spec_of(file)), tmp_path, 1).manifest["fingerprint"]
    other = {"pdg": {"features": {"PDG": {"vocabulary": [22, 11, -11, 211], "unknown": "own"}}}}
    second = prepare(section(spec_of(file, **other)), tmp_path, 1)
    assert second.manifest["fingerprint"] != first
    assert second.segments[0].inputs["pdg"][1].max() == 5


def test_text_and_numbers_are_told_apart_before_an_event_is_read(section: Any, file: Path) -> None:
    from engine.data.inspect_files import check_files

    assert not check_files(section(spec_of(file)))
    raw = spec_of(file, decay={"text": "event.other"})
    raw["collections"]["event"]["other"] = "decay_strings/label"
    raw["columns"]["decay"] = "event.decay"
    told = [mistake.message for mistake in check_files(section(raw))]
    assert [message.partition(" (")[0] for message in told] == [
        f"{file}: branch 'decay_str' holds text, but event.decay needs numbers",
        f"{file}: branch 'decay_strings/label' holds numbers, but event.other needs text",
    ]


def test_the_preprocessing_of_the_original_is_reproduced_exactly(
    section: Any, reference_data: Path, repository: Path, tmp_path: Path
) -> None:
    """Fixed ranges, one-hot charges, tokens, padding and truncation: every float32 of 300 events, and the size."""
    folder = reference_data / "smartbkg"
    raw = yaml.safe_load((repository / "specs" / "parts" / "smartbkg_data.yaml").read_text())["data"]
    words = json.loads((folder / "vocabulary.json").read_text())["tokens"][:541]  # the original loses the last one
    tokens = [{"open": "(-->", "close": "<--)"}.get(word, word) for word in words]
    for name in ("pdg", "mother_pdg"):
        next(iter(raw["inputs"][name]["features"].values()))["vocabulary"] = tokens
    raw["inputs"]["decay"]["vocabulary"] = tokens
    raw["samples"]["events"]["files"] = [str(folder / "stand_in_300_events.h5")]
    raw["split"] = {"by": ["event"], "train": 1, "validation": 0, "test": 0}
    dataset = prepare(section(raw), tmp_path, 1)
    batch = next(sequential(dataset, ["events"], "train", 300))
    reference = np.load(folder / "preprocessed_reference.npz")
    particles = np.concatenate([batch.inputs["particles"], batch.inputs["charge"]], axis=-1)
    np.testing.assert_array_equal(particles, reference["particles"])
    for name in ("pdg", "mother_pdg", "decay"):
        np.testing.assert_array_equal(batch.inputs[name][..., 0], reference[name])
    np.testing.assert_array_equal(batch.targets["passes"], reference["label"])
    assert sum(shard["bytes"] for shard in dataset.manifest["shards"]) / 300 < 3000
