"""`engine validate`: the spec, its graph and its files checked without reading an event and without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Mistake, SpecError

if TYPE_CHECKING:
    from engine.graph.planned import Plan
    from engine.spec.experiment import Experiment


def load_planned(path: Path, overrides: Sequence[str]) -> tuple[Experiment, Plan]:
    """The experiment of a spec and the plan of its network.

    Raises:
        SpecError: every mistake of the spec and of the graph.
    """
    from engine.spec.load import load_experiment

    experiment = load_experiment(path, overrides)
    return experiment, plan_of(experiment)


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
    from engine.evaluation.checks import check_evaluated
    from engine.graph.plan import input_types, plan_network
    from engine.graph.types import PlanError
    from engine.training.checks import check_losses

    try:
        plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    except PlanError as error:
        raise experiment.document.error(error.mistakes) from None
    mistakes = [*_unused_nodes(experiment, plan), *check_losses(experiment, plan)]
    mistakes += check_evaluated(experiment, plan.outputs)
    if mistakes:
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
    experiment, plan = load_planned(path, overrides)
    notes = check_sources(experiment, plan, missing_ok=True)
    lines = [f"{path}: no mistake", graph_table(plan), *(f"note: {note}" for note in notes)]
    if data:
        lines += _files(experiment)
    return "\n".join(lines)


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


def _files(experiment: Experiment) -> list[str]:
    """What the files' metadata say.

    Raises:
        SpecError: branches are missing or of another kind than the spec says, or a sample has no files.
    """
    from engine.data.inspect_files import inspect_files

    found = inspect_files(experiment.data)
    if not found.at_hand:
        return ["files: none of them is here, so none was looked at"]
    if found.mistakes:
        raise experiment.document.error(found.mistakes)
    files = [f"files: {sample}" for sample in found.samples]
    return [*files, *(f"note: {note}" for note in found.notes)]


def _unused_nodes(experiment: Experiment, plan: Plan) -> Iterator[Mistake]:
    from engine.evaluation.choices import evaluated_outputs

    used = [*(loss.of for loss in experiment.training.losses.values()), *evaluated_outputs(experiment, plan.outputs)]
    for exporter in experiment.export:
        used += exporter.options.get("outputs") or []
    for name in plan.unused(used):
        message = f"nothing uses the node `{name}`: no loss, metric, exporter or other node; remove it or use it"
        yield Mistake(("model", "graph", name), message)
