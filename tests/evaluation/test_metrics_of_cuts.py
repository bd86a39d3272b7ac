"""Shapes after a cut, binomial tests, importance sampling, precision and recall: against toys and other programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, kstest
from sklearn.metrics import average_precision_score, precision_recall_curve

from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.metrics.precision_recall import average_precision
from engine.evaluation.metrics.precision_recall import precision_recall_curve as own_curve
from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.metrics.statistics import binomial_probability, chi2_probability, wilson_interval
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import quantity
from engine.evaluation.shapes import shapes
from engine.evaluation.variables import make_variables

TOYS = 600


def filtered(rows: int, seed: int, bias: float = 0.0) -> Predictions:
    """Rows with a mass and a multiplicity, a score that keeps a third, and a second score for what it is biased by."""
    rng = np.random.default_rng(seed)
    mass, tracks = rng.normal(5, 1, rows), rng.poisson(4, rows)
    chance = 1 / (1 + np.exp(-(bias * (mass - 5) - 0.7)))
    passes = (rng.random(rows) < chance).astype(np.float32)
    return Predictions(
        outputs={"passes": passes[:, None], "bias": chance[:, None].astype(np.float32)},
        targets={"label": (rng.random(rows) < 0.3).astype(np.int32)},
        weights={"weight": rng.exponential(1.0, rows)},
        columns={"mass": mass, "tracks": tracks},
        samples=np.full(rows, "events"),
        classes={"label": ("fail", "pass")},
        trained_on={"passes": "label"},
    )


def run(kind: str, predictions: Predictions, **options: Any) -> MetricResult:
    return compute(kind, kind, options, predictions)


def toy_shapes(weighted: bool, reweighted: bool, seed: int, bias: float = 0.0):
    """Shapes before and after a cut that does not depend on the variable, but for what re-weighting removes."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(6000 if weighted else 1500)
    index = np.minimum((rng.random(count) ** 2 * 6).astype(int), 5)
    group = (rng.random(count) * 4).astype(int)
    index = np.where(rng.random(count) < 0.5, index, (index + group) % 6)
    chance = 0.2 + 0.15 * group * bias
    passes = rng.random(count) < chance
    weights = rng.exponential(1.0, count) if weighted else np.ones(count)
    factors = passes * (rng.uniform(0.5, 2, count) if weighted else 1.0)
    return shapes(index, 6, weights, factors, group if reweighted else None)


@pytest.mark.parametrize(
    ("weighted", "reweighted", "bias"), [(False, False, 0.0), (True, False, 0.0), (False, True, 1.0), (True, True, 1.0)]
)
def test_pulls_of_shapes_have_width_one_although_the_rows_are_shared(weighted, reweighted, bias):
    toys = [toy_shapes(weighted, reweighted, seed, bias) for seed in range(TOYS)]
    pulls = np.stack([toy.pull for toy in toys])
    assert np.abs(pulls.mean(axis=0)).max() < 5 / np.sqrt(TOYS)
    assert np.abs(pulls.std(axis=0) - 1).max() < 5 / np.sqrt(2 * TOYS)
    ratios, errors = (np.stack(each) for each in zip(*(toy.asymmetry for toy in toys), strict=True))
    assert np.abs((ratios / errors).std(axis=0) - 1).max() < 5 / np.sqrt(2 * TOYS)
    found = [toy.chi2 for toy in toys]
    assert {degrees for _, degrees, _ in found} == {5}
    assert kstest([probability for *_, probability in found], "uniform").pvalue > 1e-3


def test_errors_without_the_correlation_would_be_wrong():
    toys = [toy_shapes(False, False, seed) for seed in range(300)]
    naive = [t.difference[0] / np.sqrt(np.diag(t.before_covariance + t.after_covariance)) for t in toys]
    assert np.stack(naive).std(axis=0).max() < 0.92


@pytest.mark.parametrize("reweighted", [False, True])
def test_the_spread_of_shapes_over_toys_is_the_error_that_is_given(reweighted):
    toys = [toy_shapes(True, reweighted, seed, 1.0) for seed in range(TOYS)]
    for values, covariance in (("before", "before_covariance"), ("after", "after_covariance")):
        spread = np.stack([getattr(toy, values) for toy in toys]).std(axis=0)
        given = np.sqrt(np.mean([np.diag(getattr(toy, covariance)) for toy in toys], axis=0))
        np.testing.assert_allclose(given, spread, rtol=0.2)


def test_unweighted_shapes_have_the_multinomial_covariance():
    found = toy_shapes(False, False, 4)
    count = round(found.before[0] / (found.before_covariance[0, 0] / (1 - found.before[0])))
    expected = (np.diag(found.before) - np.outer(found.before, found.before)) / count
    np.testing.assert_allclose(found.before_covariance, expected, rtol=1e-9, atol=1e-15)


def test_bins_of_one_row_and_bins_in_which_nothing_passes_have_errors():
    index = np.r_[np.arange(60) % 3, 3, 4, np.full(9, 5)]
    passes = np.r_[np.arange(60) % 4 > 0, True, False, np.zeros(9, bool)]
    ratio, error = shapes(index, 6, np.ones(71), passes.astype(float)).asymmetry
    assert ratio[3:] == pytest.approx([(1 - 71 / 46) / (1 + 71 / 46), 1, 1])
    assert (error[:3] > 0).all()
    assert error[3] > error[:3].max(), "one row that passes"
    assert error[4] > error[5] > 0, "one row of none, nine rows of none that pass"
    high = wilson_interval(0.0, 9)[1] * 71 / 46
    assert error[5] == pytest.approx((1 - (1 - high) / (1 + high)) / 2, rel=1e-3)


def test_everything_that_passes_leaves_no_difference_and_no_pull():
    index = np.arange(60) % 5
    found = shapes(index, 5, np.ones(60), np.ones(60))
    assert found.asymmetry[0].tolist() == [0.0] * 5
    assert np.isnan(found.pull).all()
    assert found.chi2[1:] == (0, 1.0)


def test_a_cut_on_the_variable_itself_is_seen_and_reweighting_removes_it():
    rows = filtered(40_000, 1, bias=0.8)
    variables = [{"column": "mass", "bins": 12, "range": [2.5, 7.5]}]
    plain = run("asymmetry", rows, cut="passes > 0.5", weight="none", variables=variables).parts[0]
    assert plain.values["p_value"] < 1e-10
    assert plain.curves["asymmetry"][0] > 5 * plain.curves["asymmetry_error"][0]  # before - after: low masses are lost
    options = {"cut": "passes > 0.5", "weight": "none", "variables": variables}
    reweighted = run("pull", rows, **options, reweight={"of": "bias", "bins": 50}).parts[0]
    assert reweighted.values["p_value"] > 1e-3
    weighted = run("pull", rows, **options, cut_weight="1 / bias").parts[0]
    assert weighted.values["p_value"] > 1e-3


def test_the_probability_of_chi_squared_is_that_of_scipy():
    for value, degrees in ((0.5, 1), (12.3, 7), (200.0, 150)):
        assert chi2_probability(value, degrees) == pytest.approx(chi2.sf(value, degrees), rel=1e-10)


@pytest.mark.parametrize(("passed", "count", "fraction"), [(0, 7, 0.3), (7, 7, 0.3), (3, 10, 0.3), (130, 400, 0.29)])
def test_binomial_probabilities_are_those_of_scipy(passed, count, fraction):
    expected = binomtest(passed, count, fraction).pvalue
    assert binomial_probability(passed, count, fraction) == pytest.approx(expected, rel=1e-9)


def test_binomial_probabilities_of_all_numbers_are_those_of_scipy():
    for count, fraction in ((1, 0.5), (6, 0.5), (23, 0.11), (3000, 0.4)):
        for passed in range(0, count + 1, max(1, count // 25)):
            expected = binomtest(passed, count, fraction).pvalue
            assert binomial_probability(passed, count, fraction) == pytest.approx(expected, rel=1e-8, abs=1e-300)
    assert binomial_probability(5, 5, 1.0) == 1.0


def test_the_binomial_test_counts_rows_in_discrete_bins():
    rows = filtered(5000, 2)
    part = run("binomial", rows, cut="passes > 0.5", variables=["tracks"]).parts[0]
    passes, tracks = rows.outputs["passes"][:, 0] > 0.5, rows.columns["tracks"]
    for number, value in enumerate(np.unique(tracks)):
        inside = tracks == value
        assert part.curves["before"][number] == inside.sum()
        assert part.curves["after"][number] == (inside & passes).sum()
        expected = binomtest(int((inside & passes).sum()), int(inside.sum()), passes.mean()).pvalue
        assert part.curves["p_value"][number] == pytest.approx(expected, rel=1e-8)
        band = np.sqrt(inside.sum() * passes.mean() * (1 - passes.mean()))
        assert part.curves["expected_error"][number] == pytest.approx(band)


def test_importance_sampling_is_unbiased_and_its_effective_rows_are_as_expected():
    rows = filtered(30_000, 3, bias=1.0)
    options = {"probability": "bias", "target": "label", "signal": "pass", "variables": ["mass", "tracks"]}
    sums, effective, probabilities = [], [], []
    for seed in range(60):
        result = run("importance_sampling", rows, **options, weight="none", seed=seed)
        values = result.parts[0].values
        sums.append((values["sum_of_weights_after"] - values["sum_of_weights"]) / values["sum_of_weights_after_error"])
        effective.append(values["effective_rows"])
        probabilities.append(result.parts[2].values["p_value"])
    assert abs(np.mean(sums)) < 4 / np.sqrt(60)
    assert 0.6 < np.std(sums) < 1.4
    assert np.mean(effective) == pytest.approx(values["effective_rows_expected"], rel=0.02)
    assert kstest(probabilities, "uniform").pvalue > 1e-3


def test_sampling_with_one_probability_gains_nothing_and_with_a_good_one_something():
    rows = filtered(20_000, 4)
    flat = run("importance_sampling", rows, probability="0.3", target="label", weight="none")
    assert flat.parts[1].values["gain"] == pytest.approx(1.0, rel=1e-6)
    good = replace(rows, columns={**rows.columns, "p": np.where(rows.targets["label"] == 1, 0.9, 0.1)})
    gain = run("importance_sampling", good, probability="p", target="label", weight="none").parts[1].values["gain"]
    share = (rows.targets["label"] == 1).mean()
    assert gain == pytest.approx(0.9 / (0.9 * share + 0.1 * (1 - share)), rel=1e-6)
    never = run("importance_sampling", good, probability="p - 0.1", weight="none").parts[0].values
    assert never["never_accepted"] == (rows.targets["label"] == 0).sum()


def test_average_precision_is_that_of_scikit_learn_with_weights_and_ties():
    rng = np.random.default_rng(5)
    for digits in (1, 6):
        truth, weights = rng.random(3000) < 0.2, rng.exponential(1, 3000)
        scores = np.round(rng.normal(truth, 1.0), digits)
        expected = average_precision_score(truth, scores, sample_weight=weights)
        assert average_precision(scores, truth, weights)[0] == pytest.approx(expected, rel=1e-9)
        recall, precision, thresholds = own_curve(scores, truth, weights)
        theirs = precision_recall_curve(truth, scores, sample_weight=weights)
        np.testing.assert_allclose(recall[::-1], theirs[1][:-1], atol=1e-9)
        np.testing.assert_allclose(precision[::-1], theirs[0][:-1], atol=1e-9)
        np.testing.assert_allclose(thresholds[::-1], theirs[2])


def test_the_error_of_average_precision_is_the_spread_of_repeated_samples():
    rng = np.random.default_rng(6)

    def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = rng.random(800) < 0.3
        return rng.normal(1.2 * truth, 1.0), truth, rng.exponential(1.0, 800)

    found = np.asarray([average_precision(*sample()) for _ in range(500)])
    assert np.mean(found[:, 1]) == pytest.approx(np.std(found[:, 0]), rel=0.12)


def test_selections_and_weights_are_expressions_of_columns_and_outputs():
    rows = filtered(4000, 7)
    whole = run("auc", rows, weight="none", selection="mass > 5 and bias < 0.6")
    keep = (rows.columns["mass"] > 5) & (rows.outputs["bias"][:, 0] < 0.6)
    assert whole.parts == run("auc", rows.of_rows(keep), weight="none").parts
    by_weight = run("accuracy", rows, weight="2 * weights.weight + mass").parts[0].values["accuracy"]
    weights = 2 * rows.weights["weight"] + rows.columns["mass"]
    right = (rows.outputs["passes"][:, 0] > 0.5) == (rows.targets["label"] == 1)
    assert by_weight == pytest.approx((weights * right).sum() / weights.sum())
    assert "no row of the test split passes" in run("auc", rows, selection="mass > 1e9").reason


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mas > 1", "there is no column and no output mas"),
        ("sum(mass)", "is for objects"),
        ("mass >", "the expression ends too early"),
        ("targets.label.q", "target label has no value q"),
        ("weights.w", "there is no weight w"),
    ],
)
def test_expressions_that_mean_nothing_are_told(text, sentence):
    assert sentence in run("auc", filtered(50, 8), selection=text).reason


def test_names_of_targets_classes_and_values_of_outputs():
    rows = filtered(50, 9)
    np.testing.assert_array_equal(quantity(rows, "targets.label.pass"), rows.targets["label"] == 1)
    np.testing.assert_array_equal(quantity(rows, "outputs.passes.pass"), rows.outputs["passes"][:, 0])
    np.testing.assert_array_equal(quantity(rows, "columns.mass * 0 + 3"), np.full(50, 3.0))


def test_bins_of_variables_are_equal_logarithmic_discrete_or_given():
    rows = filtered(3000, 10)
    equal, logarithmic, discrete, given, expression = make_variables(
        rows,
        [
            {"column": "mass", "bins": 10, "range": [2, 8]},
            {"column": "mass", "bins": 3, "range": [1, 8], "log": True},
            "tracks",
            {"column": "mass", "edges": [0, 5, 6]},
            {"column": "mass * tracks", "name": "product"},
        ],
    )
    np.testing.assert_allclose(equal.edges, np.linspace(2, 8, 11))
    np.testing.assert_allclose(logarithmic.edges, [1, 2, 4, 8])
    assert discrete.look["values"] == np.unique(rows.columns["tracks"]).tolist()
    assert given.sums(np.ones(3000)).tolist() == [(rows.columns["mass"] < 5).sum(), given.sums(np.ones(3000))[1]]
    assert (expression.name, expression.bins) == ("product", 30)
    assert (equal.index[(rows.columns["mass"] < 2) | (rows.columns["mass"] > 8)] == -1).all()
