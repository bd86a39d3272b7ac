"""What the user is told about typical mistakes, word for word."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from engine.spec.load import load_text


def test_the_small_spec_is_right(tell) -> None:  # type: ignore[no-untyped-def]
    assert tell() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("batch: 64", "bach: 64"),
            "small.yaml:24:51: unknown key `bach` in `main`; did you mean `batch`?",
        ),
        (
            ("batch: 64", "batch: many"),
            "small.yaml:24:58: `batch` must be a whole number, found the text `many`",
        ),
        (
            ("batch: 64", "batch: 64.0"),
            "small.yaml:24:58: `batch` must be a whole number, found the number 64.0; write 64",
        ),
        (
            ("batch: 64", "batch: 0"),
            "small.yaml:24:58: `batch` must be at least 1, found 0",
        ),
        (
            ("lr: 1e-3", "lr: 1e-3, epsilon: 1"),
            "small.yaml:26:62: unknown key `epsilon` in `adam`; did you mean `eps`?",
        ),
        (
            ("adam:", "adan:"),
            "small.yaml:26:45: there is no optimizer `adan`; did you mean `adam`?",
        ),
        (
            ("cross_entropy:", "crossentropy:"),
            "small.yaml:25:22: there is no loss `crossentropy`; did you mean `cross_entropy`?",
        ),
        (
            ("of: output, target: label", "of: output"),
            "small.yaml:25:22: `cross_entropy` needs the key `target` (the target that it is compared with)",
        ),
        (
            ("lstm: 4", "lstm: four"),
            "small.yaml:21:56: `lstm` must be a whole number, found the text `four`",
        ),
        (
            ("lstm: 4", "lstn: 4"),
            "small.yaml:21:50: there is no block `lstn`; did you mean `lstm`?",
        ),
        (
            ("activation: softmax", "activation: sofmax"),
            "did you mean `softmax`?",
        ),
        (
            ("{units: 2, activation: softmax}", "{unit: 2}"),
            "small.yaml:22:61: unknown key `unit` in `dense`; did you mean `units`?",
        ),
        (
            ("name: small", "name: small\nepochs: 5"),
            "small.yaml:2:1: unknown key `epochs` in the spec; it belongs into `training`",
        ),
        (
            ("split: {by: [run, number]}", "split: {by: [run, number], train: 0.9}"),
            "small.yaml:18:3: the fractions of train, validation and test must add up to 1, found 1.1",
        ),
        (
            ('where: "pt > 40 and', 'where: "ptt > 40 and'),
            "small.yaml:8:29: `jets` has no field `ptt`; did you mean `pt`?",
        ),
        (
            ('abs(eta) < 2.5"', 'absl(eta) < 2.5"'),
            "small.yaml:8:42: in the expression `pt > 40 and absl(eta) < 2.5`: "
            "there is no function `absl`; did you mean `abs`?",
        ),
        (
            ("scale: 1/500", "scale: 1/x"),
            "small.yaml:13:77: in the expression `1/x`: `x` stands where only numbers may be used",
        ),
        (
            ("files: [signal*.root], ", ""),
            "small.yaml:10:5: `signal` needs the key `files` "
            "(names of files, or patterns with `*`, relative to the working directory)",
        ),
        (
            ("label: background}", "label: backround}"),
            "small.yaml:11:61: `backround` is not a class of any target; did you mean `background`?",
        ),
        (
            ("classes: [background, signal]", "classes: [background, signal, other]"),
            "small.yaml:16:43: no sample has the label `other`; known are: `background`, `signal`",
        ),
        (
            ("from: clusters", "from: cluster"),
            "small.yaml:21:21: there is no input or node `cluster`; did you mean `clusters`?",
        ),
        (
            ("minimize: tagging", "minimize: taging"),
            "small.yaml:26:24: there is no loss `taging`; did you mean `tagging`?",
        ),
        (
            ("samples: [signal, background]", "samples: [signal, back]"),
            "small.yaml:24:38: there is no sample `back`; did you mean `background`?",
        ),
        (
            ("output: {from: [summary, jet]", "jet: {from: [summary, jet]"),
            "small.yaml:22:5: `jet` is the name of an input too; choose another",
        ),
    ],
)
def test_a_typical_mistake_is_told_in_one_sentence(tell, change: tuple[str, str], message: str) -> None:  # type: ignore[no-untyped-def]
    told = tell(change)
    assert message in told[0] if message.startswith("did you") else told[0] == message or message in told, told


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tell) -> None:  # type: ignore[no-untyped-def]
    told = tell(("lr: 1e-3", "lr: -1"), ("keep: 10", "keep: ten"), ("owner: clus_jet", "owner: 5"))
    assert told == [
        "small.yaml:6:23: `owner` must be a text, found the whole number 5",
        "small.yaml:13:48: `keep` must be a whole number, found the text `ten`",
        "small.yaml:26:56: `lr` must be at least 0, found -1",
    ]


def test_a_mistyped_key_that_was_needed_is_told_once(tell) -> None:  # type: ignore[no-untyped-def]
    assert tell(("of: jets, features", "of: jets, featurs")) == [
        "small.yaml:14:21: unknown key `featurs` in `jet`; did you mean `features`?"
    ]


def test_a_spec_that_is_something_else_is_told() -> None:
    for text, message in {
        "- 1": "spec.yaml:1:1: a spec is a mapping of sections, found a list",
        "5": "spec.yaml:1:1: a spec is a mapping of sections, found the whole number 5",
        "": "spec.yaml: the file is empty",
        "{}": "spec.yaml:1:1: the spec needs the key `name`",
    }.items():
        with pytest.raises(SpecError) as caught:
            load_text(text)
        assert any(str(problem).startswith(message) for problem in caught.value.problems)


def test_alternatives_are_told_by_what_was_meant(tell) -> None:  # type: ignore[no-untyped-def]
    def metric(options: str) -> list[str]:
        return tell(("optimizer: {adam: {lr: 1e-3}}}]\n", "}]\nevaluation: {metrics: [" + options + "]}\n"))

    assert metric("roc: {per: {pt: [0]}}") == ["small.yaml:27:36: `pt` must have at least 2 items, found 1"]
    assert metric("roc: {per: 5}") == [
        "small.yaml:27:35: `per` must be a text, a list or a mapping, found the whole number 5"
    ]
    assert metric("rock") == ["small.yaml:27:24: there is no metric `rock`; did you mean `roc`?"]
    assert metric("{roc: {}, auc: {}}") == ["small.yaml:27:24: one metric is expected here, found 2: `roc`, `auc`"]
    assert metric("roc: {signal: sgnal}") == ["small.yaml:27:38: there is no class `sgnal`; did you mean `signal`?"]
