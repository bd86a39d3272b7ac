"""The commands: what each of them does with a spec or a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.devices import available_processors, resolve_device
from engine.files import make_folder
from engine.job import SKIPPED, Job, Outcome, dataset_line, outcome, prepare_data, reopen, start, trained_network
from engine.progress import Progress
from engine.repeat import evaluate_group, resume_group, run_repeated
from engine.runs import check_place, create_evaluation, create_run, is_group, open_run
from engine.stages import evaluate_job, export_network, stages


def prepare(spec: Path, overrides: Sequence[str], prepared: Path, workers: int | None) -> Outcome:
    """Read the files of a spec into its prepared dataset, or find that it is up to date."""
    from engine.validation import load_planned

    experiment, _ = load_planned(spec, overrides)
    with Progress() as progress:
        dataset = prepare_data(experiment, prepared / experiment.name, workers, progress)
    return outcome([dataset_line(dataset)], dataset)


def run(
    spec: Path,
    overrides: Sequence[str],
    out: Path,
    prepared: Path,
    device: str,
    workers: int | None,
    repeat: int | None = None,
) -> Outcome:
    """All stages of a spec in a new run directory, or in several with other seeds."""
    from engine.training.checks import check_precision
    from engine.validation import check_sources, load_planned

    experiment, plan = load_planned(spec, overrides)
    check_sources(experiment, plan)
    device = resolve_device(device)
    with experiment.document.placing():
        check_precision(experiment.training, device)
    check_place(out / experiment.name)
    with Progress() as progress:
        dataset = prepare_data(experiment, prepared / experiment.name, workers, progress)
        if repeat is not None:
            experiments = [load_planned(spec, [*overrides, f"seed={experiment.seed + n}"])[0] for n in range(repeat)]
            return run_repeated(experiments, dataset, out, device, workers, progress)
        directory = create_run(out, experiment.name)
        start(experiment, dataset, directory, device)
        return stages(Job(experiment, plan, dataset, directory, device, progress), resume=False)


def resume(path: Path, device: str, workers: int | None) -> Outcome:
    """Continue a run, or all that is missing of repeated ones; stages that are complete are not done again."""
    with Progress() as progress:
        if is_group(path):
            return resume_group(path, device, workers, progress)
        return stages(reopen(path, device, workers, progress), resume=True)


def evaluate(path: Path, device: str, overrides: Sequence[str] = ()) -> Outcome:
    """Metrics, plots and report of a trained run, or of repeated ones, computed again.

    With overrides of the evaluation they go to a directory of their own, `<run>/evaluations/<number>`.
    """
    with Progress() as progress:
        if is_group(path) and not overrides:
            return evaluate_group(path, device, progress)
        job = reopen(path, device, None, progress, overrides)
        if overrides:
            job = replace(job, run=create_evaluation(job.run))
        return outcome(evaluate_job(job), job.dataset)


def compare(paths: Sequence[Path], output: Path) -> Path:
    """Evaluated runs side by side; returns the report."""
    from engine.evaluation.comparison import compare as compare_runs

    return compare_runs(paths, output)


def export(path: Path) -> Outcome:
    """The best checkpoint of a run, exported again."""
    from engine.validation import load_planned

    directory = open_run(path)
    experiment, plan = load_planned(directory.spec, ())
    return Outcome("\n".join(export_network(experiment, trained_network(experiment, plan, directory), directory)))


def predict(path: Path, files: Sequence[str], output: Path, device: str, batch: int) -> Outcome:
    """Score raw files of the experiment with a trained run."""
    from engine.export.predict import predict_files
    from engine.validation import load_planned

    directory = open_run(path)
    experiment, plan = load_planned(directory.spec, ())
    network = trained_network(experiment, plan, directory).to(resolve_device(device))
    with Progress() as progress:
        outputs = tuple(experiment.trained_on)
        summary = predict_files(experiment, network, outputs, directory, files, output, batch, progress)
    return Outcome(summary.text, SKIPPED if summary.skipped else 0)


def simulate(kind: str, output: Path, events: int, generator: str | None, seed: int, workers: int | None) -> list[Path]:
    """Write stand-in files of an experiment."""
    from engine.simulate.kinds import simulator

    with Progress() as progress:
        write = simulator(kind, generator)
        return write(make_folder(output), events, seed, workers or available_processors(), progress)
