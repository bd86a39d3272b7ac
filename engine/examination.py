"""A spec and its graph examined to the end: what is right is checked although something else is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Mistake, SpecError
from engine.spec.load import Examined, examine

if TYPE_CHECKING:
    from engine.graph.planned import Plan
    from engine.graph.types import TensorType
    from engine.spec.experiment import Experiment

UNPLANNABLE = (("data", "inputs"), ("data", "collections"), ("model", "graph"))
"""Parts without which nothing can be said about the graph."""
OF_THE_PLAN = (("data", "inputs"), ("data", "targets"), ("model",), ("blocks",), ("conventions",))
"""Parts of a spec that must be right before losses are held against the network."""


@dataclass(frozen=True)
class Examination:
    """A spec with the plan of its network.

    Attributes:
        spec: the spec, and what is wrong with it by itself.
        plan: its network, where all sizes are known.
        mistakes: all that is wrong with both.
    """

    spec: Examined
    plan: Plan | None
    mistakes: list[Mistake]

    def sound(self) -> tuple[Experiment, Plan]:
        """The experiment and its network.

        Raises:
            SpecError: every mistake, in the order of the file.
        """
        if self.mistakes or self.spec.experiment is None or self.plan is None:
            raise self.error(())
        return self.spec.experiment, self.plan

    def error(self, others: Sequence[Mistake]) -> SpecError:
        """The error that tells all mistakes, and others that were found besides."""
        return self.spec.document.error([*self.mistakes, *others])

    def is_right(self, *paths: tuple[str, ...]) -> bool:
        """Whether nothing is wrong with these parts of the spec, and they are there."""
        wrong = any(mistake.path[: len(path)] == path for mistake in self.mistakes for path in paths)
        return self.spec.experiment is not None and not wrong and not self.spec.gaps.within(*paths)


def examine_planned(path: Path, overrides: Sequence[str] = ()) -> Examination:
    """The spec of a file with the plan of its network and all mistakes of both.

    Raises:
        SpecError: the file cannot be read.
    """
    return with_plan(examine(path, overrides))


def with_plan(spec: Examined) -> Examination:
    """A spec with the plan of its network, and what is wrong with that."""
    from engine.graph.plan import plan_network
    from engine.graph.types import PlanError

    experiment = spec.experiment
    ambiguous = any(each.path[:1] == ("blocks",) and len(each.path) == 2 for each in spec.mistakes)
    if experiment is None or ambiguous or any(path in spec.gaps.paths for path in UNPLANNABLE):
        return Examination(spec, None, spec.mistakes)
    plan, mistakes = None, list(spec.mistakes)
    try:
        plan = plan_network(experiment.model, _known_types(spec, experiment), experiment.conventions)
    except PlanError as error:
        mistakes = _with(mistakes, spec.gaps.real(error.mistakes))
    whole = Examination(spec, plan, mistakes)
    if plan is None or not whole.is_right(*OF_THE_PLAN):
        return Examination(spec, None, mistakes)
    return Examination(spec, plan, _with(mistakes, spec.gaps.real(check_plan(experiment, plan, unused=not mistakes))))


def _with(told: list[Mistake], others: list[Mistake]) -> list[Mistake]:
    """Mistakes and those of a later check, which says in other words what is wrong at the same places."""
    places = {mistake.path for mistake in told}
    return [*told, *(mistake for mistake in others if mistake.path not in places)]


def check_plan(experiment: Experiment, plan: Plan, unused: bool = True) -> Iterator[Mistake]:
    """What losses, metrics and plots ask of the network and it does not give; `unused` nodes where that is known."""
    from engine.evaluation.checks import check_evaluated
    from engine.training.checks import check_losses

    yield from _unused_nodes(experiment, plan) if unused else ()
    yield from check_losses(experiment, plan)
    yield from check_evaluated(experiment, plan.outputs)


def _known_types(spec: Examined, experiment: Experiment) -> dict[str, TensorType | None]:
    """The types of the inputs; None where something is wrong with an input that its type may depend on."""
    from engine.graph.plan import input_types

    unknown = {gap[2] for gap in spec.gaps.paths if gap[:2] == ("data", "inputs")}
    found = (each.path for each in spec.mistakes if each.path[:2] == ("data", "inputs"))
    unknown |= {path[2] for path in found if path[3:4] != ("features",)}
    return {name: None if name in unknown else type_ for name, type_ in input_types(experiment.data).items()}


def _unused_nodes(experiment: Experiment, plan: Plan) -> Iterator[Mistake]:
    from engine.evaluation.choices import evaluated_outputs

    used = [*(loss.of for loss in experiment.training.losses.values()), *evaluated_outputs(experiment, plan.outputs)]
    for exporter in experiment.export:
        used += exporter.options.get("outputs") or []
    for name in plan.unused(used):
        message = f"nothing uses the node `{name}`: no loss, metric, exporter or other node; remove it or use it"
        yield Mistake(("model", "graph", name), message)
