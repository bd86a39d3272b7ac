"""What metrics do with categories, bins, options, and rows from which nothing can be computed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.evaluation.evaluate import headline_names
from engine.evaluation.metrics.catalogue import METRICS, compute
from engine.evaluation.metrics.result import Headline, MetricResult, finite
from engine.evaluation.plots.catalogue import PLOTS
from engine.evaluation.predictions import Predictions

CUT = {"cut": "jet_class.signal > 0.4", "variables": ["pt", "tracks"]}
OPTIONS: dict[str, dict[str, Any]] = {
    "weighted_ks": {"target": "is_data"},
    "asymmetry": CUT,
    "pull": CUT,
    "binomial": CUT,
    "importance_sampling": {"probability": "jet_class.signal", "target": "label", "signal": "signal"},
    "object_selection": {"of": "track_weight", "target": "origin", "classes": ["b", "c"], "variables": ["tracks"]},
    "distance": {"of": "vertex.position", "by": "flavour", "variables": [{"column": "length", "bins": 8}]},
    "discriminant": {"signal": "signal", "fractions": {"qcd": 0.9}, "scan": {"fraction": "qcd"}},
}


@pytest.fixture(scope="session")
def schema(repository: Path) -> dict[str, Any]:
    return json.loads((repository / "schemas/evaluation.json").read_text())


def run(kind: str, predictions: Predictions, **options: Any) -> MetricResult:
    return compute(kind, kind, options, predictions)


def test_the_schema_lists_the_metrics_and_plots_with_the_same_options_and_defaults(schema):
    for table, registered in (("metrics", METRICS), ("plots", PLOTS)):
        assert schema["$defs"][table].keys() == registered.keys()
        for kind, entry in registered.items():
            options = {key: value["default"] for key, value in schema["$defs"][table][kind]["properties"].items()}
            assert options.pop("name") is None
            assert finite(entry.defaults) == options, kind


def test_every_property_of_the_schema_explains_itself(schema):
    def walk(value: Any) -> None:
        for key, member in value.get("properties", {}).items():
            assert {"title", "description"} <= member.keys(), key
            assert "default" in member or key in value.get("required", ()), key
        for member in value.values():
            if isinstance(member, dict):
                walk(member)

    walk(schema)


def test_results_are_plain_json_with_short_curves(tagger):
    for kind in METRICS:
        text = json.dumps(run(kind, tagger, **OPTIONS.get(kind, {})).to_json(), allow_nan=False)
        for part in json.loads(text)["parts"]:
            assert all(len(values) <= 200 for values in part.get("curve", {}).values())


def test_categories_restrict_the_signal_and_bins_restrict_all_rows(tagger):
    parts = run("roc", tagger, signal="signal", per=["mH", "mS"]).parts
    inclusive = parts[0].values
    masses = [part for part in parts if part.labels["group"] != "all"]
    assert len(masses) == 6
    assert sum(part.values["signal_rows"] for part in masses) == inclusive["signal_rows"]
    assert {part.values["background_rows"] for part in masses} == {inclusive["background_rows"]}
    bins = [
        p for p in run("roc", tagger, signal="signal", per={"pt": [0, 125, "inf"]}).parts if p.labels["group"] != "all"
    ]
    assert [part.labels["group"] for part in bins] == ["0 ≤ pt < 125", "pt ≥ 125"]
    for rows in ("signal_rows", "background_rows"):
        assert sum(part.values[rows] for part in bins) == inclusive[rows]


def test_the_lower_edge_of_a_bin_belongs_to_it_and_the_upper_does_not():
    columns = {"pt": np.array([1.0, 2.0, 2.0, 3.0, np.nan])}
    predictions = tiny([[0.9], [0.8], [0.7], [0.6], [0.5]], [0, 1, 0, 1, 0], columns)
    parts = run("accuracy", predictions, per={"pt": [1, 2, 3]}).parts
    assert [part.values["rows"] for part in parts] == [5, 1, 2]


def test_each_class_is_the_signal_in_turn_and_each_background_stands_alone_too(tagger):
    parts = run("roc", tagger).parts
    assert [part.labels["signal"] for part in parts] == ["qcd"] * 3 + ["signal"] * 3 + ["bib"] * 3
    assert parts[3].labels["background"] == ["qcd", "bib"]
    one = run("auc", tagger, signal="signal", backgrounds=["bib"])
    assert one.parts[0].values["auc"] == parts[5].values["auc"]


def test_factors_of_a_class_change_the_mixture_of_backgrounds(tagger):
    only_qcd = run("auc", tagger, signal="signal", backgrounds=["qcd"]).parts[0].values["auc"]
    without_bib = run("auc", tagger, signal="signal", factors={"bib": 0.0}).parts[0].values["auc"]
    assert without_bib == pytest.approx(only_qcd, abs=1e-12)


def test_unit_weights_on_request(tagger):
    part = run("efficiency", tagger, weight="none", signal="qcd").parts[0].values
    label = tagger.targets["label"]
    expected = (tagger.outputs["jet_class"].argmax(axis=1)[label == 0] == 0).mean()
    assert part["efficiency"] == pytest.approx(expected, abs=1e-12)


def test_residuals_find_the_shift_and_the_width_that_were_put_in(tagger):
    values = run("residuals", tagger, weight="none").parts[0].values
    assert values["mean"] == pytest.approx(0.1, abs=4 * values["mean_error"])
    assert values["width"] == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("roc", {"of": "nothing"}, "node nothing was not evaluated"),
        ("roc", {"target": "nothing"}, "there is no target nothing"),
        ("roc", {"signal": "nothing"}, "target label has no class nothing"),
        ("auc", {"weight": "nothing"}, "there is no weight nothing"),
        ("roc", {"per": "nothing"}, "there is no column nothing"),
        ("roc", {"per": "event"}, "give bins of one of them"),
        ("weighted_ks", {}, "name the two to compare"),
        ("confusion_matrix", {"target": "is_data", "of": "jet_class"}, "not the classes of target is_data"),
        ("residuals", {"component": 3}, "there is no component 3"),
    ],
)
def test_what_cannot_be_computed_is_null_with_a_reason(tagger, kind, options, reason):
    result = run(kind, tagger, **options).to_json()
    assert result["value"] is None
    assert reason in result["reason"]


def test_scores_that_are_not_finite_make_the_metric_null(tagger):
    scores = tagger.outputs["jet_class"].copy()
    scores[np.flatnonzero(tagger.targets["label"] >= 0)[:3], 1] = np.nan
    broken = replace(tagger, outputs={**tagger.outputs, "jet_class": scores})
    assert "not finite for 3 of" in str(run("roc", broken).reason)


def test_a_class_without_rows_gives_null_where_it_is_needed_and_numbers_elsewhere(tagger):
    label = np.where(tagger.targets["label"] == 2, -1, tagger.targets["label"])
    without = replace(tagger, targets={**tagger.targets, "label": label})
    parts = run("roc", without, signal="signal").parts
    assert [part.values["auc"] is None for part in parts] == [False, False, True]
    assert parts[2].reason == "there is no background row"
    matrix = json.loads(json.dumps(run("confusion_matrix", without).to_json()))["parts"][0]["matrix"]
    assert matrix[2] == [None, None, None]


def test_a_sigmoid_is_the_probability_of_the_second_class():
    predictions = tiny([[0.9], [0.2], [0.7], [0.4]], [1, 0, 1, 0], {})
    assert run("accuracy", predictions).parts[0].values["accuracy"] == 1.0
    part = run("roc", predictions).parts[0]
    assert (part.labels["signal"], part.values["auc"]) == ("data", 1.0)


def test_no_headline_is_lost_where_classes_differ_in_signs_alone():
    lines = tuple(Headline(f"AUC, {signal} against the rest", value) for signal, value in (("e+", 0.8), ("e-", 0.7)))
    found = headline_names([MetricResult("auc", "auc", {}, headlines=lines)])
    assert {name: line.value for name, line in found.items()} == {
        "auc.auc_e_against_the_rest": 0.8,
        "auc.auc_e_against_the_rest_2": 0.7,
    }


def tiny(scores: Any, truth: Any, columns: Any) -> Predictions:
    return Predictions(
        outputs={"is_data": np.asarray(scores)},
        targets={"is_data": np.asarray(truth)},
        weights={"weight": np.ones(len(truth))},
        columns=columns,
        samples=np.full(len(truth), "s"),
        classes={"is_data": ("simulation", "data")},
        trained_on={"is_data": "is_data"},
    )
