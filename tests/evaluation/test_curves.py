"""ROC, area, K-S and confusion matrix against other programs, on any scores and weights."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.metrics import roc
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.metrics.roc import area_error, roc_curve, working_point
from engine.evaluation.metrics.statistics import effective_count, kolmogorov_probability, wilson_interval
from engine.evaluation.metrics.weighted_ks import ks_distance
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import UnavailableError
from engine.statistics import area_under_curve
from engine.training import scores


@st.composite
def weighted_rows(draw):
    """Scores with many ties, truth with both classes, weights of which some are zero."""
    rows = draw(st.integers(2, 60))
    scores = np.asarray(draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows))) / 8
    truth = np.asarray(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    truth[:2] = [True, False]
    weights = np.asarray(draw(st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=rows, max_size=rows)))
    weights[:2] = 1.0
    return scores, truth, weights


@settings(max_examples=150, deadline=None)
@given(weighted_rows())
def test_roc_curve_is_that_of_scikit_learn(rows):
    scores, truth, weights = rows
    background, signal, _ = sklearn.metrics.roc_curve(truth, scores, sample_weight=weights, drop_intermediate=False)
    curve = roc_curve(scores, truth, weights)
    assert area_under_curve(scores, truth, weights) == pytest.approx(sklearn.metrics.auc(background, signal), abs=1e-12)
    same = np.unique(np.round(np.column_stack([curve.background, curve.signal]), 12), axis=0)
    expected = np.unique(np.round(np.column_stack([background, signal]), 12), axis=0)
    np.testing.assert_allclose(same, expected, atol=1e-11)


@settings(max_examples=50, deadline=None)
@given(weighted_rows())
def test_area_is_the_probability_of_the_right_order_with_signed_weights_too(rows):
    scores, truth, weights = rows
    weights = np.where(np.arange(len(weights)) % 5 == 4, -0.1, weights)
    if weights[truth].sum() <= 0 or weights[~truth].sum() <= 0:
        return
    pairs = weights[truth][:, None] * weights[~truth][None, :]
    order = np.sign(scores[truth][:, None] - scores[~truth][None, :]) / 2 + 0.5
    assert area_under_curve(scores, truth, weights) == pytest.approx((pairs * order).sum() / pairs.sum(), abs=1e-10)


def test_error_of_the_area_is_the_spread_of_repeated_samples():
    rng = np.random.default_rng(1)
    areas, errors = [], []
    for _ in range(300):
        truth = np.arange(300) < 100
        scores, weights = rng.normal(truth, 1), rng.exponential(1, 300)
        areas.append(area_under_curve(scores, truth, weights))
        errors.append(area_error(scores, truth, weights))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.12)


def test_rejection_error_is_the_spread_of_repeated_samples():
    rng = np.random.default_rng(2)
    points = []
    for _ in range(300):
        truth = np.arange(6000) < 3000
        points.append(working_point(roc_curve(rng.normal(1.5 * truth, 1), truth, rng.exponential(1, 6000)), 0.5))
    efficiency = [point["background_efficiency"] for point in points]
    assert np.mean(efficiency) == pytest.approx(scipy.stats.norm.sf(1.5), rel=0.03)
    spread = np.std(efficiency)
    assert spread * 0.7 < np.mean([point["background_efficiency_error"] for point in points]) < spread * 1.1


def test_working_point_is_the_strictest_threshold_that_reaches_the_efficiency():
    curve = roc_curve(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), np.ones(4))
    point = working_point(curve, 0.5)
    assert (point["threshold"], point["rejection"], point["reason"]) == (0.9, None, "no background row passes")
    assert working_point(curve, 1.0)["rejection"] == pytest.approx(2.0)


@pytest.mark.parametrize("count", [1, 40, 3000])
def test_where_no_background_row_passes_the_rejection_has_a_limit(count):
    truth = np.arange(count + 10) < 10
    point = working_point(roc_curve(truth * 1.0, truth, np.ones(count + 10)), 0.5)
    largest = scipy.stats.binomtest(0, count, alternative="less").proportion_ci(0.95, method="exact").high
    assert point["rejection"] is None
    assert point["rejection_limit"] == pytest.approx(1 / largest)
    assert (1 - 1 / point["rejection_limit"]) ** count == pytest.approx(0.05)


def test_weights_lower_the_limit_to_that_of_the_effective_rows_and_signed_sums_have_none():
    truth = np.arange(60) < 10
    weights = np.where(np.arange(60) % 2 == 0, 1.0, 5.0)
    point = working_point(roc_curve(truth * 1.0, truth, weights), 0.5)
    alone = working_point(roc_curve(truth * 1.0, truth, np.ones(60)), 0.5)
    share = effective_count(weights[10:]) / 50
    assert point["rejection_limit"] == pytest.approx(share * alone["rejection_limit"], rel=0.02)
    signed = roc_curve(np.array([0.9, 0.9, 0.8, 0.1]), np.array([True, False, False, False]), np.array([1.0, -1, 1, 3]))
    assert "rejection_limit" not in working_point(signed, 1.0)
    assert working_point(signed, 1.0)["reason"].startswith("the weights of the background that passes")


@pytest.mark.parametrize("truth", [np.ones(4, bool), np.zeros(4, bool)])
def test_a_class_without_rows_has_no_curve(truth):
    with pytest.raises(UnavailableError, match="there is no"):
        roc_curve(np.arange(4.0), truth, np.ones(4))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.lists(st.integers(0, 9), min_size=2, max_size=40))
def test_ks_distance_with_unit_weights_is_that_of_scipy(first, second):
    ones = np.ones(len(first)), np.ones(len(second))
    found = ks_distance(np.asarray(first, float), ones[0], np.asarray(second, float), ones[1])
    assert found == pytest.approx(scipy.stats.ks_2samp(first, second, method="asymp").statistic, abs=1e-12)


def test_a_row_of_weight_two_counts_as_two_rows_in_the_ks_distance():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5])
    weighted = ks_distance(first, np.array([1.0, 2.0, 1.0]), second, np.ones(2))
    assert weighted == pytest.approx(ks_distance(np.array([1.0, 2, 2, 3]), np.ones(4), second, np.ones(2)))


def test_probability_of_a_distance_is_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        a, b, wa, wb = rng.normal(size=200), rng.normal(size=300), rng.uniform(0.5, 1.5, 200), np.ones(300)
        na, nb = effective_count(wa), effective_count(wb)
        found.append(kolmogorov_probability(ks_distance(a, wa, b, wb), na * nb / (na + nb)))
    assert np.mean(np.asarray(found) < 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 10), (1.0, 7), (0.3, 50)])
def test_wilson_interval_holds_the_fraction_and_has_width_even_at_the_ends(fraction, count):
    low, high = wilson_interval(fraction, count)
    assert 0 <= low <= fraction <= high <= 1
    assert high - low > 0.5 / count
    assert wilson_interval(fraction, 10_000 * count)[1] == pytest.approx(fraction, abs=0.01)


def test_confusion_matrix_is_that_of_scikit_learn(tagger: Predictions):
    keep = tagger.targets["label"] >= 0
    truth, highest = tagger.targets["label"][keep], tagger.outputs["jet_class"][keep].argmax(axis=1)
    weights = tagger.weights["weight"][keep]
    for ours, theirs in (("truth", "true"), ("prediction", "pred"), ("none", None)):
        values = compute("confusion_matrix", "c", {"normalise": ours}, tagger).parts[0].values
        expected = sklearn.metrics.confusion_matrix(truth, highest, sample_weight=weights, normalize=theirs)
        np.testing.assert_allclose(values["matrix"], expected, rtol=1e-12)
    accuracy = compute("accuracy", "a", {}, tagger).parts[0].values["accuracy"]
    assert accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, highest, sample_weight=weights), abs=1e-12)


def test_area_and_its_error_do_not_depend_on_the_unit_of_the_weights():
    random = np.random.default_rng(4)
    is_signal, values, weights = random.random(80) < 0.4, random.random(80), random.uniform(0.5, 1.5, 80)
    for factor in (1e-300, 1e300):
        area = area_under_curve(values, is_signal, weights * factor)
        assert area == pytest.approx(area_under_curve(values, is_signal, weights))
        error = area_error(values, is_signal, weights * factor)
        assert error == pytest.approx(area_error(values, is_signal, weights))


def test_training_and_evaluation_have_the_same_area():
    assert scores.area_under_curve is roc.area_under_curve is area_under_curve
