"""What a training does: it learns, stops early, logs, refuses bad data with a sentence, and names what went wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import TrainingError
from engine.training import checkpoint
from engine.training.logs import read_log

ONE_EPOCH = ["training.epochs=1"]
FAST = ["training.updates.1.schedule=null", "training.updates.1.optimizer.nadam.lr=0.02"]


@pytest.fixture(scope="module")
def trained(toy: Any) -> tuple[Any, Any]:
    """The summary and the run of a short training."""
    return toy.train("trained", ["training.epochs=2"]), toy.run("trained")


def test_the_network_learns(toy: Any) -> None:
    toy.train("learns", ["training.epochs=6", *FAST])
    lines = read_log(toy.run("learns").metrics_log)
    assert lines[-1]["validation.tagging"] < 0.9 * lines[0]["train.tagging"]
    assert lines[-1]["validation.tagging.auc"] > 0.7


def test_the_same_seed_gives_the_same_weights_and_another_one_others(toy: Any) -> None:
    from safetensors.torch import load_file

    weights = {}
    for name, overrides in (("one", []), ("again", []), ("other", ["seed=8"])):
        summary = toy.train(f"seed-{name}", [*ONE_EPOCH, *overrides])
        weights[name] = load_file(summary.last / "network.safetensors")
    assert all(torch.equal(value, weights["again"][key]) for key, value in weights["one"].items())
    assert not torch.equal(weights["one"]["class.1_dense.0.weight"], weights["other"]["class.1_dense.0.weight"])


def test_the_summary_says_what_came_of_it(trained: tuple[Any, Any]) -> None:
    summary, run = trained
    assert (summary.epochs, summary.steps, summary.stopped_early) == (2, 26, False)
    lines = read_log(run.metrics_log)
    best = min(lines, key=lambda line: line["validation.tagging"])
    assert summary.best_epoch == best["epoch"]
    assert summary.best_metrics["validation.tagging"] == best["validation.tagging"]
    assert summary.last_metrics["validation.tagging"] == lines[-1]["validation.tagging"]
    assert (summary.best / "network.safetensors").is_file()


def test_the_whole_validation_split_counts(toy: Any, trained: tuple[Any, Any]) -> None:
    """The losses of the last epoch, computed again on all validation rows at once, with weights from the file."""
    from torch.nn import functional

    from engine.data.loader import sequential
    from engine.graph.network import build_network

    summary, _ = trained
    experiment, plan, dataset = toy.load()
    network = build_network(plan, 1).eval()
    checkpoint.load_weights(network, summary.last)
    rows = len(dataset.rows(["signal", "background"], "validation"))
    (batch,) = sequential(dataset, ["signal", "background"], "validation", rows)
    with torch.no_grad():
        logits = network(batch.inputs, batch.masks, ["class.logits"])["class.logits"]
    losses = functional.cross_entropy(logits, batch.targets["label"].long(), reduction="none")
    tagging = float((losses.double() * batch.weights["weight"]).sum() / rows)
    assert summary.last_metrics["validation.tagging"] == pytest.approx(tagging, rel=1e-6)
    for size in (7, 1000):
        again = toy.train(f"validation-{size}", ["training.epochs=2", f"training.validation_batch={size}"])
        assert again.last_metrics["validation.tagging"] == pytest.approx(tagging, rel=1e-6)
    assert experiment.training.validation_batch > rows


def test_the_total_is_the_last_combination(trained: tuple[Any, Any]) -> None:
    metrics = trained[0].last_metrics
    for split in ("train", "validation"):
        expected = metrics[f"{split}.tagging"] - 0.1 * metrics[f"{split}.confusion"]
        assert metrics[f"{split}.total"] == pytest.approx(expected, rel=1e-5)


def test_early_stopping_ends_the_training(toy: Any) -> None:
    stopping = "training.early_stopping={metric: validation.tagging, patience: 2, min_delta: 100}"
    summary = toy.train("early", [stopping, "training.epochs=50"])
    assert summary.stopped_early
    assert summary.epochs == 3
    assert toy.train("early", [stopping, "training.epochs=50"], resume=True).epochs == 3


def test_the_best_checkpoint_is_that_of_the_best_epoch(toy: Any) -> None:
    summary = toy.train("worse", ["training.best={metric: train.tagging, mode: max}", *FAST])
    assert summary.best_epoch == 1
    assert checkpoint.load_state(summary.best)["epoch"] == 1
    assert checkpoint.load_state(summary.last)["epoch"] == 3


def test_steps_per_epoch_can_be_declared(toy: Any) -> None:
    assert toy.train("short", [*ONE_EPOCH, "training.steps_per_epoch=4"]).steps == 4


def test_mixed_precision_with_bfloat16_trains_and_keeps_float32_weights(toy: Any) -> None:
    summary = toy.train("bf16", [*ONE_EPOCH, "training.precision=bf16"])
    plain = toy.train("float32", ONE_EPOCH)
    assert np.isfinite(summary.last_metrics["train.tagging"])
    assert summary.last_metrics["train.tagging"] != plain.last_metrics["train.tagging"]
    assert summary.last_metrics["train.tagging"] == pytest.approx(plain.last_metrics["train.tagging"], rel=0.05)
    from safetensors.torch import load_file

    assert {value.dtype for value in load_file(summary.last / "network.safetensors").values()} == {torch.float32}


def test_half_precision_on_the_cpu_is_refused(toy: Any) -> None:
    with pytest.raises(TrainingError, match="fp16 needs a CUDA device; on the CPU use bf16"):
        toy.train("fp16", ["training.precision=fp16"])


def test_a_loss_that_is_not_finite_stops_with_everything_one_needs(toy: Any) -> None:
    wild = [
        "training.updates.1.optimizer={sgd: {lr: 1.0e+30}}",
        "training.updates.1.clip_norm=null",
        "training.updates.1.schedule=null",
    ]
    with pytest.raises(TrainingError) as raised:
        toy.train("wild", wild)
    first, second, third = str(raised.value).splitlines()
    assert first.startswith("the loss is not finite at step ")
    assert "(epoch 1): " in first
    assert "tagging = " in first
    assert "the inputs are finite; their ranges, the widest first: " in second
    assert "main: hits.x -" in second
    assert " to " in second
    assert third == "there is no checkpoint yet; a smaller learning rate, `clip_norm` or `clip` may help"


def test_a_part_of_the_network_that_is_lost_stops_although_the_losses_are_finite(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.loop import Loop

    original = Loop.train_epoch

    def lose(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        with torch.no_grad():
            next(self.network.parameters()).fill_(torch.nan)

    monkeypatch.setattr(Loop, "train_epoch", lose)
    with pytest.raises(TrainingError, match=r"^parameters of \w+ are not finite in epoch 1, though the losses are: "):
        toy.train("lost", ONE_EPOCH)
    from safetensors.torch import load_file

    for saved in toy.run("lost").path.rglob("network.safetensors"):
        assert all(value.isfinite().all() for value in load_file(saved).values())


def test_a_row_that_is_not_finite_is_found_and_the_last_good_checkpoint_named(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training import streams

    original = streams.Loader

    class Broken:
        def __init__(self, *arguments: Any, start_step: int, **options: Any) -> None:
            self.step = start_step
            self.loader = original(*arguments, start_step=start_step, **options)

        def __iter__(self) -> Any:
            for batches in self.loader:
                self.step += 1
                if self.step == 8:
                    batches["main"].inputs["event"][3, 1] = float("inf")
                yield batches

    monkeypatch.setattr(streams, "Loader", Broken)
    with pytest.raises(TrainingError) as raised:
        toy.train("broken")
    first, second, third = str(raised.value).splitlines()
    assert first.startswith("the loss is not finite at step 8 (epoch 1): ")
    assert second.startswith("values that are not finite stand in main: event.v ")
    assert second.endswith("(1 of 40 not finite)")
    assert third.startswith(f"the last good checkpoint is {toy.run('broken').checkpoints}/step-00000005; ")


def test_a_sample_without_the_target_is_refused(toy: Any) -> None:
    unlabelled = [
        "data.targets.parity={classes: [odd, even]}",
        "data.samples.signal.label=[signal, odd]",
        "data.samples.background.label=[background, even]",
        f"data.samples.extra={{files: [{toy.directory}/signal.parquet], rows: event, label: odd}}",
        "training.streams.main.samples=[signal, background, extra]",
    ]
    with pytest.raises(
        TrainingError, match="no row of the sample extra has a target label, which the loss tagging needs"
    ):
        toy.train("no-target", unlabelled)


def test_rows_without_a_class_are_told_and_do_not_count(toy: Any) -> None:
    told = io.StringIO()
    summary = toy.train("some", [*ONE_EPOCH, "data.targets.origin.classes={simulation: 0, data: 7}"], told=told)
    assert "rows of background have no target origin and do not count for the loss confusion" in told.getvalue()
    assert "warning: " in told.getvalue()
    assert "the loss confusion has nothing to learn of the class `data` from" in told.getvalue()
    assert summary.last_metrics["validation.confusion.accuracy"] in (0.0, 1.0)
    assert np.isfinite(summary.last_metrics["validation.confusion"])


def test_a_regression_is_trained_like_a_classification(toy: Any) -> None:
    spec = [
        "model.graph.size={from: event, layers: [{dense: 1}]}",
        "training.losses={size: {huber: {of: size, target: size, stream: main, delta: 0.5}}}",
        "training.updates=[{minimize: size, optimizer: {adamw: {lr: 0.05}}}]",
        "training.best={metric: validation.size}",
        "training.epochs=4",
    ]
    lines_of = toy.train("regression", spec)
    lines = read_log(toy.run("regression").metrics_log)
    assert lines[-1]["validation.size"] < 0.5 * lines[0]["train.size"]
    assert lines_of.best_metrics["validation.size"] == min(line["validation.size"] for line in lines)


def test_watching_a_metric_that_is_not_there_is_told_before_training(toy: Any) -> None:
    no_validation = "data.split={by: [run, event], train: 0.9, validation: 1.0e-9, test: 0.099999999}"
    with pytest.raises(
        TrainingError, match=r"best watches validation\.tagging, but the validation split has 0 rows; the"
    ):
        toy.train("unwatched", [no_validation])
    with pytest.raises(TrainingError, match=r"best watches train\.confusion, .* it has train\.tagging"):
        toy.train("unwatched", ["training.best={metric: train.confusion}", "training.updates=[{minimize: tagging}]"])


def test_an_empty_stream_is_told_before_training(toy: Any) -> None:
    nothing = "data.split={by: [run, event], train: 1.0e-9, validation: 0.5, test: 0.499999999}"
    with pytest.raises(TrainingError, match="the stream main has no training rows"):
        toy.train("empty", [nothing])


def test_the_log_shows_progress_without_a_terminal(toy: Any) -> None:
    told = io.StringIO()
    toy.train("told", ONE_EPOCH, told=told)
    lines = told.getvalue().splitlines()
    assert lines[0].startswith("epoch 1/1: 13/13 steps (100 %)")
    assert "rows/s" in lines[0]
    assert lines[1].startswith("epoch 1: validation.tagging ")
    assert lines[1].endswith("(best so far)")


def test_numbers_that_are_not_finite_are_null_in_the_log(tmp_path: Path) -> None:
    from engine.training.logs import MetricsLog

    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write({"kind": "epoch", "validation.tagging.auc": float("nan"), "step": 3})
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "kind": "epoch",
        "validation.tagging.auc": None,
        "step": 3,
    }


def test_no_compiler_and_no_tensorboard_is_imported_before_the_first_step(toy: Any) -> None:
    """Both take longer than everything else up to the first step."""
    import subprocess
    import sys

    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from toy import Toy
from engine.training.loop import Loop
iterate = Loop.iterate
def first(self, batches):
    iterate(self, batches)
    heavy = "torch._dynamo pandas torch.utils.tensorboard tensorboard matplotlib uproot onnx awkward".split()
    sys.stdout.write(" ".join(sorted(set(heavy) & set(sys.modules))) + "first step done")
    sys.stdout.flush()
    sys.exit(0)
Loop.iterate = first
Toy(Path({str(toy.directory)!r})).train("first-step")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout.endswith("first step done"), result.stderr
    assert result.stdout == "first step done"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_training_on_cuda_follows_that_on_the_cpu(toy: Any, precision: str) -> None:
    from engine.progress import Progress
    from engine.training.train import train

    overrides = ["training.epochs=2", f"training.precision={precision}"]
    experiment, plan, dataset = toy.load(overrides)
    run = toy.run(f"cuda-{precision}")
    summary = train(experiment, plan, dataset, run, "cuda", False, Progress(io.StringIO()))
    cpu = toy.train(f"cpu-{precision}", ["training.epochs=2"])
    assert summary.last_metrics["validation.tagging"] == pytest.approx(cpu.last_metrics["validation.tagging"], rel=0.05)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_told(toy: Any) -> None:
    from engine.training.train import train

    with pytest.raises(TrainingError, match="no CUDA device here; use `--device cpu`"):
        train(*toy.load(), toy.run("cuda"), "cuda")


@pytest.mark.parametrize("weight", ["event.u - event.u", "-1"])
def test_weights_without_a_positive_sum_are_told_before_training(toy: Any, weight: str) -> None:
    samples = [f"data.samples.{name}.weight={weight}" for name in ("signal", "background")]
    message = (
        r"the weights \(weight\) of the training rows of the stream main sum to .*, so the loss tagging has nothing"
    )
    with pytest.raises(TrainingError, match=message):
        toy.train("weightless", samples)


def test_columns_after_a_one_hot_feature_keep_their_names(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the message about values that are not finite: three columns of `origin`, then `v`."""
    from engine.training import streams

    original = streams.Loader

    class Broken:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.loader = original(*arguments, **options)

        def __iter__(self) -> Any:
            for batches in self.loader:
                batches["main"].inputs["event"][3, 3] = float("inf")
                yield batches

    monkeypatch.setattr(streams, "Loader", Broken)
    with pytest.raises(TrainingError, match=r"stand in main: event\.v "):
        toy.train("one_hot", ["data.inputs.event.features={origin: {one_hot: 3}, v: {}}"])
