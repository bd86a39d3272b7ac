"""A run is a directory that holds everything it needs, `runs/<name>/<number>/`; `latest` leads to the newest."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from engine import leftovers
from engine.errors import UsageError
from engine.files import file_sentence, make_folder, read_json, refusal
from engine.locks import held

PACKAGES = ("engine", "torch", "numpy", "uproot", "awkward", "pyarrow", "h5py", "numba", "onnx", "onnxruntime")

CONTRACT_KEYS = ("inputs", "targets", "columns", "transforms", "content")


@dataclass(frozen=True)
class RunDirectory:
    """Where each part of a run stands. Nothing is shared between runs and nothing of another run is overwritten.

    Attributes:
        path: the run.
        apart: where the results of another evaluation than the run's own go; None for the run's own.
    """

    path: Path
    apart: Path | None = None

    @property
    def results(self) -> Path:
        """Where an evaluation writes."""
        return self.path if self.apart is None else self.apart

    @property
    def spec(self) -> Path:
        """The spec after includes and overrides: what was really run."""
        return self.path / "spec.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine and start time."""
        return self.path / "environment.json"

    @property
    def contract(self) -> Path:
        """What the network expects of its input: features, units, transforms, classes, content hash of the data."""
        return self.path / "contract.json"

    @property
    def metrics_log(self) -> Path:
        """One JSON object a line: losses and metrics of each step and epoch."""
        return self.path / "metrics.jsonl"

    @property
    def metrics(self) -> Path:
        """The metrics of the evaluation."""
        return self.results / "metrics.json"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Best and last checkpoint."""
        return self.path / "checkpoints"

    @property
    def loaded(self) -> Path:
        """Copies of the weights of other runs that it started from."""
        return self.path / "loaded"

    @property
    def plots(self) -> Path:
        """Figures as PNG and PDF."""
        return self.results / "plots"

    @property
    def predictions(self) -> Path:
        """Outputs of the network on the evaluated splits."""
        return self.results / "predictions"

    @property
    def report(self) -> Path:
        """The self-contained report."""
        return self.results / "report.html"

    @property
    def export(self) -> Path:
        """The exported network."""
        return self.path / "export"

    @property
    def stages(self) -> Path:
        """Which stages of the pipeline are complete."""
        return self.path / "stages.json"


def create_run(root: Path, name: str) -> RunDirectory:
    """Make the next numbered run directory of an experiment and point `latest` at it.

    Raises:
        UsageError: no directory can be made there.
    """
    before = latest_run(root, name)
    if before is not None:
        leftovers.clear(before.path, below=True)
    path = _next_folder(root / name, "")
    _point_latest(path.parent, path.name)
    return RunDirectory(path)


def create_evaluation(run: RunDirectory) -> RunDirectory:
    """The run with the next numbered directory for another evaluation: `<run>/evaluations/<number>/`.

    Raises:
        UsageError: no directory can be made there.
    """
    return RunDirectory(run.path, _next_folder(run.path / "evaluations", ""))


def create_group(root: Path, name: str) -> Path:
    """Make the next numbered directory for repeated runs of an experiment: `runs/<name>/<number>-repeat/`.

    Raises:
        UsageError: no directory can be made there.
    """
    return _next_folder(root / name, "-repeat")


def check_place(root: Path) -> None:
    """Refuse a place where no run can be kept, before any work is done for it; nothing is made there.

    Raises:
        UsageError: it, or the part of it that is there, is no folder that can be written to.
    """
    there = next(part for part in (root, *root.absolute().parents) if part.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        reason = "cannot be written to" if there.is_dir() else "is no folder"
        raise UsageError(f"runs cannot be kept in {root}: {there} {reason}; name another place with --out")


def _next_folder(folder: Path, ending: str) -> Path:
    """A new directory with the next number. Two programs that start at once get two numbers: `mkdir` decides."""
    make_folder(folder)
    numbers = [entry.name.removesuffix("-repeat") for entry in folder.iterdir()]
    number = 1 + max((int(each) for each in numbers if each.isdigit()), default=0)
    while True:
        path = folder / f"{number:04d}{ending}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
        except OSError as error:
            message = f"the run directory {path} cannot be made ({file_sentence(error)}); name another place with --out"
            raise refusal(error)(message) from None


GROUP = "repeat.json"
"""The file that makes a directory a group of repeated runs."""


def is_group(path: Path) -> bool:
    """Whether a directory holds repeated runs of one spec."""
    return (path / GROUP).is_file()


def _point_latest(folder: Path, target: str) -> None:
    temporary = folder / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(folder / "latest")


def open_run(path: Path) -> RunDirectory:
    """An existing run.

    Raises:
        UsageError: `path` is no run directory; the sentence names runs that are there.
    """
    run = RunDirectory(path.resolve())
    if run.spec.is_file():
        return run
    candidates = sorted(str(spec.parent) for spec in path.glob("**/spec.yaml")) if path.is_dir() else []
    if is_group(path):
        message = f"{path} holds repeated runs; name one of them, such as {path / '1'}"
        raise UsageError(message)
    hint = f"; there are {', '.join(candidates[:3])}" if candidates else "; `engine run SPEC` makes one"
    message = f"{path} is not a run directory (it has no spec.yaml){hint}"
    raise UsageError(message)


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Keep other processes from continuing a run, or a group of repeated ones, at the same time.

    Raises:
        UsageError: another process is at it.
    """

    def refuse(owner: str) -> None:
        message = f"{path} is being worked on by {owner}; wait until that has ended, or stop it"
        raise UsageError(message)

    with held(path, refuse):
        yield


def read_environment(run: RunDirectory) -> dict[str, Any]:
    """What `run` wrote about how it was started.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_json(run.environment, "what the run notes about its start", ["prepared"])


def read_contract(run: RunDirectory) -> dict[str, Any]:
    """What the network of a run expects of its input.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_json(run.contract, "what the run notes about its data", CONTRACT_KEYS)


def latest_run(root: Path, name: str) -> RunDirectory | None:
    """The newest run of an experiment, or None."""
    folder = root / name
    numbers = sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()) if folder.is_dir() else []
    return RunDirectory((folder / f"{numbers[-1]:04d}").resolve()) if numbers else None


def describe_environment(command: list[str], device: str) -> dict[str, Any]:
    """What is needed to understand a result later: versions, machine, command, time (UTC)."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": command,
        "device": device,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "versions": versions,
    }
