"""Residuals, pulls, distances, object selection and discriminants against brute force and toys with known answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.evaluation.differences import covariance_matrices
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.metrics.statistics import core_width, ratio_of_sums, weighted_mean
from engine.evaluation.predictions import Predictions


def run(kind: str, predictions: Predictions, **options: Any) -> MetricResult:
    return compute(kind, kind, options, predictions)


@pytest.fixture(scope="module")
def rows(make_rows) -> Predictions:
    found = make_rows(12_000)
    return replace(found, weights={"weight": np.ones(len(found))})


def test_pulls_with_the_right_covariance_have_width_one_and_chi_squared_one_per_component(rows):
    result = run("residuals", rows, of="vertex.position", covariance="vertex.covariance")
    assert [part.labels["component"] for part in result.parts] == ["x", "y", "z"]
    for part in result.parts:
        assert abs(part.values["pull_width"] - 1) < 4 * part.values["pull_width_error"] < 0.06
        assert abs(part.values["pull_mean"]) < 4 * part.values["pull_mean_error"] < 0.06
        assert part.values["rows"] == (rows.targets["flavour"] > 0).sum()
        assert part.values["pull_beyond"]["3"] == pytest.approx(0.0027, abs=0.0025)
    chi2 = result.facts["chi2_per_component"]
    assert abs(chi2["mean"] - 1) < 4 * chi2["mean_error"]
    assert [line.label for line in result.headlines][:2] == [
        "Mean residual of vertex.position x [mm]",
        "Width of the residuals of vertex.position x (68 %) [mm]",
    ]


def test_a_covariance_may_be_given_as_matrix_triangle_or_variances(rows):
    full = rows.outputs["vertex.covariance"]
    triangle, variances = full[:, [0, 1, 2, 4, 5, 8]], full[:, [0, 4, 8]]
    matrices = covariance_matrices(full.astype(float), 3, "c")
    np.testing.assert_allclose(covariance_matrices(triangle.astype(float), 3, "c"), matrices)
    np.testing.assert_allclose(
        np.diagonal(covariance_matrices(variances.astype(float), 3, "c"), axis1=1, axis2=2), variances
    )
    wrong = replace(rows, outputs={**rows.outputs, "vertex.covariance": full[:, :4]})
    reason = run("residuals", wrong, of="vertex.position", covariance="vertex.covariance").reason
    assert "vertex.covariance has 4 values" in reason


def test_a_covariance_that_is_not_positive_counts_as_not_finite(rows):
    broken = rows.outputs["vertex.covariance"].copy()
    broken[:300, 0] = -1
    wrong = replace(rows, outputs={**rows.outputs, "vertex.covariance": broken})
    result = run("residuals", wrong, of="vertex.position", covariance="vertex.covariance")
    assert result.facts["not_finite"] == (rows.targets["flavour"][:300] > 0).sum()


def test_one_component_can_be_asked_for_by_name_and_number(rows):
    by_name = run("residuals", rows, of="vertex.position", component="y")
    by_number = run("residuals", rows, of="vertex.position", component=1)
    assert by_name.parts == by_number.parts
    assert len(by_name.parts) == 1
    assert "there is no component w" in run("residuals", rows, of="vertex.position", component="w").reason


def test_core_and_tails_are_robust_against_outliers():
    rng = np.random.default_rng(1)
    values = np.r_[rng.normal(0, 2, 20_000), rng.normal(0, 300, 200)]
    width, error = core_width(values, np.ones(len(values)))
    assert abs(width - 2) < 0.1
    samples = [core_width(rng.normal(0, 2, 2000), np.ones(2000))[0] for _ in range(200)]
    assert core_width(rng.normal(0, 2, 2000), np.ones(2000))[1] == pytest.approx(np.std(samples), rel=0.3)
    assert error < 0.05


def test_distance_is_that_of_brute_force_in_every_bin_and_class(rows):
    edges = [0.0, 2.0, 5.0, 40.0]
    result = run(
        "distance",
        rows,
        of="vertex.position",
        by="flavour",
        beyond=[0.5],
        variables=[{"column": "length", "edges": edges}],
    )
    far = np.linalg.norm(rows.outputs["vertex.position"] - rows.targets["vertex"], axis=1)
    for name, index in (("c", 1), ("b", 2)):
        own = rows.targets["flavour"] == index
        inclusive, profile = (part for part in result.parts if part.labels["class"] == name)
        assert inclusive.values["mean"] == pytest.approx(far[own].mean(), rel=1e-5)
        assert inclusive.values["mean_error"] == pytest.approx(far[own].std(ddof=1) / math.sqrt(own.sum()), rel=1e-5)
        assert inclusive.values["beyond"]["0.5"] == pytest.approx((far[own] > 0.5).mean())
        for number in range(3):
            inside = own & (rows.columns["length"] >= edges[number]) & (rows.columns["length"] < edges[number + 1])
            assert profile.curves["mean"][number] == pytest.approx(far[inside].mean(), rel=1e-5)
            assert profile.curves["median"][number] == pytest.approx(np.median(far[inside]), rel=2e-2)


@pytest.mark.parametrize("relative", [False, True])
def test_object_selection_is_that_of_a_loop_over_objects(rows, relative):
    options = {"of": "track_weight", "target": "origin", "classes": ["b", "c"], "threshold": 0.6, "relative": relative}
    part = run("object_selection", rows, **options).parts[0].values
    scores, origin = rows.outputs["track_weight"][..., 0].astype(float), rows.targets["origin"]
    both = right = selected = 0
    for row_scores, row_origin in zip(scores, origin, strict=True):
        largest = max((s for s, o in zip(row_scores, row_origin, strict=True) if o >= 0), default=1.0)
        for score, kind in zip(row_scores, row_origin, strict=True):
            if kind >= 0:
                chosen = score > 0.6 * (largest if relative else 1.0)
                both, right, selected = both + (chosen and kind < 2), right + (kind < 2), selected + chosen
    assert part["efficiency"] == pytest.approx(both / right)
    assert part["purity"] == pytest.approx(both / selected)


def test_errors_of_object_ratios_allow_for_objects_that_go_together():
    rng = np.random.default_rng(2)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        count = rng.integers(1, 10, 400)
        return np.where(rng.random(400) < 0.5, count, 0), count  # all objects of a row pass, or none

    ratios = [ratio_of_sums(*sample(), np.ones(400))[0] for _ in range(500)]
    error = ratio_of_sums(*sample(), np.ones(400))[1]
    assert error == pytest.approx(np.std(ratios), rel=0.15)
    assert error > 1.5 * math.sqrt(0.25 / 2000)  # what objects on their own would have


def test_object_and_pair_targets_are_classes_for_the_usual_metrics(rows):
    pairs = run("auc", rows, of="pairing").parts[0]
    truth, scores = rows.targets["same_vertex"], rows.outputs["pairing"][..., 0]
    present = np.isfinite(truth)
    positive, negative = scores[present & (truth == 1)], scores[present & (truth == 0)]
    chosen = np.random.default_rng(3)
    wins = chosen.choice(positive, 200_000) > chosen.choice(negative, 200_000)
    assert pairs.values["auc"] == pytest.approx(wins.mean(), abs=0.005)
    assert pairs.labels["signal"] == "same_vertex"
    reason = run("roc", rows, of="track_weight", target="origin", signal="b").parts[0].reason
    assert reason == "output track_weight has no value for class b; its values are 0"


def test_an_output_of_rows_is_not_compared_with_a_target_of_objects(rows):
    assert "they cannot be compared" in run("auc", rows, of="jet_class", target="origin").reason
    assert "they cannot be compared" in run("residuals", rows, of="distance", target="same_vertex").reason


def test_the_discriminant_rejects_as_counting_does(rows):
    points = [0.6, 0.85]
    result = run("discriminant", rows, signal="signal", fractions={"qcd": 0.8}, working_points=points)
    assert result.facts["fractions"] == pytest.approx({"qcd": 0.8, "bib": 0.2})
    scores, label = rows.outputs["jet_class"].astype(float), rows.targets["label"]
    value = np.log(scores[:, 1] / (0.8 * scores[:, 0] + 0.2 * scores[:, 2]))
    for background, index in (("qcd", 0), ("bib", 2)):
        part = next(part for part in result.parts if part.labels["background"] == [background])
        for point in part.values["working_points"]:
            threshold = np.quantile(value[label == 1], 1 - point["signal_efficiency"])
            passed = (value[label == index] >= threshold).mean()
            count = (label == index).sum()
            assert point["rejection"] == pytest.approx(1 / passed, rel=0.03)
            expected = math.sqrt(passed * (1 - passed) / count) / passed**2
            assert point["rejection_error"] == pytest.approx(expected, rel=0.1)


def test_the_scan_goes_through_the_chosen_fraction_and_ends_at_single_backgrounds(rows):
    scan = {"fraction": "qcd", "values": [0.0, 0.8, 1.0], "working_points": [0.7]}
    result = run("discriminant", rows, signal="signal", fractions={"qcd": 0.8}, working_points=[0.7], scan=scan)
    for background in ("qcd", "bib"):
        own = [part for part in result.parts if part.labels["background"] == [background]]
        chosen = next(part for part in own if part.labels["group"] == "all").values["working_points"][0]
        scanned = next(part for part in own if part.labels["group"] == "scan").curves
        assert scanned["rejection"][1] == pytest.approx(chosen["rejection"], rel=0.02)
    qcd = next(p for p in result.parts if p.labels["background"] == ["qcd"] and p.labels["group"] == "scan").curves
    bib = next(p for p in result.parts if p.labels["background"] == ["bib"] and p.labels["group"] == "scan").curves
    assert qcd["rejection"][2] > qcd["rejection"][0]
    assert bib["rejection"][0] > bib["rejection"][2]


def test_fractions_that_mean_nothing_are_told(rows):
    assert "one of them must be above 0" in run("discriminant", rows, signal="signal", fractions={"signal": 1.0}).reason
    assert "no class q" in run("discriminant", rows, signal="signal", fractions={"q": 1.0}).reason


def test_the_error_of_a_mean_is_that_of_few_rows_too():
    rng = np.random.default_rng(4)
    toys = [weighted_mean(rng.normal(size=3), np.ones(3)) for _ in range(4000)]
    assert np.mean([error**2 for _, error, _ in toys]) == pytest.approx(np.var([mean for mean, *_ in toys]), rel=0.06)
    assert np.isnan(weighted_mean(np.ones(1), np.ones(1))[1])


def test_a_bin_of_one_row_has_the_spread_of_all_rows_as_its_error(rows):
    present = np.isfinite(rows.targets["vertex"][:, 0])
    longest = float(rows.columns["length"][present].max())
    edges = [0, longest, longest + 1]
    result = run("distance", rows, of="vertex.position", variables=[{"column": "length", "edges": edges}])
    profile = result.parts[1].curves
    assert profile["rows"].tolist() == [present.sum() - 1, 1]
    assert profile["mean_error"][1] == pytest.approx(profile["mean_error"][0] * np.sqrt(present.sum()), rel=0.01)
