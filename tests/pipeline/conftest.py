"""The whole program as a user drives it: a workspace, the command line, one finished run."""

from __future__ import annotations

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
