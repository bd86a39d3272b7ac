"""Fitted transforms and derived weights: fixed by the training split, the same for every row."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_kernels.sanitize.transforms import apply

from engine.data.fits import Statistics, feature_transform
from engine.data.prepare import prepare
from engine.errors import DataError

SPEC = """
collections:
  event: {id: id, weight: w, kind: kind}
  jets: {x: x, y: y}
samples: {all: {files: [], rows: event}}
inputs:
  jet:
    of: event
    features:
      x: {expression: first(jets.x), clip: fit, range: [-1, 1]}
      y: {expression: first(jets.y), scale: fit}
      z: {expression: first(jets.y), abs: true, log1p: true, clip: [0, 2], scale: fit}
  jets: {of: jets, keep: 4, features: {x: {scale: fit}}}
targets: {kind: {classes: {a: 0, b: 1, c: 2}, expression: event.kind}}
columns: {id: event.id, x: first(jets.x)}
split: {by: [id], train: 0.6, validation: 0.2, test: 0.2}
"""


def dataset(section, folder: Path, **changes):
    rng = np.random.default_rng(7)
    n = 4000
    counts = rng.integers(1, 4, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    lists = {
        name: pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(rng.normal(3, 2, offsets[-1])))
        for name in ("x", "y")
    }
    table = {"id": np.arange(n), "w": rng.exponential(1, n), "kind": rng.choice(4, n, p=[0.5, 0.3, 0.1, 0.1]), **lists}
    pq.write_table(pa.table(table), folder / "a.parquet")
    data = section(SPEC, samples={"all": {"files": [str(folder / "a.parquet")], "rows": "event"}}, **changes)
    return data, prepare(data, folder / "prepared", 1)


def training(prepared, name):
    """Stored values of an input and which of its rows are training rows."""
    segment = prepared.segments[0]
    offsets, values = segment.inputs[name]
    chosen = segment.column("split") == 0
    return values, chosen if offsets is None else np.repeat(chosen, np.diff(offsets))


def test_fits_are_those_of_the_training_split_alone(section, tmp_path):
    _, prepared = dataset(section, tmp_path)
    values, chosen = training(prepared, "jet")
    fitted = apply(values, prepared.transforms("jet"))[chosen]
    assert fitted[:, 0].min() == pytest.approx(-1, abs=1e-6)
    assert fitted[:, 0].max() == pytest.approx(1, abs=1e-6)
    for column in (1, 2):
        assert fitted[:, column].mean() == pytest.approx(0, abs=1e-6)
        assert fitted[:, column].std() == pytest.approx(1, abs=1e-6)
    x = values[:, 0].astype(float)
    assert prepared.transforms("jet")[0].low == x[chosen].min() > x.min()
    objects, chosen = training(prepared, "jets")
    assert apply(objects, prepared.transforms("jets"))[chosen].mean() == pytest.approx(0, abs=1e-5)


def test_streamed_statistics_are_those_of_all_values():
    values = np.random.default_rng(3).normal(1e6, 1e-3, 10_000)
    statistics = Statistics()
    for part in np.split(values, [10, 10, 4000]):
        statistics.add(part)
    assert statistics.mean == pytest.approx(values.mean(), rel=1e-14)
    assert statistics.deviation == pytest.approx(values.std(), rel=1e-6)
    assert (statistics.low, statistics.high) == (values.min(), values.max())


def test_feature_that_is_always_the_same_is_not_divided_by_zero(section):
    text = SPEC.replace("{expression: first(jets.x), clip: fit, range: [-1, 1]}", "{clip: fit, range: [-1, 1]}")
    features = section(text, samples={"all": {"files": ["none.parquet"], "rows": "event"}}).inputs["jet"].features
    same = Statistics()
    same.add(np.full(10, 5.0))
    limits, spread = feature_transform(features["x"], same), feature_transform(features["y"], same)
    assert (limits.scale, limits.offset) == (0, -1)
    assert (spread.scale, spread.offset) == (1, -5)
    nothing = feature_transform(features["x"], Statistics())
    assert (nothing.low, nothing.high, nothing.scale) == (-math.inf, math.inf, 1)


def sums(prepared, name, split="train"):
    rows = prepared.rows(["all"], split)
    read = prepared.read([f"weight:{name}", "weight", "target:kind", "column:x"], rows)
    return read[f"weight:{name}"], read["weight"], read["target:kind"], read["column:x"]


def test_balanced_classes_have_the_sum_of_the_reference(section, tmp_path):
    weights = {"last": {"balance": "kind"}, "first": {"balance": "kind", "to": "a"}}
    _, prepared = dataset(section, tmp_path, weights=weights)
    for name, reference in (("last", 2), ("first", 0)):
        derived, own, kind, _ = sums(prepared, name)
        for number in range(3):
            assert derived[kind == number].sum() == pytest.approx(own[kind == reference].sum(), rel=1e-12)
        np.testing.assert_array_equal(derived[kind == reference], own[kind == reference])
        np.testing.assert_array_equal(derived[kind == -1], own[kind == -1])


def test_classes_balanced_to_their_mean_keep_the_sum_of_all_weights(section, tmp_path):
    """With weights of 1: n / (classes * n of the class), the balanced class weights of scikit-learn."""
    _, prepared = dataset(section, tmp_path, weights={"own": {"balance": "kind", "to": "mean"}})
    derived, own, kind, _ = sums(prepared, "own")
    known = kind >= 0
    assert derived[known].sum() == pytest.approx(own[known].sum(), rel=1e-12)
    for number in range(3):
        chosen = kind == number
        factor = own[known].sum() / (3 * own[chosen].sum())
        np.testing.assert_allclose(derived[chosen], factor * own[chosen], rtol=1e-12)


def test_factors_of_the_training_split_hold_for_every_row(section, tmp_path):
    _, prepared = dataset(section, tmp_path, weights={"last": {"balance": "kind"}})
    train, test = sums(prepared, "last"), sums(prepared, "last", "test")
    for number in range(3):
        factor = (train[0] / train[1])[train[2] == number][0]
        np.testing.assert_allclose((test[0] / test[1])[test[2] == number], factor)


BINS = [0, 2, 3, 4, "inf"]


def shares(weight, x):
    return np.histogram(np.clip(x, 0, 1e9), [0, 2, 3, 4, np.inf], weights=weight)[0]


def test_reweighted_classes_have_the_distribution_of_the_reference(section, tmp_path):
    _, prepared = dataset(section, tmp_path, weights={"shape": {"reweight": "x", "bins": BINS, "to": "c"}})
    derived, own, kind, x = sums(prepared, "shape")
    wanted = shares(own[kind == 2], x[kind == 2])
    for number in range(2):
        chosen = kind == number
        found = shares(derived[chosen], x[chosen])
        np.testing.assert_allclose(found / found.sum(), wanted / wanted.sum(), rtol=1e-12)
        assert found.sum() == pytest.approx(own[chosen].sum(), rel=1e-12)


def test_flat_reweighting_and_balance_together(section, tmp_path):
    weight = {"reweight": "x", "bins": BINS, "to": "flat", "balance": "kind"}
    _, prepared = dataset(
        section, tmp_path, weights={"flat": weight, "twice": {"of": "flat", "balance": "kind", "to": "a"}}
    )
    derived, own, kind, x = sums(prepared, "flat")
    for number in range(3):
        np.testing.assert_allclose(
            shares(derived[kind == number], x[kind == number]), own[kind == 2].sum() / 4, rtol=1e-12
        )
    again, *_ = sums(prepared, "twice")
    np.testing.assert_allclose(again[kind >= 0], derived[kind >= 0], rtol=1e-12)


def test_class_without_training_weight_cannot_be_the_reference(section, tmp_path):
    targets = {"kind": {"classes": {"a": 0, "none": 9}, "expression": "event.kind"}}
    with pytest.raises(DataError, match=r"weights\.w brings the classes of kind .* none, which is 0 in the"):
        dataset(section, tmp_path, targets=targets, weights={"w": {"balance": "kind"}})


def test_weights_that_are_not_finite_are_an_error(section, tmp_path):
    samples = {
        "all": {
            "files": [str(tmp_path / "a.parquet")],
            "rows": "event",
            "weight": "where(event.kind == 1 and event.id % 50 == 7, 1 / 0, 1)",
        }
    }
    dataset(section, tmp_path)
    with pytest.raises(DataError, match=r"weights\.w cannot be fixed"):
        prepare(section(SPEC, samples=samples, weights={"w": {"balance": "kind"}}), tmp_path / "other", 1)
