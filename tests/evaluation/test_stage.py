"""A small experiment from its files to the evaluation of its untrained network: rows, outputs and facts that arrive."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.prepare import prepare
from engine.evaluation.inference import predict_dataset
from engine.evaluation.predictions import Predictions
from engine.evaluation.stage import evaluate_run, headline_lines
from engine.graph.network import build_network
from engine.runs import RunDirectory
from engine.validation import load_planned

SPEC = """
name: toy
seed: 3
data:
  format: parquet
  collections:
    event: {number: number, x: {branch: x, unit: GeV}, y: y}
  samples:
    signal: {files: [FOLDER/signal.parquet], rows: event, label: signal}
    light: {files: [FOLDER/light.parquet], rows: event, label: light}
  inputs:
    row: {of: event, features: {x: {}, y: {}}}
  targets:
    label: {classes: [light, signal]}
  columns: {number: event.number, x: event.x}
  split: {by: [number], train: 0.4, validation: 0.3, test: 0.3}
model:
  graph:
    tag: {from: row, layers: [dense: {units: 2, activation: softmax}]}
training:
  epochs: 1
  validation_batch: 64
  streams: {main: {samples: [signal, light], batch: 16}}
  losses: {tagging: {cross_entropy: {of: tag, target: label, stream: main}}}
  updates: [{minimize: tagging, optimizer: {adam: {lr: 1e-3}}}]
evaluation:
  metrics: [auc, {accuracy: {per: {x: [-inf, 0, inf]}}}]
  plots: [scores: {scale: log}]
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Experiment, plan, network and prepared data of 2 x 200 events."""
    folder = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    for index, sample in enumerate(("light", "signal")):
        columns = {"number": 1000 * index + np.arange(200), "x": rng.normal(index, 1, 200), "y": rng.normal(size=200)}
        pq.write_table(pa.table(columns), folder / f"{sample}.parquet")
    spec = folder / "toy.yaml"
    spec.write_text(SPEC.replace("FOLDER", str(folder)))
    experiment, plan = load_planned(spec, [])
    dataset = prepare(experiment.data, folder / "prepared", 1)
    return experiment, plan, build_network(plan, 3), dataset


def test_every_row_of_a_split_is_predicted_once_and_keeps_its_columns(toy):
    _, _, network, dataset = toy
    network.train()
    found = predict_dataset(network, dataset, "validation", "cpu", ["tag"], 7, {"tag": "label"})
    assert network.training
    rows = dataset.rows(["signal", "light"], "validation")
    assert len(found) == len(rows) > 80
    assert found.outputs["tag"].shape == (len(rows), 2)
    np.testing.assert_allclose(found.outputs["tag"].sum(axis=1), 1, atol=1e-6)
    assert ((found.columns["number"] >= 1000) == (found.samples == "signal")).all()
    assert (found.targets["label"] == (found.samples == "signal")).all()
    assert found.weights["weight"].tolist() == [1.0] * len(rows)
    whole = predict_dataset(network, dataset, "validation", "cpu", ["tag"], 4096)
    np.testing.assert_allclose(whole.outputs["tag"], found.outputs["tag"], atol=1e-6)


def test_the_stage_leaves_predictions_metrics_figures_and_report_in_the_run(toy, tmp_path):
    experiment, plan, network, dataset = toy
    run = RunDirectory(tmp_path / "toy" / "0001")
    run.path.mkdir(parents=True)
    lines = headline_lines(evaluate_run(experiment, plan, network, dataset, run, "cpu"))
    assert [line.partition(":")[0] for line in lines] == ["AUC, signal against light", "Accuracy of tag"]
    stored = Predictions.load(run.predictions / "test.arrow")
    document = json.loads(run.metrics.read_text())
    assert document["rows"] == len(stored) == len(dataset.rows(["signal", "light"], "test"))
    assert [part["group"] for part in document["metrics"]["accuracy"]["parts"]] == ["all", "x < 0", "x ≥ 0"]
    assert sorted(path.name for path in run.plots.iterdir()) == [
        "scores_tag_signal_log.pdf",
        "scores_tag_signal_log.png",
    ]
    report = run.report.read_text()
    assert "light.parquet" in report
    assert "toy/0001" in report
