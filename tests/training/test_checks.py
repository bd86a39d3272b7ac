"""Losses that do not fit their outputs are mistakes of the spec, each at its place and without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.spec.sections import LossSpec
from engine.training.objectives import make_objectives
from engine.validation import load_planned


def mistakes(repository: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as raised:
        load_planned(repository / "specs" / "calratio.yaml", overrides)
    return str(raised.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "model.graph.jet_class.layers.2.dense.units=4",
            "`jet_class` has 4 outputs; `label` has 3 classes, so it needs 3",
        ),
        ("model.graph.is_data.layers.2.dense.units=2", "`is_data` has 2 outputs; `binary_cross_entropy` needs 1"),
        (
            "model.graph.is_data.layers.2.dense.activation=softmax",
            "`is_data` ends in a softmax; `binary_cross_entropy` needs a sigmoid, or no activation at all",
        ),
        (
            "model.graph.jet_class.layers.2.dense.activation=sigmoid",
            "`jet_class` ends in a sigmoid; `cross_entropy` needs a softmax, or no activation at all",
        ),
        (
            "model.graph.is_data.layers.2.dense.activation=relu",
            "`is_data` ends in relu, and its values would be taken as logits; `binary_cross_entropy` needs a sigmoid",
        ),
        (
            "training.losses.tagging.cross_entropy.of=jet_class.logit",
            "the network has no output `jet_class.logit`; did you mean `jet_class.logits`?",
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_told(repository: Path, override: str, sentence: str) -> None:
    found = mistakes(repository, override)
    assert sentence in found
    assert "calratio.yaml:" in found or "--set" in found


def test_an_output_for_each_object_is_told(repository: Path) -> None:
    found = mistakes(repository, "model.graph.is_data.from=clusters", "model.graph.is_data.layers=[dense: 1]")
    assert "`is_data` gives 30 objects x 1 feature; `binary_cross_entropy` compares one result a row" in found


def test_an_update_that_moves_nothing_of_its_loss_is_told(repository: Path) -> None:
    found = mistakes(repository, "training.updates.1.minimize=tagging", "training.updates.1.parameters=[is_data]")
    assert "nothing that this update moves has any part in `tagging`; it would change nothing" in found


def test_the_shipped_specs_have_no_such_mistake(repository: Path) -> None:
    paths = sorted((repository / "specs").glob("*.yaml"))
    assert paths
    for path in paths:
        load_planned(path, ())


DENSE = "dense: {units: 3, activation: softmax}"


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        (f"[concat, {DENSE}, dropout: 0.1]", "softmax"),
        (f"[concat, {DENSE}, expression: {{formula: 2 * x}}]", "softmax"),
        ("[concat, dense: 3, activation: softmax, dropout: 0.1]", "softmax"),
        (f"[concat, share: {{name: end, layers: [{DENSE}]}}]", "softmax"),
    ],
)
def test_probabilities_that_would_be_taken_as_logits_are_told(repository: Path, layers: str, activation: str) -> None:
    change = f"model.graph.jet_class.layers={layers}"
    assert f"`jet_class` come out of a {activation}, which is not the last layer" in mistakes(repository, change)
    for answer in ("true", "false"):
        said = f"training.losses.tagging.cross_entropy.probabilities={answer}"
        load_planned(repository / "specs" / "calratio.yaml", [change, said])


@pytest.mark.parametrize(
    "layers", [f"[concat, {DENSE}, dense: 3]", f"[concat, {DENSE}]", "[concat, dense: 3, dropout: 0.1]"]
)
def test_logits_and_a_softmax_at_the_end_need_no_word(repository: Path, layers: str) -> None:
    load_planned(repository / "specs" / "calratio.yaml", [f"model.graph.jet_class.layers={layers}"])


def test_probabilities_are_compared_as_they_are_where_the_spec_says_so() -> None:
    """Not the logits, whose logarithm would be taken."""
    options = {"of": "out", "target": "label", "stream": "main", "weight": None, "path": ()}
    for given, output in ((True, "out"), (False, "out.logits")):
        loss = LossSpec(name="tagging", kind="cross_entropy", options={"probabilities": given}, **options)
        assert make_objectives({"tagging": loss}, lambda name: True)["tagging"].output == output
