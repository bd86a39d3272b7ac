"""Made-up predictions of a tagger with an adversary and of a regression, with known separation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.predictions import Predictions

CLASSES = ("qcd", "signal", "bib")
MASSES = np.array([[60, 5], [125, 16], [125, 55], [400, 100], [600, 150], [1000, 275]])


def make_predictions(rows: int, seed: int = 5, which: str = "test") -> Predictions:
    """Tagger rows and, a quarter of them, control rows whose data are a little more signal-like than the simulation."""
    rng = np.random.default_rng(seed)
    control = rng.random(rows) < 0.25
    label = np.where(control, -1, rng.choice(3, rows, p=[0.5, 0.25, 0.25]))
    is_data = np.where(control, rng.integers(0, 2, rows), -1)
    mean = np.zeros((rows, 3))
    mean[np.arange(rows), np.where(control, 0, label)] = 1.8
    mean[:, 1] += 0.15 * (is_data == 1)
    logits = mean + rng.normal(size=(rows, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    adversary = 1 / (1 + np.exp(-rng.normal(0.1 * (is_data == 1), 0.3)))
    qcd_like = (label == 0) | (is_data == 0)
    weight = np.where(qcd_like, rng.exponential(2.0, rows), 1.0)
    masses = np.where((label == 1)[:, None], MASSES[rng.integers(0, len(MASSES), rows)], 0)
    truth = rng.normal(10, 3, rows)
    vertexing = make_vertexing(rng, rows)
    return Predictions(
        outputs={
            "jet_class": scores.astype(np.float32),
            "is_data": adversary[:, None].astype(np.float32),
            "distance": (truth + rng.normal(0.1, 0.5, rows))[:, None].astype(np.float32),
            **vertexing.outputs,
        },
        targets={
            "label": label.astype(np.int32),
            "is_data": is_data.astype(np.int32),
            "distance": truth.astype(np.float32),
            **vertexing.targets,
        },
        weights={"weight": weight, "control": weight * 0.5},
        columns={
            "pt": 40 + rng.exponential(90, rows),
            "mH": masses[:, 0].astype(float),
            "mS": masses[:, 1].astype(float),
            "event": rng.integers(0, 2**40, rows).astype(np.uint64),
            **vertexing.columns,
        },
        samples=np.where(control, "control", np.asarray(CLASSES)[label]),
        classes={"label": CLASSES, "is_data": ("simulation", "data"), "distance": (), **vertexing.classes},
        trained_on={"jet_class": "label", "is_data": "is_data", "distance": "distance", **vertexing.trained_on},
        which=which,
        components=vertexing.components,
        units=vertexing.units,
        kinds=vertexing.kinds,
    )


def make_vertexing(rng: np.random.Generator, rows: int, objects: int = 6) -> Predictions:
    """Vertices with a right covariance, and objects that come from them or not; a third of the rows has no vertex."""
    flavour = rng.integers(0, 3, rows)
    count = rng.integers(1, objects + 1, rows)
    real = np.arange(objects) < count[:, None]
    length = rng.exponential(5, rows)
    vertex = np.where(flavour[:, None] > 0, length[:, None] * [0.6, 0.64, 0.48], np.nan)
    root = np.array([[0.2, 0, 0], [0.05, 0.1, 0], [-0.1, 0.2, 0.5]])
    covariance = root @ root.T
    found = np.nan_to_num(vertex) + rng.normal(size=(rows, 3)) @ root.T
    origin = np.where(real, np.where(flavour[:, None] > 0, rng.integers(0, 3, (rows, objects)), 2), -1)
    weight = 1 / (1 + np.exp(-rng.normal(np.where(origin < 2, 1.0, -1.5), 1.0)))
    pairs = real[:, :, None] & real[:, None, :]
    same = np.where(pairs, origin[:, :, None] == origin[:, None, :], np.nan)
    score = 1 / (1 + np.exp(-rng.normal(np.where(same == 1, 1.0, -1.0), 1.5)))
    return Predictions(
        outputs={
            "vertex.position": found.astype(np.float32),
            "vertex.covariance": np.tile(covariance.reshape(9), (rows, 1)).astype(np.float32),
            "track_weight": np.where(real, weight, np.nan)[..., None].astype(np.float32),
            "pairing": np.where(pairs, score, np.nan)[..., None].astype(np.float32),
        },
        targets={
            "flavour": flavour.astype(np.int32),
            "vertex": vertex.astype(np.float32),
            "origin": origin.astype(np.int32),
            "same_vertex": same.astype(np.float32),
        },
        weights={},
        columns={"tracks": count.astype(float), "length": length},
        samples=np.full(rows, "jets"),
        classes={"flavour": ("light", "c", "b"), "vertex": (), "origin": ("b", "c", "other"), "same_vertex": ()},
        trained_on={"vertex.position": "vertex", "pairing": "same_vertex"},
        components={"vertex": ("x", "y", "z")},
        units={"vertex": "mm"},
        kinds={"origin": "objects", "same_vertex": "pairs"},
    )


@pytest.fixture(scope="session")
def tagger() -> Predictions:
    return make_predictions(20_000)


@pytest.fixture
def training_log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "metrics.jsonl", epochs=20)


def write_log(path: Path, epochs: int) -> Path:
    """A log as a training of a tagger against an adversary writes it."""
    rng = np.random.default_rng(3)
    lines = []
    for epoch in range(1, epochs + 1):
        fall = float(np.exp(-epoch / 5))
        noise = rng.normal(0, 0.01, 4)
        values = {
            "train.tagging": 0.45 + 0.6 * fall,
            "train.confusion": 0.69 + noise[0],
            "validation.tagging": 0.5 + 0.55 * fall + noise[1],
            "validation.tagging.accuracy": 0.8 - 0.3 * fall + noise[2],
            "validation.tagging.auc": 0.93 - 0.2 * fall,
            "validation.confusion": 0.692 + noise[3],
            "validation.confusion.auc": 0.52,
            "lr.1": 8e-4,
            "lr.2": 8e-4 * 0.9**epoch,
            "rows_per_second": 21_000.0,
        }
        lines.append(json.dumps({"kind": "step", "epoch": epoch, "step": 10 * epoch, "train.tagging": 9.9}))
        lines.append(
            json.dumps({"kind": "epoch", "epoch": epoch, "step": 10 * epoch, **values, "seconds": 3.2 * epoch})
        )
    path.write_text("\n".join([*lines, '{"kind": "epoch", "epo']) + "\n")
    return path


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Predictions]:
    """Predictions of any number of rows."""
    return make_predictions


@pytest.fixture(scope="session")
def make_log() -> Callable[[Path, int], Path]:
    """A training log of any number of epochs."""
    return write_log
