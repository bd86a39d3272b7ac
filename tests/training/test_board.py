"""What TensorBoard shows: read back from the event files."""

from __future__ import annotations

import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.training.board import TensorBoard, hyperparameters, record_results
from engine.training.logs import read_log


def events(directory: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        return EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0, "images": 0}).Reload()


@pytest.fixture(scope="module")
def run(toy: Any) -> Any:
    toy.train("board", ["training.epochs=2"])
    return toy.run("board")


def test_every_loss_metric_rate_and_throughput_is_a_scalar(run: Any) -> None:
    found = events(run.tensorboard)
    tags = set(found.Tags()["scalars"])
    for loss in ("tagging", "confusion"):
        assert {f"train/{loss}", f"step/{loss}", f"validation/{loss}"} <= tags
        assert {f"validation/{loss}.accuracy", f"validation/{loss}.auc"} <= tags
    assert {
        "validation/total",
        "learning_rate/update_1",
        "learning_rate/update_2",
        "throughput/rows_per_second",
    } <= tags
    lines = read_log(run.metrics_log)
    shown = [(event.step, event.value) for event in found.Scalars("validation/tagging")]
    assert shown == [(line["step"], pytest.approx(line["validation.tagging"])) for line in lines]


def test_weights_and_gradients_are_histograms(run: Any, toy: Any) -> None:
    from engine.graph.network import build_network

    found = set(events(run.tensorboard).Tags()["histograms"])
    names = [name for name, _ in build_network(toy.load()[1], 1).named_parameters()]
    assert found == {f"{kind}/{name}" for name in names for kind in ("weights", "gradients")}


def test_the_graph_shows_the_nodes(run: Any) -> None:
    graph = events(run.tensorboard).Graph()
    scopes = {part for node in graph.node for part in node.name.split("/")}
    assert any("NodeModule[pattern]" in scope for scope in scopes)
    assert any("NodeModule[origin]" in scope for scope in scopes)


def test_the_spec_is_shown_as_text(run: Any) -> None:
    (event,) = events(run.tensorboard).Tensors("spec/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.startswith("```yaml\n")
    assert "name: toy" in text


def test_a_resumed_run_hides_the_steps_that_are_done_again(toy: Any) -> None:
    toy.train("board-resumed", ["training.epochs=1"])
    state = toy.run("board-resumed").tensorboard
    from engine.training.board import TensorBoard

    lost = TensorBoard(state, "", 13)
    lost.scalars({"step": 15, "train.tagging": 99.0})
    lost.close()
    toy.train("board-resumed", resume=True)
    values = [event.value for event in events(state).Scalars("train/tagging")]
    assert len(values) == 3
    assert 99.0 not in values


def test_no_events_when_tensorboard_is_told_nothing(tmp_path: Path) -> None:
    TensorBoard(tmp_path / "tensorboard", "", 0).close()
    assert not (tmp_path / "tensorboard").exists()


def test_histograms_can_be_switched_off(toy: Any) -> None:
    toy.train("plain", ["training.epochs=1", "training.histograms_every=0"])
    assert events(toy.run("plain").tensorboard).Tags()["histograms"] == []


def test_results_are_hyperparameters_with_final_metrics_and_images(run: Any, toy: Any, tmp_path: Path) -> None:
    from PIL import Image
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    Image.new("RGB", (8, 4), (255, 0, 0)).save(tmp_path / "roc.png")
    experiment = toy.load()[0]
    record_results(run.tensorboard, experiment, {"roc.auc": 0.75}, {"roc": tmp_path / "roc.png"}, 26)
    found = events(run.tensorboard)
    assert found.Tags()["images"] == ["plots/roc"]
    assert found.Images("plots/roc")[0].width == 8
    assert found.Scalars("final/roc.auc")[0].value == 0.75
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["updates.1.optimizer.nadam.lr"].number_value == 5e-3
    assert start.hparams["streams.main.batch"].number_value == 40
    metric = HParamsPluginData.FromString(found.SummaryMetadata("_hparams_/experiment").plugin_data.content)
    assert [each.name.tag for each in metric.experiment.metric_infos] == ["final/roc.auc"]
    assert [path.is_file() for path in run.tensorboard.iterdir()].count(False) == 0, "no run beside this one"


def test_hyperparameters_are_the_scalars_of_the_training_section(toy: Any) -> None:
    found = hyperparameters(toy.load(["seed=3"])[0])
    assert found["seed"] == 3
    assert found["losses.tagging.cross_entropy.of"] == "class"
    assert found["updates.0.repeat"] == 2
    assert all(isinstance(value, bool | int | float | str) for value in found.values())


def test_gradients_beyond_the_bins_of_a_histogram_are_shown_in_the_last_one(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.tensor([1e30, -1e30, 3e38])
    with closing(TensorBoard(tmp_path, "spec", 0)) as board:
        board.histograms([("out", weight)], 1)
    histogram = events(tmp_path).Histograms("gradients/out")[0].histogram_value
    assert (histogram.num, sum(histogram.bucket)) == (3, 3)
