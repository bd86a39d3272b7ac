"""A training that is killed or interrupted, and resumed, ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Interrupted, StorageError, TrainingError
from engine.training import checkpoint

TIMES = ("seconds", "rows_per_second")


def log(run: Any) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in run.metrics_log.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def weights(run: Any, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / name / "network.safetensors")


def assert_same(one: Any, other: Any) -> None:
    for name in ("last", "best"):
        first, second = weights(one, name), weights(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert log(one) == log(other)


@pytest.fixture(scope="module")
def undisturbed(toy: Any) -> Any:
    toy.train("undisturbed")
    return toy.run("undisturbed")


@pytest.mark.parametrize("phases", [False, True], ids=["whole", "phases"])
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed(kills: int, phases: bool, tmp_path: Path, toy_module: Any) -> None:
    program = Path(__file__).with_name("toy.py")
    command = [sys.executable, str(program), str(tmp_path), str(kills), str(time.time_ns() % 10**6)]
    command += [toy_module.PHASES] * phases
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    toy = toy_module.Toy(tmp_path)
    for path in tmp_path.glob("killed-*"):
        assert_same(toy.run("undisturbed"), toy.run(path.name))


class StopAt:
    """A progress that sends a signal to this process after some steps."""

    def __init__(self, loop: type, monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> None:
        iterate = loop.iterate  # type: ignore[attr-defined]

        def stopping(self: Any, batches: Any) -> None:
            iterate(self, batches)
            if self.position.step == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(loop, "iterate", stopping)


@pytest.mark.parametrize(("step", "number"), [(3, signal.SIGINT), (13, signal.SIGTERM), (17, signal.SIGHUP)])
def test_a_signal_leaves_a_checkpoint_to_continue_from(
    step: int, number: signal.Signals, toy: Any, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.loop import Loop

    name = f"stopped-{step}"
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        StopAt(Loop, patch, step, number)
        with pytest.raises(Interrupted, match=rf"stopped at step {step} .*engine resume .*{name}"):
            toy.train(name)
    assert signal.getsignal(number) == before
    assert checkpoint.load_state(toy.run(name).checkpoints / "last")["step"] == step
    toy.train(name, resume=True)
    assert_same(undisturbed, toy.run(name))


def test_a_signal_during_validation_leaves_a_checkpoint_too(
    toy: Any, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.validation import Validation

    run = Validation.run

    def stopping(self: Any, stopped: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return run(self, stopped)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "run", stopping)
        with pytest.raises(Interrupted):
            toy.train("stopped-validating")
    toy.train("stopped-validating", resume=True)
    assert_same(undisturbed, toy.run("stopped-validating"))


def test_a_finished_training_is_not_trained_again(toy: Any, undisturbed: Any) -> None:
    before = (undisturbed.checkpoints / "last").resolve()
    summary = toy.train("undisturbed", resume=True)
    assert (summary.epochs, summary.steps) == (3, 39)
    assert summary.last == before
    assert len([line for line in log(undisturbed) if line["kind"] == "epoch"]) == 3


def test_more_epochs_continue_from_the_last_one(toy: Any) -> None:
    constant = "training.updates.1.schedule=null"
    toy.train("longer", [constant, "training.epochs=1"])
    toy.train("longer", [constant], resume=True)
    toy.train("at-once", [constant])
    assert_same(toy.run("at-once"), toy.run("longer"))


def test_resuming_without_a_checkpoint_begins_at_the_beginning(toy: Any, undisturbed: Any) -> None:
    run = toy.run("nothing-yet")
    run.metrics_log.parent.mkdir()
    run.metrics_log.write_text('{"kind": "step", "step": 5}\n{"kind": "st')
    toy.train("nothing-yet", resume=True)
    assert_same(undisturbed, run)


def test_no_line_of_the_log_stands_twice(undisturbed: Any) -> None:
    lines = log(undisturbed)
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(4, 39, 4))
    assert [line["step"] for line in lines if line["kind"] == "epoch"] == [13, 26, 39]


def test_old_checkpoints_are_removed(undisturbed: Any) -> None:
    linked = {(undisturbed.checkpoints / name).readlink().name for name in ("best", "last")}
    assert {path.name for path in undisturbed.checkpoints.iterdir()} == {"best", "last", *linked}


def test_a_checkpoint_of_another_network_is_refused(toy: Any) -> None:
    toy.train("other", ["training.epochs=1"])
    with pytest.raises(
        TrainingError,
        match=r"network\.safetensors do not fit the network: class\.1_dense\.0\.weight is \[16, 6\] there and \[8, 6\]",
    ):
        toy.train("other", ["model.graph.class.layers.1.dense.units=8"], resume=True)
    with pytest.raises(TrainingError, match="holds the state of the optimizer Nadam, not of SGD"):
        toy.train("other", ["training.updates.1.optimizer=sgd"], resume=True)


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("file", ["state.pt", "network.safetensors"])
def test_a_damaged_checkpoint_is_told_by_name(toy: Any, file: str, size: int) -> None:
    name = f"damaged-{file}-{size}"
    toy.train(name, ["training.epochs=1"])
    path = toy.run(name).checkpoints / "last" / file
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(TrainingError, match=rf"{file} cannot be read: it is damaged or cut off"):
        toy.train(name, resume=True)


def test_a_failed_write_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 1)
    checkpoint.save(tmp_path, network, {"step": 1}, best=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "serialize", full)
    with pytest.raises(StorageError, match="step-00000002 cannot be written: No space left on device"):
        checkpoint.save(tmp_path, network, {"step": 2}, best=True)
    found = checkpoint.find(tmp_path)
    assert found is not None
    assert checkpoint.load_state(found)["step"] == 1


def test_two_checkpoints_of_one_step_do_not_mix(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    first = checkpoint.save(tmp_path, network, {"step": 5, "epoch": 0}, best=False)
    second = checkpoint.save(tmp_path, network, {"step": 5, "epoch": 1}, best=False)
    assert first != second
    assert not first.exists()
    assert checkpoint.load_state(tmp_path / "last")["epoch"] == 1


def test_random_numbers_go_on_where_they_were() -> None:
    import random

    import numpy as np

    def draw() -> tuple[Any, ...]:
        legacy = np.random.normal(size=3).tolist()  # noqa: NPY002  the generator that a checkpoint keeps
        return torch.rand(3).tolist(), legacy, random.random()

    draw()
    state = checkpoint.random_state()
    first = draw()
    assert draw() != first
    checkpoint.restore_random_state(state)
    assert draw() == first


def test_a_second_signal_acts_at_once() -> None:
    from engine.training.interrupt import StopRequest

    # In a job that a script starts in the background interrupts are ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.requested
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    from engine.training.interrupt import StopRequest

    seen = []

    def work() -> None:
        with StopRequest() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
