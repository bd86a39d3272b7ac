"""The stages of a run: train, evaluate, export, each noted when it is complete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import leftovers
from engine.errors import EngineError, Interrupted, StorageError
from engine.files import read_json, write_json
from engine.job import Job, Outcome, dataset_line, left_out, outcome, trained_network
from engine.runs import RunDirectory, alone_in
from engine.shortage import telling_shortage

if TYPE_CHECKING:
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment

SPEC = "spec"  # in stages.json: the hash of the spec that the stages were done with


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

    _rehearse_export(job)
    summary = train(job.experiment, job.plan, job.dataset, job.run, job.device, resume, job.progress)
    return [summary.sentence]


def _rehearse_export(job: Job) -> None:
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
