"""Expressions of the evaluation: the columns, outputs, targets and weights that their names stand for."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake, Path
from engine.spec.checks.names import unknown
from engine.spec.checks.weights import weight_names
from engine.spec.experiment import Experiment
from engine.spec.expressions import FUNCTIONS, ExpressionError, parse
from engine.spec.quantities import GROUPS, expression_options
from engine.spec.sections import ChoiceSpec


def check_quantities(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of all expressions in the options of a metric or plot."""
    weights = weight_names(experiment.data)
    for below, text in expression_options(spec.options, weights):
        path = (*spec.path, *below)
        if below == ("weight",) and text.isidentifier() and text not in _bare(experiment):
            yield unknown("weight", text, [*weights, "none"], path)
        else:
            yield from check_quantity(text, path, experiment)


def check_quantity(text: str, path: Path, experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of one expression."""
    try:
        expression = parse(text)
    except ExpressionError as error:
        yield Mistake(path, error.message, error.offset)
        return
    for function in sorted(expression.functions):
        if FUNCTIONS[function].of_objects:
            message = f"`{function}` is for objects; an evaluation knows the columns of a row: make `{text}` a column"
            yield Mistake(path, message)
    for name in sorted(expression.names):
        mistake = _name(name, path, expression.offsets.get(name, 0), experiment)
        if mistake is not None:
            yield mistake


def _bare(experiment: Experiment) -> list[str]:
    """Names that may stand alone: columns and nodes."""
    return [*experiment.data.columns, *experiment.model.graph]


def _name(name: str, path: Path, offset: int, experiment: Experiment) -> Mistake | None:
    """What is wrong with a name; None where nothing is."""
    data = experiment.data
    group, _, rest = name.partition(".")
    if group not in GROUPS or not rest:
        known = _bare(experiment)
        found = name in data.columns or group in experiment.model.graph
        if found and name in data.columns and group in experiment.model.graph:
            message = f"`{name}` is a column and a node; write `columns.{name}` or `outputs.{name}`"
            return Mistake(path, message, offset)
        return None if found else unknown("column or node", name, known, path, offset)
    if group == "columns":
        return None if rest in data.columns else unknown("column", rest, data.columns, path, offset)
    if group == "weights":
        known = weight_names(data)
        return None if rest in known else unknown("weight", rest, known, path, offset)
    first, _, part = rest.partition(".")
    if group == "outputs":
        nodes = experiment.model.graph
        return None if first in nodes else unknown("node", first, nodes, path, offset)
    return _target(first, part, path, offset, experiment)


def _target(name: str, part: str, path: Path, offset: int, experiment: Experiment) -> Mistake | None:
    target = experiment.data.targets.get(name)
    if target is None:
        return unknown("target", name, experiment.data.targets, path, offset)
    if target.kind != "row":
        return Mistake(path, f"`targets.{name}` has a value for each object, and one for the row is needed", offset)
    known = [*target.classes, *target.components]
    if part and part not in known:
        what = "component" if target.components else "class"
        return unknown(what, part, known, path, offset)
    if not part and target.components:
        message = (
            f"`targets.{name}` is a vector; write one of {', '.join(f'`targets.{name}.{each}`' for each in known)}"
        )
        return Mistake(path, message, offset)
    return None
