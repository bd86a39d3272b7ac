"""A small experiment from its files to the evaluation of its untrained network: rows, outputs and facts that arrive."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.prepare import prepare
from engine.errors import SpecError
from engine.evaluation.choices import evaluated_outputs
from engine.evaluation.inference import predict_dataset
from engine.evaluation.predictions import Predictions
from engine.evaluation.stage import evaluate_run, headline_lines, predictions_of
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
    assert report.count("<svg") == 1


JETS = """
name: jets
seed: 3
data:
  format: parquet
  collections:
    event: {number: number, x: {branch: x, unit: mm}, y: y, kind: kind}
    tracks: {owner: implicit, d0: d0, z0: z0, vertex: vertex}
  samples: {jets: {files: [FOLDER/jets.parquet], rows: event}}
  inputs: {tracks: {of: tracks, keep: 4, features: {d0: {}, z0: {}}}}
  targets:
    kind: {expression: event.kind, classes: {light: 0, heavy: 1}}
    position: {expression: {x: event.x, y: event.y}, valid: "event.kind == 1", unit: mm}
    origin: {of: tracks, expression: vertex, classes: {primary: 0, secondary: 1}}
    same: {pairs: tracks, expression: "left.vertex == right.vertex"}
  columns: {number: event.number, x: event.x}
  split: {by: [number], train: 0.4, validation: 0.3, test: 0.3}
model:
  graph:
    embedded: {from: tracks, layers: [dense: {units: 4, activation: relu}]}
    kind: {from: embedded, layers: [mean_pool, dense: {units: 2, activation: softmax}]}
    position: {from: embedded, layers: [mean_pool, dense: 2]}
    origin: {from: embedded, layers: [dense: {units: 2, activation: softmax}]}
    pairing: {from: embedded, layers: [pairs, dense: {units: 1, activation: sigmoid}]}
training:
  epochs: 1
  validation_batch: 64
  streams: {main: {samples: [jets], batch: 16}}
  losses:
    kind: {cross_entropy: {of: kind, target: kind}}
    position: {absolute_error: {of: position, target: position}}
    origin: {cross_entropy: {of: origin, target: origin}}
    pairing: {binary_cross_entropy: {of: pairing, target: same}}
  updates: [{minimize: kind + position + origin + pairing, optimizer: {adam: {lr: 1e-3}}}]
"""


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    """A function (changes of the spec) -> experiment, plan, network and data of 300 jets with up to six tracks."""
    folder = tmp_path_factory.mktemp("jets")
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 7, 300)
    lists = {name: [rng.normal(size=n).tolist() for n in counts] for name in ("d0", "z0")}
    columns = {"number": np.arange(300), "x": rng.normal(size=300), "y": rng.normal(size=300)}
    vertex = [rng.integers(0, 2, n).tolist() for n in counts]
    table = pa.table({**columns, "kind": rng.integers(0, 2, 300), **lists, "vertex": vertex})
    pq.write_table(table, folder / "jets.parquet")

    def make(*overrides: str):
        spec = folder / "jets.yaml"
        spec.write_text(JETS.replace("FOLDER", str(folder)))
        experiment, plan = load_planned(spec, list(overrides))
        return experiment, plan, build_network(plan, 3), prepare(experiment.data, folder / "prepared", 1), counts

    return make


def test_outputs_and_targets_of_objects_pairs_and_vectors_have_their_shapes_and_nothing_where_there_is_no_object(jets):
    experiment, plan, network, dataset, counts = jets()
    outputs = evaluated_outputs(experiment, plan.outputs)
    found = predict_dataset(network, dataset, "test", "cpu", outputs, 13, experiment.trained_on)
    rows = len(found)
    real = np.arange(4) < counts[found.columns["number"].astype(int)][:, None]
    pairs = real[:, :, None] & real[:, None, :]
    assert found.outputs["origin"].shape == (rows, 4, 2)
    assert found.outputs["pairing"].shape == (rows, 4, 4, 1)
    assert found.targets["position"].shape == (rows, 2)
    assert (np.isfinite(found.outputs["origin"]).all(axis=-1) == real).all()
    assert (np.isfinite(found.outputs["pairing"][..., 0]) == pairs).all()
    assert ((found.targets["origin"] >= 0) == real).all()
    assert (np.isfinite(found.targets["same"]) == pairs).all()
    assert (np.isfinite(found.targets["position"]).all(axis=1) == (found.targets["kind"] == 1)).all()
    assert found.classes["same"] == ("not same", "same")
    assert (found.components["position"], found.units["position"]) == (("x", "y"), "mm")


def test_what_fits_the_losses_is_computed_of_rows_objects_pairs_and_vectors(jets, tmp_path):
    experiment, plan, network, dataset, _ = jets("evaluation.plots=[history]")
    run = RunDirectory(tmp_path)
    result = evaluate_run(experiment, plan, network, dataset, run, "cpu")
    document = json.loads(run.metrics.read_text())["metrics"]
    assert list(document) == [
        *("roc_kind", "accuracy_kind", "confusion_matrix_kind", "residuals", "distance"),
        *("roc_origin", "accuracy_origin", "confusion_matrix_origin", "roc_pairing", "accuracy_pairing"),
    ]
    assert not any("reason" in metric for metric in document.values())
    assert "distance.mean_distance_of_position_from_position_mm" in result.values


def test_predictions_are_used_again_until_weights_data_or_what_is_asked_for_change(jets, tmp_path):
    experiment, plan, network, dataset, _ = jets("evaluation.plots=[history]")
    run = RunDirectory(tmp_path)
    stored = run.predictions / "test.arrow"
    first = predictions_of(experiment, plan, network, dataset, run, "cpu")
    assert not first[1]
    written = stored.stat().st_mtime_ns
    again, reused = predictions_of(experiment, plan, network, dataset, run, "cpu")
    assert reused
    assert stored.stat().st_mtime_ns == written
    for name, values in first[0].outputs.items():
        np.testing.assert_array_equal(again.outputs[name], values)
    fewer = jets("evaluation.plots=[history]", "evaluation.metrics=[accuracy: {of: kind}]")[0]
    smaller, reused = predictions_of(fewer, plan, network, dataset, run, "cpu")
    assert not reused
    assert "pairing" not in smaller.outputs  # nothing looks at the pairs any more
    assert "same" not in smaller.targets
    assert predictions_of(fewer, plan, network, dataset, run, "cpu")[1]
    other = build_network(plan, 4)
    assert not predictions_of(fewer, plan, other, dataset, run, "cpu")[1]
    stored.write_bytes(b"torn")
    assert not predictions_of(fewer, plan, other, dataset, run, "cpu")[1]


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("roc: {of: origin, target: kind}", "`origin` is of objects and the target `kind` of a row"),
        ("roc: {of: pairing, target: origin}", "`pairing` is of pairs of objects and the target `origin` of objects"),
        ("residuals: {of: position, covariance: position.cov}", "there is no output `position.cov`"),
    ],
)
def test_outputs_that_do_not_fit_are_told_when_the_graph_is_known(jets, metric, sentence):
    with pytest.raises(SpecError, match=sentence):
        jets(f"evaluation.metrics=[{metric}]")
