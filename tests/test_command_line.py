"""What the command line says where the file system or the machine refuses: a sentence and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from engine.cli import main
from engine.errors import DataError, UsageError
from engine.runs import CONTRACT_KEYS, RunDirectory, create_run, read_contract, read_environment


@pytest.fixture
def impossible(tmp_path: Path) -> Path:
    """A path below a file, which nobody can write, not even the administrator."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "below"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command",
    [
        ("schema", "-o"),
        ("new", "calratio", "-o"),
        ("simulate", "calratio", "--events", "1", "--workers", "1", "-o"),
    ],
)
def test_a_place_that_cannot_be_written_is_a_sentence(impossible: Path, command: tuple[str, ...]) -> None:
    result = call(*command, impossible)
    assert result.exit_code == 2, result.output
    assert str(impossible) in result.output
    assert "Not a directory" in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_place_for_runs_that_cannot_be_made_is_told(impossible: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder .*below/name cannot be made .*Not a directory"):
        create_run(impossible, "name")


def test_a_place_for_runs_is_tried_before_any_file_is_prepared(
    repository: Path, impossible: Path, tmp_path: Path
) -> None:
    places = ("--out", impossible, "--prepared", tmp_path / "prepared")
    result = call("run", repository / "specs" / "calratio.yaml", "--device", "cpu", *places)
    assert result.exit_code == 2, result.output
    assert f"runs cannot be kept in {impossible}/calratio: {impossible.parent} is no folder" in result.output
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is missing"),
        (b"", "is damaged: it holds no JSON object"),
        (b"[1, 2]", "is damaged: it holds no JSON object"),
        (b"\xff\xfe", "is damaged: it holds no JSON object"),
        (b"{}", "is damaged: it has no "),
    ],
)
def test_damaged_notes_of_a_run_are_told(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    run = RunDirectory(tmp_path)
    for path, read in ((run.contract, read_contract), (run.environment, read_environment)):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=sentence) as caught:
            read(run)
        assert str(path) in str(caught.value)


def test_notes_that_are_whole_are_read(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.contract.write_text(json.dumps(dict.fromkeys(CONTRACT_KEYS, 1)))
    assert read_contract(run) == dict.fromkeys(CONTRACT_KEYS, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--device", "foo"), 2, "--device foo: write auto, cpu, cuda or cuda:N"),
        (("--device", "cuda:99"), 2, "--device cuda:99: "),
        (("--device", "cpu", "--set", "training.precision=fp16"), 4, "fp16 needs a CUDA device"),
    ],
)
def test_a_device_that_cannot_do_it_is_told_before_any_file_is_touched(
    repository: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    places = ("--prepared", tmp_path / "prepared", "--out", tmp_path / "runs")
    result = call("run", repository / "specs" / "calratio.yaml", *places, *arguments)
    assert result.exit_code == code, result.output
    assert sentence in result.output
    assert not list(tmp_path.iterdir())


FLAT = """\
name: flat
data:
  on_error: skip
  max_lost: 0.5
  collections: {event: {number: n, x: x}}
  samples:
    one: {files: [good_one.parquet, bad_one.parquet], rows: event, label: one}
    two: {files: good_two.parquet, rows: event, label: two}
  inputs: {row: {of: event, features: {x: {}}}}
  targets: {label: {classes: [one, two]}}
  columns: {number: event.number}
  split: {by: [number]}
  predict: {rows: event}
model: {graph: {out: {from: row, layers: [dense: {units: 2, activation: softmax}]}}}
training:
  epochs: 1
  streams: {main: {samples: [one, two], batch: 8}}
  losses: {tagging: {cross_entropy: {of: out, target: label}}}
  updates: [{minimize: tagging}]
"""


def test_a_file_that_is_left_out_is_named_and_before_a_training_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat.yaml").write_text(FLAT)
    for name in ("one", "two"):
        pq.write_table(
            pa.table({"n": np.arange(60), "x": np.random.default_rng(1).normal(size=60)}), f"good_{name}.parquet"
        )
    Path("bad_one.parquet").write_bytes(b"PAR1 and then nothing")
    result = call("prepare", "flat.yaml", "--workers", "1")
    assert result.exit_code == 3, result.output
    assert result.output.count("bad_one.parquet") == 1, result.output
    trained = call("run", "flat.yaml", "--workers", "1", "--device", "cpu")
    assert trained.exit_code == 3, trained.output
    before, after = trained.output.split("epoch 1", 1)
    assert (before.count("bad_one.parquet"), after.count("bad_one.parquet")) == (1, 1), trained.output
    scored = call("predict", "runs/flat/latest", "good_two.parquet", "bad_one.parquet", "-o", "scored.parquet")
    assert scored.exit_code == 3, scored.output
    assert scored.output.count("bad_one.parquet") == 1, scored.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completion_of_the_readme_is_there(shell: str, repository: Path) -> None:
    assert f"{shell}_source" in (repository / "README.md").read_text()
    code = "import sys; sys.argv[0] = 'engine'; from engine.cli import main; main()"
    words = {"COMP_WORDS": "engine val", "COMP_CWORD": "val" if shell == "fish" else "1"}
    environment = {**os.environ, "_ENGINE_COMPLETE": f"{shell}_complete", **words}
    found = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert "validate" in found.stdout


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(main, ["simulate", "calratio", "-o", str(tmp_path / "file"), "--events", "1"])
    assert result.exit_code == 2
    assert "cannot be made" in result.output
    assert "name another one" in result.output
