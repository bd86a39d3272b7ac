"""The whole program as a user drives it: a workspace, the command line, one finished run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
