"""`engine validate`: the spec, its graph and its files checked without reading an event and without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Mistake, SpecError

if TYPE_CHECKING:
    from engine.examination import Examination
    from engine.graph.planned import Plan
    from engine.spec.experiment import Experiment


def load_planned(path: Path, overrides: Sequence[str]) -> tuple[Experiment, Plan]:
    """The experiment of a spec and the plan of its network.

    Raises:
        SpecError: every mistake of the spec and of the graph.
    """
    from engine.examination import examine_planned

    return examine_planned(path, overrides).sound()


def load_evaluated(path: Path, overrides: Sequence[str]) -> tuple[Experiment, Plan]:
    """The experiment of a run with another evaluation, and the plan of its network.

    Raises:
        SpecError: an override is not of the evaluation, or every mistake of the evaluation.
    """
    from engine.evaluation.checks import check_evaluated
    from engine.spec.load import load_experiment
    from engine.spec.overrides import require_section

    message = "only `evaluation` can be set for a run that is trained, as in `evaluation.metrics=[roc]`"
    require_section(overrides, "evaluation", message)
    trained, plan = load_planned(path, ())
    if not overrides:
        return trained, plan
    experiment = load_experiment(path, overrides)
    if mistakes := list(check_evaluated(experiment, plan.outputs)):
        raise experiment.document.error(mistakes)
    return experiment, plan


def plan_of(experiment: Experiment) -> Plan:
    """The plan of the network of an experiment.

    Raises:
        SpecError: every mistake that shows only when all sizes are known.
    """
    from engine.examination import check_plan
    from engine.graph.plan import input_types, plan_network
    from engine.graph.types import PlanError

    try:
        plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    except PlanError as error:
        raise experiment.document.error(error.mistakes) from None
    if mistakes := list(check_plan(experiment, plan)):
        raise experiment.document.error(mistakes)
    return plan


def check_sources(experiment: Experiment, plan: Plan, missing_ok: bool = False) -> list[str]:
    """Hold the runs that the training loads weights from against the network; what is to be told besides.

    Raises:
        SpecError: one of them is missing (unless that is a note only) or does not fit.
    """
    from engine.training.sources import check_loads

    mistakes, notes = check_loads(experiment, plan, missing_ok)
    if mistakes:
        raise experiment.document.error(mistakes)
    return notes


def validate(path: Path, overrides: Sequence[str], schema_only: bool, data: bool) -> str:
    """Check one spec; what is printed when it is right: the table of nodes, and the files where they are at hand.

    Raises:
        SpecError: every mistake, in the order of the file.
    """
    from engine.spec.load import missing_in_part

    try:
        return _validated(path, overrides, schema_only, data)
    except SpecError:
        if missing := missing_in_part(path, overrides):
            keys = ", ".join(f"`{key}`" for key in missing)
            return f"{path}: a part for specs to include, no mistake; an experiment needs {keys} too"
        raise


def _validated(path: Path, overrides: Sequence[str], schema_only: bool, data: bool) -> str:
    """The same for a file that is an experiment."""
    if schema_only:
        from engine.spec.load import load_document

        load_document(path, overrides)
        return f"{path}: the schema finds no mistake"
    from engine.examination import examine_planned

    examined = examine_planned(path, overrides)
    wrong_loads, notes = _loads(examined)
    wrong_files, files = _files(examined) if data else ([], [])
    if wrong_loads or wrong_files:
        raise examined.error([*wrong_loads, *wrong_files])
    _, plan = examined.sound()
    return "\n".join([f"{path}: no mistake", graph_table(plan), *(f"note: {note}" for note in notes), *files])


def graph_table(plan: Plan) -> str:
    """Nodes, where they come from, their layers, shapes and parameter counts."""
    import io
    import shutil

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=True)
    trainable, fixed = plan.counts
    table.add_column("node", no_wrap=True)
    table.add_column("from")
    table.add_column("layers")
    table.add_column("output", f"{trainable + fixed:,} parameters")
    table.add_column("trainable", f"{trainable:,}", justify="right", no_wrap=True)
    table.add_column("fixed", f"{fixed:,}", justify="right", no_wrap=True)
    for row in plan.table:
        table.add_row(row.name, row.sources, row.layers, row.output, f"{row.trainable:,}", f"{row.fixed:,}")
    buffer = io.StringIO()
    width = max(80, shutil.get_terminal_size((120, 40)).columns)
    Console(file=buffer, width=width, markup=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines() if line.strip())


def describe_blocks(name: str | None) -> str:
    """All blocks with a line each, or one with its parameters, types, defaults and meanings.

    Raises:
        UsageError: there is no such block.
    """
    from engine.graph.describe import describe_block, list_blocks

    return list_blocks() if name is None else describe_block(name)


def schema_text() -> str:
    """The whole schema of a spec as one JSON text."""
    import json

    from engine.spec.bundle import bundle_schema

    return json.dumps(bundle_schema(), indent=2)


def _loads(examined: Examination) -> tuple[list[Mistake], list[str]]:
    """Runs that weights are loaded from and that do not fit, and what is to be told besides."""
    from engine.training.sources import check_loads

    if examined.spec.experiment is None or examined.plan is None or not examined.is_right(("training",)):
        return [], []
    return check_loads(examined.spec.experiment, examined.plan, missing_ok=True)


def _files(examined: Examination) -> tuple[list[Mistake], list[str]]:
    """What the files' metadata contradict: branches that are missing or of another kind; and what there is.

    Nothing where the spec does not say rightly what is in them.
    """
    from engine.data.inspect_files import inspect_files

    if examined.spec.experiment is None or not examined.is_right(("data",)):
        return [], []
    found = inspect_files(examined.spec.experiment.data)
    if not found.at_hand:
        return [], ["files: none of them is here, so none was looked at"]
    files = [f"files: {sample}" for sample in found.samples]
    return found.mistakes, [*files, *(f"note: {note}" for note in found.notes)]
