"""Several runs of one spec with other seeds, on the same prepared data, and what they give on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ExportError, Interrupted, TrainingError
from engine.files import read_json, write_json
from engine.job import Outcome, dataset_line, outcome, reopen, start
from engine.progress import Progress
from engine.runs import GROUP, RunDirectory, alone_in, create_group
from engine.stages import evaluate_job, stages

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.job import Job
    from engine.spec.experiment import Experiment


def run_repeated(
    experiments: Sequence[Experiment],
    dataset: PreparedDataset,
    out: Path,
    device: str,
    workers: int | None,
    progress: Progress,
) -> Outcome:
    """All stages of experiments that differ in their seed alone, each in a run directory `1`, `2`, ... of a group.

    All of them are begun before the first is trained, so that `engine resume` of the group knows what is missing.
    """
    group = create_group(out, experiments[0].name)
    for number, experiment in enumerate(experiments, 1):
        directory = RunDirectory(group / str(number))
        directory.path.mkdir()
        start(experiment, dataset, directory, device)
    runs = {str(number): experiment.seed for number, experiment in enumerate(experiments, 1)}
    write_json(group / GROUP, {"name": experiments[0].name, "seeds": runs})
    return resume_group(group, device, workers, progress)


def resume_group(group: Path, device: str, workers: int | None, progress: Progress) -> Outcome:
    """Continue every run of a group; those that are complete are left as they are.

    Raises:
        UsageError: another process is at the group.
    """
    with alone_in(group):
        return _each(group, device, workers, progress, lambda job: stages(job, resume=True))


def evaluate_group(group: Path, device: str, progress: Progress) -> Outcome:
    """Metrics, plots and report of every run of a group, computed again."""
    return _each(group, device, None, progress, lambda job: outcome(evaluate_job(job), job.dataset))


def members(group: Path) -> dict[str, int]:
    """The names of the runs of a group, in their order, and the seed of each.

    Raises:
        DataError: what the group notes about its runs is damaged.
    """
    seeds: dict[str, int] = read_json(group / GROUP, "what the group notes about its runs", ["name", "seeds"])["seeds"]
    return seeds


def _each(
    group: Path, device: str, workers: int | None, progress: Progress, action: Callable[[Job], Outcome]
) -> Outcome:
    """Do something with every run; one whose training or export fails does not stop the others.

    Raises:
        Interrupted: a signal asked to stop.
    """
    seeds = members(group)
    failures: list[EngineError] = []
    lines: list[str] = []
    code = 0
    for number, (name, seed) in enumerate(seeds.items(), 1):
        progress.say(f"run {number} of {len(seeds)} (seed {seed})")
        try:
            job = reopen(group / name, device, workers, progress)
            lines = lines or [dataset_line(job.dataset)]
            code = max(code, action(job).exit_code)
        except (TrainingError, ExportError) as error:
            failures.append(error)
            progress.say(str(error))
            lines.append(f"run {number} failed: {error}")
        except Interrupted as error:
            message = f"{error}\n`engine resume {group}` continues with all runs of the group"
            raise Interrupted(message) from None
    done = [group / name for name in seeds if (group / name / "metrics.json").is_file()]
    lines.append(f"{len(done)} of {len(seeds)} runs in {group} are complete")
    if done:
        from engine.evaluation.repeats import summarise_repeats

        numbers, report = summarise_repeats(group, done)
        lines += [*numbers, f"report {report}"]
    return Outcome("\n".join(lines), failures[0].exit_code if failures else code)
