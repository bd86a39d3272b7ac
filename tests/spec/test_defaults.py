"""Defaults stand in the schemas alone, and the typed sections are made of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine.spec import bundle, docs
from engine.spec.build_data import build_data
from engine.spec.defaults import complete
from engine.spec.experiment import Experiment
from engine.spec.load import load_text
from engine.spec.schema import lookup, schemas
from engine.spec.writer import to_yaml


def sections(experiment: Experiment) -> dict[str, Any]:
    found = {each.name: getattr(experiment, each.name) for each in dataclasses.fields(experiment)}
    found.pop("document")
    found["data"] = dataclasses.replace(found["data"], raw={})
    return found


def test_writing_every_default_out_changes_nothing(small: str) -> None:
    """All but those of layers, which wait for the conventions and the parameters of blocks."""
    experiment = load_text(small)
    whole = complete(experiment.document.value, "experiment.json") | {"model": experiment.document.value["model"]}
    assert whole["training"]["updates"][0]["repeat"] == 1
    assert whole["data"]["inputs"]["jet"]["features"]["pt"]["fill"] == 0.0
    again = load_text(to_yaml(whole))
    assert sections(again) == sections(experiment)


def test_a_default_changed_in_the_schema_changes_the_typed_section(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fragment = lookup("data.json#/$defs/feature")
    monkeypatch.setitem(fragment["properties"]["fill"], "default", -7)
    stream = schemas()["training.json"]["properties"]["streams"]["additionalProperties"]["properties"]
    monkeypatch.setitem(stream["batch"], "default", 99)
    experiment = load_text(small.replace(", batch: 64", ""))
    assert experiment.data.inputs["jet"].features["eta"].fill == -7
    assert experiment.training.streams["main"].batch == 99


def test_an_empty_feature_does_nothing_to_its_field(small: str) -> None:
    feature = load_text(small).data.inputs["jet"].features["eta"]
    assert (feature.clip, feature.scale, feature.offset, feature.range, feature.one_hot) == (None, None, 0, None, None)
    assert not feature.absolute
    assert not feature.log1p


def test_numbers_written_as_expressions_are_computed(small: str) -> None:
    text = small.replace("scale: 1/500", "clip: [-inf, 2 * pi], scale: 1 / 500").replace(
        "clus_eta}", "clus_eta, kind: k}"
    )
    text = text.replace("500}, eta: {}", "500}, kind: {one_hot: 3}")
    features = load_text(text).data.inputs["clusters"].features
    feature = features["pt"]
    assert feature.clip == (-float("inf"), pytest.approx(6.283185307))
    assert feature.scale == 1 / 500
    assert features["kind"].one_hot == (0.0, 1.0, 2.0)


def test_a_loss_takes_the_only_stream_and_the_defaults_of_its_kind(small: str) -> None:
    loss = load_text(small).training.losses["tagging"]
    assert (loss.stream, loss.weight) == ("main", None)
    assert loss.options == {"label_smoothing": 0.0, "probabilities": False}


def test_layouts_share_the_section_and_samples_choose_one(small: str) -> None:
    text = small.replace("signal*.root], rows: good", "signal*.h5], layout: flat, rows: jets").replace(
        "  samples:",
        "  layouts:\n    flat: {format: hdf5, collections: {event: {run: r, number: n}, jets: {pt: a, eta: b, phi: c},"
        " clusters: {owner: implicit, pt: p, eta: e}}}\n  samples:",
    )
    data = load_text(text).data
    assert list(data.layouts) == ["default", "flat"]
    assert data.layouts["flat"].format == "hdf5"
    assert data.samples["signal"].layout == "flat"
    assert data.layouts["flat"].collections["jets"].path == ("data", "layouts", "flat", "collections", "jets")


def test_the_raw_section_is_what_was_written(small: str) -> None:
    data = load_text(small).data
    assert data.raw["split"] == {"by": ["run", "number"]}
    assert build_data(dict(data.raw)) == data


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_property_says_what_it_is(name: str) -> None:
    def check(fragment: Any, path: str) -> None:
        if isinstance(fragment, list):
            for index, item in enumerate(fragment):
                check(item, f"{path}/{index}")
        elif isinstance(fragment, dict):
            for key, item in fragment.get("properties", {}).items() if "title" in fragment else ():
                target = lookup(item["$ref"]) if "$ref" in item else item
                assert target.get("title") or item.get("title"), f"{name}{path}/{key} has no title"
                assert target.get("description") or item.get("description"), f"{name}{path}/{key} has no description"
            for key, item in fragment.items():
                check(item, f"{path}/{key}")

    check(schemas()[name], "")


def test_every_reference_and_table_of_kinds_exists() -> None:
    def check(fragment: Any) -> None:
        if isinstance(fragment, list):
            for item in fragment:
                check(item)
        elif isinstance(fragment, dict):
            for key in ("$ref", "kinds"):
                if isinstance(fragment.get(key), str):
                    assert lookup(fragment[key])
            for item in fragment.values():
                check(item)

    check(list(schemas().values()))


def test_the_manual_is_made_from_the_schemas(repository: Any) -> None:
    stored = (repository / "docs" / "spec.md").read_text(encoding="utf-8")
    assert stored == docs.manual(), "docs/spec.md is out of date: run `python -m engine.spec.docs`"


def test_the_manual_tells_every_key() -> None:
    text = docs.manual()
    for name in (
        "`fraction_of`",
        "`minimize`",
        "`layers[].dense`",
        "`histograms_every`",
        "`delta_phi`",
        "`working_points`",
    ):
        assert name in text
    assert bundle.bundle_schema()["title"] == "Experiment"
