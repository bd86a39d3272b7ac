"""`engine run --repeat`: complete runs with other seeds on the same data, resumed as a group, and their spread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from engine.errors import TrainingError
from engine.runs import create_group, create_run

Engine = Callable[..., Result]
OPTIONS = ("--device", "cpu", "--workers", "1", "--set", "training.epochs=1", "--set", "training.steps_per_epoch=2")


@pytest.fixture(scope="module")
def group(engine: Engine, workspace: Path, finished_run: Path) -> tuple[Path, str]:
    """A group of two runs, and its output; the second training fails at first, then the group is resumed."""
    from engine.training import train as module

    train, calls = module.train, []

    def once(experiment: object, *arguments: object) -> object:
        calls.append(experiment)
        if len(calls) == 2:
            raise TrainingError("no such luck")
        return train(experiment, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", once)
        first = engine("run", "specs/calratio.yaml", *OPTIONS, "--set", "export=[]", "--repeat", "2")
    assert first.exit_code == 4, first.output
    assert "run 2 failed: no such luck" in first.output
    assert "1 of 2 runs in runs/calratio/0002-repeat are complete" in first.output
    folder = workspace / "runs" / "calratio" / "0002-repeat"
    done = {path: path.stat().st_mtime_ns for path in (folder / "1" / "checkpoints").rglob("*")}
    result = engine("resume", "runs/calratio/0002-repeat", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in (folder / "1" / "checkpoints").rglob("*")} == done
    return folder, result.output


def test_every_run_of_a_group_is_complete_and_has_its_seed(group: tuple[Path, str], engine: Engine) -> None:
    folder, _ = group
    seeds = json.loads((folder / "repeat.json").read_text())["seeds"]
    assert seeds == {"1": 811, "2": 812}
    for name, seed in seeds.items():
        run = folder / name
        assert f"seed: {seed}" in (run / "spec.yaml").read_text()
        assert {"metrics.json", "report.html", "contract.json", "stages.json"} <= {each.name for each in run.iterdir()}
    contracts, logs = (
        [(folder / name / file).read_text() for name in seeds] for file in ("contract.json", "metrics.jsonl")
    )
    assert contracts[0] == contracts[1], "the same prepared data"
    assert logs[0] != logs[1]


def test_mean_and_spread_are_told(group: tuple[Path, str]) -> None:
    folder, output = group
    headlines = [json.loads((folder / name / "metrics.json").read_text())["headlines"] for name in "12"]
    values = [next(iter(each.values())) for each in headlines]
    (line,) = [line for line in output.splitlines() if line.startswith(values[0]["label"] + ": ")]
    mean, low = statistics.fmean(each["value"] for each in values), min(each["value"] for each in values)
    shown = float(line.removeprefix(values[0]["label"] + ": ").split()[0].replace(",", ""))
    assert shown == pytest.approx(mean, abs=statistics.stdev(each["value"] for each in values))
    assert "(mean of 2 runs; standard deviation " in line
    assert f"; {low:.4g} to " in line
    assert "2 of 2 runs in runs/calratio/0002-repeat are complete" in output
    assert output.rstrip().endswith("report runs/calratio/0002-repeat/report.html")
    assert values[0]["label"] in (folder / "report.html").read_text()


def test_a_group_is_no_run(group: tuple[Path, str], engine: Engine, workspace: Path) -> None:
    result = engine("export", "runs/calratio/0002-repeat")
    assert result.exit_code == 2
    assert "holds repeated runs; name one of them, such as runs/calratio/0002-repeat/1" in result.output
    assert (workspace / "runs" / "calratio" / "latest").resolve().name == "0001"


def test_runs_and_groups_share_their_numbers(tmp_path: Path) -> None:
    made = [create_run(tmp_path, "a").path, create_group(tmp_path, "a"), create_run(tmp_path, "a").path]
    assert [path.name for path in made] == ["0001", "0002-repeat", "0003"]
    assert (tmp_path / "a" / "latest").resolve().name == "0003"


def test_a_damaged_group_is_a_sentence(group: tuple[Path, str], engine: Engine, workspace: Path) -> None:
    broken = workspace / "runs" / "calratio" / "broken"
    broken.mkdir()
    (broken / "repeat.json").write_text('{"name"')
    result = engine("resume", "runs/calratio/broken")
    assert result.exit_code == 3
    assert "what the group notes about its runs, is damaged" in result.output


def test_an_interrupted_group_is_resumed_as_a_whole(
    group: tuple[Path, str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import repeat
    from engine.errors import Interrupted

    def stopped(*_: object, **__: object) -> object:
        raise Interrupted("stopped at step 3")

    monkeypatch.setattr(repeat, "stages", stopped)
    result = engine("resume", "runs/calratio/0002-repeat", "--device", "cpu")
    assert result.exit_code == 130
    assert "`engine resume runs/calratio/0002-repeat` continues with all runs of the group" in result.output
