"""`engine resume`: what it refuses, and what it does where the run is over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine import stages
from engine.cli import main
from engine.locks import held


def resume(path: Path) -> Result:
    return CliRunner().invoke(main, ["resume", str(path), "--device", "cpu"])


def epochs(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["epoch"] for line in lines if line["kind"] == "epoch"]


def unexpected(owner: str) -> None:
    raise RuntimeError(owner)


def test_a_run_that_another_process_trains_is_refused(flat_run: Path) -> None:
    before = (flat_run / "metrics.jsonl").read_bytes()
    with held(flat_run, unexpected):
        result = resume(flat_run)
    assert result.exit_code == 2, result.output
    assert f"{flat_run} is being worked on by process {os.getpid()} on " in result.output
    assert (flat_run / "metrics.jsonl").read_bytes() == before
    assert resume(flat_run).exit_code == 0


def test_a_run_is_not_resumed_with_damaged_data(flat_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = next((flat_run.parents[2] / "prepared").rglob("one*.arrow"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-900] + bytes(50) + whole[-850:])
    assert resume(flat_run).exit_code == 0
    assert shard.read_bytes() == whole
    assert f"{shard} is damaged" in caplog.text


def test_a_group_that_another_process_trains_is_refused(flat_run: Path) -> None:
    group = flat_run.parent / "0002-repeat"
    group.mkdir()
    (group / "repeat.json").write_text('{"name": "flat", "seeds": {}}')
    with held(group, unexpected):
        result = resume(group)
    assert result.exit_code == 2, result.output
    assert f"{group} is being worked on by process" in result.output


def test_more_epochs_in_the_spec_of_a_finished_run_are_trained(flat_run: Path) -> None:
    spec = flat_run / "spec.yaml"
    spec.write_text(spec.read_text().replace("epochs: 2", "epochs: 5"))
    report = (flat_run / "report.html").read_text()
    result = resume(flat_run)
    assert result.exit_code == 0, result.output
    assert "spec.yaml was changed since" in result.output
    assert "trained 5 epochs" in result.output
    assert epochs(flat_run) == [1, 2, 3, 4, 5]
    assert (flat_run / "report.html").read_text() != report
    again = resume(flat_run)
    assert "was changed since" not in again.output
    assert "trained 5 epochs" in again.output


def test_other_changes_of_the_spec_of_a_finished_run_leave_its_weights(flat_run: Path) -> None:
    spec = flat_run / "spec.yaml"
    spec.write_text(spec.read_text().replace("epochs: 2", "epochs: 1") + "seed: 5\n")
    before = (flat_run / "checkpoints" / "last").resolve()
    result = resume(flat_run)
    assert result.exit_code == 0, result.output
    assert "what is trained already stays as it is" in result.output
    assert (flat_run / "checkpoints" / "last").resolve() == before
    assert epochs(flat_run) == [1, 2]


def test_a_comment_in_the_spec_of_a_finished_run_changes_nothing(flat_run: Path) -> None:
    spec = flat_run / "spec.yaml"
    spec.write_text("# as it is\n" + spec.read_text())
    result = resume(flat_run)
    assert result.exit_code == 0, result.output
    assert "was changed since" not in result.output


def test_a_run_that_is_stopped_while_it_is_evaluated_says_how_to_go_on(
    flat_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "evaluate_job", stopped)
        result = CliRunner().invoke(main, ["run", "flat.yaml", "--workers", "1", "--device", "cpu"])
    assert result.exit_code == 130, result.output
    assert "interrupted; `engine resume runs/flat/0002` goes on" in result.output
    assert resume(flat_run.parent / "0002").exit_code == 0
    assert (flat_run.parent / "0002" / "report.html").is_file()
