"""Phases of a training, what they load and freeze: names that are there, and something left to do."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake
from engine.spec.checks.names import unknown
from engine.spec.experiment import Experiment
from engine.spec.sections import LoadSpec, TrainingSpec


def check_phases(experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of `phases`, `load` and `freeze`, and phases without an update."""
    training = experiment.training
    seen: set[str] = set()
    for phase in training.phases:
        if phase.name in seen:
            yield Mistake((*phase.path, "name"), f"there are two phases `{phase.name}`")
        seen.add(phase.name)
    for part in training.stages:
        if not part.updates and part.name:
            yield Mistake(part.path, f"the phase `{part.name}` has no `updates`, and `training` has none")
        elif not part.updates:
            yield Mistake(part.path, "`updates` is missing; write what is minimised: `updates: [{minimize: ...}]`")
    for part in (training, *training.phases):
        yield from _freeze(part, experiment)
        if part.load is not None:
            yield from _load(part.load, experiment)


def _freeze(training: TrainingSpec, experiment: Experiment) -> Iterator[Mistake]:
    nodes, path = experiment.model.graph, (*training.path, "freeze")
    if experiment.document.get(path) is None:  # taken over from the whole, which is checked itself
        return
    for index, name in enumerate(training.freeze):
        if name not in nodes:
            yield unknown("node", name, nodes, (*path, index))


def _load(load: LoadSpec, experiment: Experiment) -> Iterator[Mistake]:
    nodes, path = experiment.model.graph, (*load.path, "nodes")
    mapped = isinstance(experiment.document.get(path), dict)
    given: dict[str, str] = {}
    for index, (theirs, ours) in enumerate((load.nodes or {}).items()):
        where = (*path, theirs if mapped else index)
        if ours not in nodes:
            yield unknown("node", ours, nodes, where)
        elif ours in given:
            yield Mistake(where, f"`{ours}` would be loaded twice, from `{given[ours]}` and from `{theirs}`")
        given.setdefault(ours, theirs)
