"""Weighted accuracy and area under the curve against scikit-learn and against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.statistics import area_under_curve
from engine.training.scores import accuracy, mean_area


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    classes = random.integers(0, 3, 400)
    probabilities = random.dirichlet([1, 1, 1], 400).round(2) + 0.3 * np.eye(3)[classes]
    return probabilities.astype(np.float32), classes, random.uniform(0.1, 2.0, 400)


def test_area_equals_that_of_scikit_learn(scored: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities, classes, weights = scored
    areas = []
    for each in range(3):
        expected = metrics.roc_auc_score(classes == each, probabilities[:, each], sample_weight=weights)
        assert area_under_curve(probabilities[:, each], classes == each, weights) == pytest.approx(expected, abs=1e-12)
        areas.append(expected)
    assert mean_area(probabilities, classes, weights) == pytest.approx(np.mean(areas))


def test_area_counts_pairs_and_half_of_ties() -> None:
    scores, positive = np.array([0.1, 0.5, 0.5, 0.9], np.float32), np.array([False, False, True, True])
    assert area_under_curve(scores, positive, np.ones(4)) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_area_of_one_class_alone_is_not_a_number() -> None:
    assert np.isnan(area_under_curve(np.array([0.1, 0.2], np.float32), np.array([True, True]), np.ones(2)))


def test_accuracy_is_weighted() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], np.float32)
    classes, weights = np.array([0, 1, 1]), np.array([1.0, 3.0, 4.0])
    assert accuracy(probabilities, classes, weights) == pytest.approx(5 / 8)
    assert accuracy(probabilities[:, 1], classes, weights) == pytest.approx(5 / 8)
