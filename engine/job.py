"""A run with all that its stages work with: the experiment, its network, and the data that it was started with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.devices import available_processors, resolve_device
from engine.errors import DataError
from engine.files import write_json, write_text
from engine.progress import Progress
from engine.runs import (
    RunDirectory,
    describe_environment,
    open_run,
    read_contract,
    read_environment,
)

if TYPE_CHECKING:
    from engine.data.ledger import LedgerEntry
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.graph.plan import Plan
    from engine.spec.experiment import Experiment

SKIPPED = 3  # exit code of a command that is done, but had to leave files out


@dataclass(frozen=True)
class Outcome:
    """What a command tells the user, and its exit code."""

    text: str
    exit_code: int = 0


@dataclass(frozen=True)
class Job:
    """A run and all that its stages work with."""

    experiment: Experiment
    plan: Plan
    dataset: PreparedDataset
    run: RunDirectory
    device: str
    progress: Progress


def prepare_data(experiment: Experiment, folder: Path, workers: int | None, progress: Progress) -> PreparedDataset:
    """Read the files of an experiment into the prepared dataset of a folder, or find that it is up to date.

    Raises:
        SpecError: the spec says something else than its files, as `engine validate` tells it.
        DataError: the data cannot be prepared; files that were left out are named too.
    """
    from engine.data import finite
    from engine.data.inspect_files import inspect_files
    from engine.data.prepare import prepare

    lost: dict[str, None] = {}

    def told(done: int, total: int, entry: LedgerEntry) -> None:
        task.total = total
        task.advance(done - task.done)
        if entry.lost:
            lost[str(entry.reason)] = None

    try:
        with progress.task("preparing", unit="files") as task:
            dataset = prepare(experiment.data, folder, workers or available_processors(), told)
    except DataError as error:
        found = inspect_files(experiment.data)
        if found.contradictions:
            raise experiment.document.error(found.contradictions) from None
        if found.absent:
            raise DataError(str(experiment.document.error(found.absent))) from None
        others = [f"left out {reason}" for reason in lost if reason not in str(error)]
        with experiment.document.placing():
            raise DataError("\n".join([str(error), *others]), error.place) from None
    for line in finite.told(finite.not_finite(dataset)):
        progress.say(line)
    return dataset


def start(experiment: Experiment, dataset: PreparedDataset, directory: RunDirectory, device: str) -> None:
    """Write into a new run directory all that a later command needs to go on with it."""
    from engine.training.sources import keep_copies

    write_text(directory.spec, experiment.document.to_yaml())
    environment = {**describe_environment(sys.argv, device), "prepared": str(dataset.path.resolve())}
    write_json(directory.environment, environment)
    write_json(directory.contract, dataset.contract())
    keep_copies(experiment.training, directory)


def reopen(path: Path, device: str, workers: int | None, progress: Progress, overrides: Sequence[str] = ()) -> Job:
    """A run that was started before, with the data that it was started with.

    Args:
        path: the run.
        device, workers, progress: for what is to be done with it.
        overrides: of its evaluation.

    Raises:
        DataError: the prepared data are no longer those of the run.
        SpecError: an override is wrong, or not of the evaluation.
    """
    from engine.validation import load_evaluated

    directory = open_run(path)
    experiment, plan = load_evaluated(directory.spec, overrides)
    device = resolve_device(device)
    dataset = _trained_on(directory, experiment, workers, progress)
    return Job(experiment, plan, dataset, directory, device, progress)


def _trained_on(
    directory: RunDirectory, experiment: Experiment, workers: int | None, progress: Progress
) -> PreparedDataset:
    """The prepared data of a run: as they are if they are still the same, else prepared again from the files.

    Raises:
        DataError: they have become others.
    """
    from engine.data.store import PreparedDataset

    folder = Path(read_environment(directory)["prepared"])
    contract = read_contract(directory)
    with suppress(DataError):
        dataset = PreparedDataset.open(folder)
        if dataset.contract() == contract and dataset.is_whole():
            return dataset
    dataset = prepare_data(experiment, folder, workers, progress)
    differing = [key for key, value in dataset.contract().items() if contract.get(key) != value]
    if differing:
        message = (
            f"{directory.path} was trained on other data than {dataset.path} holds now: "
            f"{', '.join(differing)} differ; put the files back as they were, or start a new run"
        )
        raise DataError(message)
    return dataset


def dataset_line(dataset: PreparedDataset) -> str:
    """The prepared data in a line."""
    samples: dict[str, Any] = dataset.manifest["samples"]
    rows = sum(sample["rows"] for sample in samples.values())
    each = ", ".join(f"{name} {sample['rows']}" for name, sample in samples.items())
    return f"prepared {dataset.path}: {rows} rows ({each})"


def outcome(lines: list[str], dataset: PreparedDataset) -> Outcome:
    """What is done, then what had to be left out."""
    lost = left_out(dataset)
    return Outcome("\n".join([*lines, *lost]), SKIPPED if lost else 0)


def left_out(dataset: PreparedDataset) -> list[str]:
    """A line for each file that gave no rows."""
    return [f"left out {entry.reason}" for entry in dataset.ledger if entry.lost]


def trained_network(experiment: Experiment, plan: Plan, directory: RunDirectory) -> Network:
    """The network with the best weights of a run, in inference mode, on the CPU; it gives probabilities for logits.

    Raises:
        TrainingError: the run has no checkpoint yet.
    """
    from engine.graph.network import build_network
    from engine.training import checkpoint
    from engine.training.activations import logit_outputs

    network = build_network(plan, experiment.seed)
    network.finish = logit_outputs(experiment, plan)
    best = checkpoint.find(directory.checkpoints, "best") or directory.checkpoints / "best"
    checkpoint.load_weights(network, best)
    return network.eval()
