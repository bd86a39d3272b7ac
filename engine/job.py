"""A run with all that its stages work with: train, evaluate, export, each noted when it is complete."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import leftovers
from engine.devices import available_processors, resolve_device
from engine.errors import DataError, EngineError, Interrupted, StorageError
from engine.files import read_json, write_json, write_text
from engine.progress import Progress
from engine.runs import (
    RunDirectory,
    alone_in,
    describe_environment,
    open_run,
    read_contract,
    read_environment,
)
from engine.shortage import telling_shortage

if TYPE_CHECKING:
    from engine.data.ledger import LedgerEntry
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.graph.plan import Plan
    from engine.spec.experiment import Experiment

SPEC = "spec"  # in stages.json: the hash of the spec that the stages were done with
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


def stages(job: Job, resume: bool) -> Outcome:
    """Train, evaluate, export; each stage is noted when it is complete, so that a resumed run skips it.

    Raises:
        UsageError: another process is at the same run.
        StorageError: there is no room for what it writes; what is complete stays.
        Interrupted: a signal asked to stop.
    """
    with alone_in(job.run.path):
        leftovers.clear(job.run.path, below=True)
        try:
            return _stages(job, resume)
        except StorageError as error:
            message = f"{error}\nmake room; `engine resume {job.run.path}` then goes on where this has stopped"
            raise StorageError(message) from error
        except KeyboardInterrupt:  # in a training it is noted, and a checkpoint follows
            message = f"interrupted; `engine resume {job.run.path}` goes on with the stage that was under way"
            raise Interrupted(message) from None


def _stages(job: Job, resume: bool) -> Outcome:
    job.progress.say(f"run {job.run.path}")
    parts: list[tuple[str, Callable[[], list[str]]]] = [
        ("train", lambda: _train(job, resume)),
        ("evaluate", lambda: evaluate_job(job)),
        ("export", lambda: _export_trained(job)),
    ]
    done = _done(job) if resume else {}
    if "train" not in done:
        for line in left_out(job.dataset):
            job.progress.say(line)
    for name, stage in parts:
        if name not in done:
            try:
                with job.experiment.document.placing(), telling_shortage():
                    done[name] = stage()
            except EngineError:
                for line in (line for lines in done.values() for line in lines):
                    job.progress.say(line)
                raise
            write_json(job.run.stages, {SPEC: _spec_hash(job), **done})
    return outcome([dataset_line(job.dataset), *(line for lines in done.values() for line in lines)], job.dataset)


def _done(job: Job) -> dict[str, list[str]]:
    """The stages that are complete, with the lines of each; none where the spec of the run was changed since."""
    if not job.run.stages.is_file():
        return {}
    done = read_json(job.run.stages, "what the run notes about its stages")
    if done.pop(SPEC, _spec_hash(job)) == _spec_hash(job):
        return done
    job.progress.say(
        f"{job.run.spec} was changed since: epochs that it has more of are trained, then all is evaluated and exported "
        "again; what is trained already stays as it is (another training is a new run: `engine run`)"
    )
    return {}


def _spec_hash(job: Job) -> str:
    return hashlib.sha256(job.experiment.document.to_yaml().encode()).hexdigest()


def _train(job: Job, resume: bool) -> list[str]:
    from engine.training.train import train

    _rehearseexport_network(job)
    summary = train(job.experiment, job.plan, job.dataset, job.run, job.device, resume, job.progress)
    return [summary.sentence]


def _rehearseexport_network(job: Job) -> None:
    """What export would complain about after the training, it says before."""
    if not job.experiment.export:
        return
    from engine.export.deployed import rehearse
    from engine.graph.network import build_network

    network = build_network(job.plan, job.experiment.seed).eval()
    rehearse(job.experiment, network, tuple(job.experiment.trained_on), job.dataset.contract())


def evaluate_job(job: Job) -> list[str]:
    """Metrics, plots and report; returns a line for each headline and where the report is."""
    from engine.evaluation.history import read_history
    from engine.evaluation.stage import evaluate_run, headline_lines
    from engine.training.board import record_results

    job.progress.say("evaluating")
    network = trained_network(job.experiment, job.plan, job.run).to(job.device)
    result = evaluate_run(job.experiment, job.plan, network, job.dataset, job.run, job.device)
    if job.run.apart is None:
        steps = read_history(job.run.metrics_log).steps
        record_results(job.run.tensorboard, job.experiment, result.values, result.figures, steps)
    return [*headline_lines(result), f"report {job.run.report}"]


def _export_trained(job: Job) -> list[str]:
    if not job.experiment.export:
        return []
    job.progress.say("exporting")
    return export_network(job.experiment, trained_network(job.experiment, job.plan, job.run), job.run)


def export_network(experiment: Experiment, network: Network, directory: RunDirectory) -> list[str]:
    """Every export that the spec asks for; returns a line for each."""
    from engine.export.export import export_run

    return [
        f"exported {path} (largest difference {agreement.largest:.1e} in {agreement.rows} rows)"
        for path, agreement in export_run(experiment, network, tuple(experiment.trained_on), directory)
    ]


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
