"""The whole program as a user drives it: a workspace, the command line, one finished run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from engine.cli import main

Engine = Callable[..., Result]


@pytest.fixture(scope="session")
def engine(workspace: Path) -> Engine:
    """Run a command in the workspace; a traceback fails the test."""

    def call(*arguments: str | Path) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(workspace)
            result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture(scope="session")
def finished_run(engine: Engine, workspace: Path) -> Path:
    """The directory of a run of the shipped CalRatio spec, two epochs on small simulated files."""
    result = engine("run", "specs/calratio.yaml", "--set", "training.epochs=2", "--device", "cpu", "--workers", "1")
    assert result.exit_code == 0, result.output
    return (workspace / "runs" / "calratio" / "latest").resolve()


FLAT = """\
name: flat
data:
  collections: {event: {number: n, x: x}}
  samples:
    one: {files: one.parquet, rows: event, label: one}
    two: {files: two.parquet, rows: event, label: two}
  inputs: {row: {of: event, features: {x: {}}}}
  targets: {label: {classes: [one, two]}}
  columns: {number: event.number}
  split: {by: [number]}
  predict: {rows: event}
model: {graph: {out: {from: row, layers: [dense: {units: 2, activation: softmax}]}}}
training:
  epochs: 2
  streams: {main: {samples: [one, two], batch: 32}}
  losses: {tagging: {cross_entropy: {of: out, target: label}}}
  updates: [{minimize: tagging}]
evaluation: {plots: [scores]}
export: [onnx]
"""
"""A spec with hardly any work in it, for what has nothing to do with physics."""


@pytest.fixture(scope="session")
def flat_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which `flat.yaml` was run."""
    folder = tmp_path_factory.mktemp("flat")
    (folder / "flat.yaml").write_text(FLAT)
    for seed, name in enumerate(("one", "two")):
        values = np.random.default_rng(seed).normal(seed, size=600)
        pq.write_table(pa.table({"n": np.arange(600), "x": values}), folder / f"{name}.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(main, ["run", "flat.yaml", "--workers", "1", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def flat_run(flat_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of `flat.yaml` of the test's own, in its current directory, with spec, files and prepared data."""
    shutil.copytree(flat_once, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "flat" / "0001"
    environment = json.loads((run / "environment.json").read_text())
    environment["prepared"] = str(tmp_path / "prepared" / "flat")
    (run / "environment.json").write_text(json.dumps(environment))
    return run


@pytest.fixture(scope="session")
def small_run(engine: Engine, workspace: Path) -> Callable[..., Path]:
    """Run `specs/small.yaml`, two classes of 400 events each, under a name and with overrides; a second each."""
    folder = workspace / "data" / "small"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for index, sample in enumerate(("light", "signal")):
        columns = {"number": 1000 * index + np.arange(400), "x": rng.normal(index, 1, 400), "y": rng.normal(size=400)}
        pq.write_table(pa.table(columns), folder / f"{sample}.parquet")
    shutil.copy(Path(__file__).parent / "specs" / "small.yaml", workspace / "specs" / "small.yaml")

    def run(name: str, *overrides: str) -> Path:
        changes = [part for override in (f"name={name}", *overrides) for part in ("--set", override)]
        result = engine("run", "specs/small.yaml", *changes, "--device", "cpu", "--workers", "1")
        assert result.exit_code == 0, result.output
        return (workspace / "runs" / name / "latest").resolve()

    return run
