"""`--set key=value`, keys with other names, and the resolved spec that is kept with a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.spec.document import Document
from engine.spec.experiment import Experiment
from engine.spec.load import load_experiment, load_text
from engine.spec.source import compose
from engine.spec.writer import to_yaml


def without_document(experiment: Experiment) -> dict[str, object]:
    return {f.name: getattr(experiment, f.name) for f in dataclasses.fields(experiment) if f.name != "document"}


def test_overrides_replace_values_and_make_missing_keys(small: str) -> None:
    changes = [
        "training.epochs=5",
        "training.updates.0.optimizer.adam.lr=8e-4",
        "data.inputs.clusters.features.eta={mirror: sum(eta)}",
        "training.early_stopping.metric=validation.tagging",
    ]
    experiment = load_text(small, changes)
    assert experiment.training.epochs == 5
    assert experiment.training.updates[0].optimizer.options["lr"] == 8e-4
    assert str(experiment.data.inputs["clusters"].features["eta"].mirror) == "sum(eta)"
    assert experiment.training.early_stopping is not None
    assert experiment.training.early_stopping.patience == 10


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "write it as `key.key=value`, such as `training.epochs=5`"),
        ("training..epochs=3", "write it as `key.key=value`, such as `training.epochs=5`"),
        ("training.epochs=five", "`epochs` must be a whole number, found the text `five`"),
        ("training.epoch=5", "unknown key `epoch` in `training`; did you mean `epochs`?"),
        (
            "training.updates.1.repeat=2",
            "`training.updates` is a list; after it stands a number from 0 to 0, found `1`",
        ),
        (
            "training.updates.x.repeat=2",
            "`training.updates` is a list; after it stands a number from 0 to 0, found `x`",
        ),
        ("name.first=x", "`name` is the text `small`, it has no `first`"),
        ("seed=[1", "this is not YAML: a `,` or the closing `]` is missing (opened in line 1)"),
        ("data.selections.good.where=pt >", "in the expression `pt >`: the expression ends too early"),
        (".".join("a" * 3000) + "=1", "the key is more than 40 deep"),
        ("include=other.yaml", "`include` is followed before anything is set; write it into the spec"),
        ("data.samples.signal.files=[]", "`files` must have at least 1 item, found 0"),
        ("data.inputs.jet={}", "`jet` needs `of`, a collection"),
    ],
)
def test_a_mistake_of_an_override_is_told_as_such(small: str, override: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(small, [override])
    assert str(caught.value).startswith(f"--set {override}: {message}")
    assert len(caught.value.problems) == 1


def test_an_override_inside_a_repeated_value_changes_one_place_alone(small: str) -> None:
    text = small.replace("features: {pt: {}, eta: {}}", "features: {pt: &same {scale: 2}, eta: *same}")
    experiment = load_text(text, ["data.inputs.jet.features.pt.scale=3"])
    features = experiment.data.inputs["jet"].features
    assert (features["pt"].scale, features["eta"].scale) == (3, 2)


def test_other_names_of_keys_are_read_and_noted(small: str) -> None:
    experiment = load_text(small.replace("batch: 64", "batch_size: 32").replace("lr:", "learning_rate:"), name="s.yaml")
    assert experiment.training.streams["main"].batch == 32
    assert experiment.training.updates[0].optimizer.options["lr"] == 1e-3
    assert [str(note) for note in experiment.document.notes] == [
        "s.yaml:24:51: `batch_size` is called `batch`; it was read as that",
        "s.yaml:26:52: `learning_rate` is called `lr`; it was read as that",
    ]
    with pytest.raises(SpecError, match="`batch_size` and `batch` are the same key; keep `batch`"):
        load_text(small.replace("batch: 64", "batch: 64, batch_size: 32"))


def test_the_resolved_spec_gives_the_same_experiment(repository: Path, tmp_path: Path) -> None:
    experiment = load_experiment(repository / "specs" / "calratio.yaml", ["training.epochs=3"])
    saved = tmp_path / "spec.yaml"
    saved.write_text(experiment.document.to_yaml())
    again = load_experiment(saved)
    assert again.document.value == experiment.document.value
    assert without_document(again) == without_document(experiment)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs")), max_size=12)
    | st.sampled_from(
        ["8e-4", "1_000", "on", "yes", "0o17", "017", "1:30", "~", "null", "inf", "=", "<<", "1e3", "*a"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-1.e", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abcn-1.e", min_size=1, max_size=6), plain, min_size=1, max_size=5))
def test_any_plain_value_is_written_so_that_it_reads_back_the_same(value: dict[str, object]) -> None:
    node = compose(to_yaml(value), "spec.yaml")
    assert node is not None
    assert Document.from_tree(node, "spec.yaml").value == value
