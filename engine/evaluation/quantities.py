"""Values of a row that expressions of the evaluation speak of: columns, outputs, targets, weights.

A bare name is a column or an output of one value a row; one value of several is `output.name` (the class or component
that it stands for, or its number). `columns.`, `outputs.`, `targets.` and `weights.` say which is meant;
`targets.label.signal` is true for the rows of that class, `targets.vertex.x` a component.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.data.columns import Array
from engine.data.operations import NUMPY_FUNCTIONS
from engine.evaluation.predictions import Predictions
from engine.evaluation.unavailable import UnavailableError
from engine.spec.expressions import ExpressionError, parse
from engine.spec.quantities import GROUPS, longest


def quantity(predictions: Predictions, text: str | float) -> Array:
    """The value of an expression for each row, float64, shape (n,); NaN where it has none.

    Raises:
        UnavailableError: it is no expression, or a name in it stands for nothing that has one value a row.
    """
    try:
        expression = parse(text)
    except ExpressionError as error:
        message = f"`{text}`: {error.message}"
        raise UnavailableError(message) from error
    with np.errstate(all="ignore"):
        try:
            value = expression.evaluate(lambda name: named(predictions, name), NUMPY_FUNCTIONS)
        except KeyError as error:  # a reduction over objects: a row has none here
            message = f"`{text}`: {error.args[0]} is for objects, which no row of an evaluation has"
            raise UnavailableError(message) from error
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (len(predictions),))


def selected(predictions: Predictions, text: str | None) -> Array:
    """The rows for which an expression is true, bool, shape (n,); all for None, none of those where it has no value."""
    if text is None:
        return np.ones(len(predictions), dtype=bool)
    values = quantity(predictions, text)
    chosen: Array = np.isfinite(values) & (values != 0)
    return chosen


def named(predictions: Predictions, name: str) -> Array:
    """The values of a name, shape (n,)."""
    group, _, rest = name.partition(".")
    if group in GROUPS and rest:
        if group == "outputs":
            return _output(predictions, rest)
        if group == "targets":
            return _target(predictions, rest)
        return _member(getattr(predictions, group), rest, group[:-1])
    if name in predictions.columns:
        return predictions.columns[name]
    return _output(predictions, name)


def _member(members: Mapping[str, Array], name: str, what: str) -> Array:
    if name not in members:
        message = f"there is no {what} {name}; there are {', '.join(members) or 'none'}"
        raise UnavailableError(message)
    return members[name]


def _output(predictions: Predictions, name: str) -> Array:
    from engine.evaluation.rows import value_names

    found = longest(name, predictions.outputs)
    if found is None:
        known = [*predictions.columns, *predictions.outputs]
        message = f"there is no column and no output {name}; there are {', '.join(known) or 'none'}"
        raise UnavailableError(message)
    values = predictions.outputs[found]
    if values.ndim != 2:
        message = f"output {found} has a value for each object, and one for the row is needed"
        raise UnavailableError(message)
    names = value_names(predictions, found)
    part = name[len(found) + 1 :]
    if values.shape[1] == 1 and (not part or part == "0" or part == names[-1]):
        return values[:, 0]
    if part in names:
        return values[:, names.index(part)]
    choices = ", ".join(f"{found}.{each}" for each in names)
    message = f"output {found} has no value {part}; there are {choices}" if part else f"write one of {choices}"
    raise UnavailableError(message)


def _target(predictions: Predictions, name: str) -> Array:
    found = longest(name, predictions.targets)
    if found is None:
        message = f"there is no target {name}; there are {', '.join(predictions.targets) or 'none'}"
        raise UnavailableError(message)
    if predictions.kind(found) != "row":
        message = f"target {found} has a value for each object, and one for the row is needed"
        raise UnavailableError(message)
    values, part = predictions.targets[found], name[len(found) + 1 :]
    classes, components = predictions.classes.get(found, ()), predictions.components.get(found, ())
    if not part and values.ndim == 1:
        return np.where(values < 0, np.nan, values) if classes else values
    if part in classes:
        chosen: Array = values == classes.index(part)
        return chosen
    if part in components:
        return values[:, components.index(part)]
    choices = ", ".join(f"targets.{found}.{each}" for each in (*classes, *components))
    message = f"target {found} has no value {part}; there are {choices}" if part else f"write one of {choices}"
    raise UnavailableError(message)
