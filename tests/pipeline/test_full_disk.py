"""A disk that is full: one sentence that names the file, exit code 6, nothing half written, and all that was there."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli import main
from engine.training import checkpoint
from engine.training.board import _without_writers

ROOM = 2000
REASON = "cannot be written: File too large"


@contextmanager
def little_room(size: int = ROOM) -> Iterator[None]:
    """No file can become larger than `size` bytes; the system refuses what goes beyond as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_refused(result: Result, path: Path | str) -> None:
    assert result.exit_code == 6, result.output
    assert f"{path} {REASON}" in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name != ".lock"]


def test_a_training_stops_at_its_last_good_checkpoint_and_goes_on_from_there(
    flat_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = checkpoint.save, []

    def full_at_the_third(*arguments: object, **options: object) -> Path:
        if len(saved) == 2:
            with little_room(500):
                return save(*arguments, **options)  # type: ignore[arg-type]
        saved.append(save(*arguments, **options))  # type: ignore[arg-type]
        return saved[-1]

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full_at_the_third)
        command = ("run", "flat.yaml", "--set", "training.epochs=4", "--workers", "1", "--device", "cpu")
        result = call(*command)
    run = flat_run.parent / "0002"
    assert_refused(result, "runs/flat/0002/checkpoints/step-00000090")
    assert "`engine resume runs/flat/0002` then goes on" in result.output
    assert not unfinished(run)
    assert checkpoint.find(run.resolve() / "checkpoints") == saved[-1].resolve()
    assert checkpoint.load_state(run / "checkpoints" / "last")["epoch"] == 2
    resumed = call("resume", run, "--device", "cpu")
    assert resumed.exit_code == 0, resumed.output
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3, 4]


@pytest.mark.parametrize("file", ["metrics.jsonl", "tensorboard"])
def test_the_logs_of_a_training_are_named(flat_run: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr(threading, "excepthook", _without_writers)
    command = ("run", "flat.yaml", "--set", "training.epochs=4", "--workers", "1", "--device", "cpu")
    size = {"metrics.jsonl": 100, "tensorboard": 1500}[file]
    from engine.training.loop import Loop

    train_epoch = Loop.train_epoch

    def full(self: Loop, *arguments: object) -> None:
        with little_room(size):
            train_epoch(self, *arguments)  # type: ignore[arg-type]
            self.log_step()
            self.board.flush()

    monkeypatch.setattr(Loop, "train_epoch", full)
    assert_refused(call(*command), f"runs/flat/0002/{file}")


@pytest.mark.parametrize("ending", ["root", "parquet", "h5"])
def test_scores_are_not_half_written(flat_run: Path, ending: str) -> None:
    output = Path(f"scored.{ending}")
    with little_room():
        result = call("predict", flat_run, "one.parquet", "-o", output, "--device", "cpu")
    assert_refused(result, output)
    assert not output.exists()
    assert not unfinished(Path())


def test_scores_that_may_not_be_written_are_told_by_their_name(flat_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import uproot

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(uproot, "recreate", denied)
    result = call("predict", flat_run, "one.parquet", "-o", "scored.root", "--device", "cpu")
    assert result.exit_code == 2, result.output
    assert "scored.root cannot be written (Permission denied)" in result.output
    assert ".part" not in result.output


def test_an_evaluation_leaves_the_one_before(flat_run: Path) -> None:
    report = (flat_run / "report.html").read_bytes()
    with little_room(20_000):
        plots = call("evaluate", flat_run, "--device", "cpu")
    assert_refused(plots, flat_run / "plots" / "scores_out_two.png")
    shutil.rmtree(flat_run / "predictions")
    with little_room():
        predictions = call("evaluate", flat_run, "--device", "cpu")
    assert_refused(predictions, flat_run / "predictions" / "test.arrow")
    assert (flat_run / "report.html").read_bytes() == report
    assert not unfinished(flat_run)


def test_an_export_leaves_the_one_before(flat_run: Path) -> None:
    model = (flat_run / "export" / "model.onnx").read_bytes()
    with little_room(100):
        assert_refused(call("export", flat_run), flat_run / "export" / "model.onnx")
    assert (flat_run / "export" / "model.onnx").read_bytes() == model
    assert not unfinished(flat_run)


@pytest.mark.parametrize(("kind", "file"), [("smartbkg", "smartbkg_000.h5"), ("ndive", "jets_000.root")])
def test_simulated_files_are_not_half_written(tmp_path: Path, kind: str, file: str) -> None:
    with little_room():
        result = call("simulate", kind, "-o", tmp_path, "--events", "20", "--workers", "1")
    assert_refused(result, tmp_path / file)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_prepared_data_are_not_half_written(flat_run: Path, workers: str) -> None:
    command = [sys.executable, "-c", "from engine.cli import main; main()", "prepare", "flat.yaml"]
    command += ["--prepared", "other", "--workers", workers]
    with little_room():  # a program of its own, so that its workers are no one else's
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 6, result.stderr
    assert f".arrow {REASON}" in result.stderr
    assert not unfinished(Path("other"))
