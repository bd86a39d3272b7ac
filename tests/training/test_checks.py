"""Losses that do not fit their outputs are mistakes of the spec, each at its place and without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SpecError
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
