"""What a network learns: of each row, of each object that an input keeps, or of each pair of these objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.data.columns import Array, Jagged
from engine.data.context import RowContext
from engine.data.inputs import object_lookup
from engine.data.membership import Members
from engine.data.values import TARGET_FUNCTIONS, Grouping, Values, evaluate, per_object, per_row
from engine.spec.expressions import Expression
from engine.spec.layouts import PAIR
from engine.spec.sections.data import InputSpec, SampleSpec, TargetSpec
from engine.spec.syntax import Call, Comparison, Membership, Number

MOST_PAIRS = 2_000_000
"""Pairs that are computed at once."""

_CONDITIONS = ("and", "or", "not", "in", "any", "all", "is_finite")

Flat = Callable[[Any], Array]
"""The value of an expression as one number for each of the things that have a target."""


def stored_type(target: TargetSpec) -> str:
    """The NumPy type that a target is stored with; classes and conditions of objects and pairs are small numbers."""
    coded = bool(target.classes)
    if target.kind == "row":
        return "int32" if coded else "float32"
    if coded:
        return "int8" if len(target.classes) <= np.iinfo(np.int8).max else "int16"
    return "int8" if all(is_condition(expression) for expression in target.expressions) else "float32"


def make_target(target: TargetSpec, sample: SampleSpec, context: RowContext) -> Array:
    """The target of each row, absent (-1 or NaN) where it has none or is not valid.

    A label of the sample that is one of the classes says the class of all its rows. Else the class is the one whose
    value the expression has.

    Returns:
        int32, shape (rows,), the index of the class; or float32, shape (rows,) or, for a vector, (rows, components).
    """

    def flat(value: Any) -> Array:
        return per_row(value, context.count, f"targets.{target.name}")

    label = next((label for label in sample.labels if label in target.classes), None)
    if label is None:
        table = _table(target, context, flat, context.count)
    else:
        table = np.full((context.count, 1), list(target.classes).index(label), dtype=stored_type(target))
        _hide(target, context, flat, table)
    return table if target.components else table[:, 0]


def make_object_target(target: TargetSpec, spec: InputSpec, chosen: Members, context: RowContext) -> Jagged:
    """The target of each object that an input keeps, in the order of the input.

    Args:
        target: of objects.
        spec: the input.
        chosen: the objects that it keeps.
        context: the rows.

    Returns:
        Values of shape (objects, components), one component for a scalar; absent ones are -1 or NaN.
    """
    lookup = object_lookup(spec, chosen, context)
    table = _table(target, lookup, lambda value: per_object(value, chosen.grouping), len(chosen.objects))
    return Jagged(chosen.grouping.offsets, table)


def make_pair_target(target: TargetSpec, spec: InputSpec, chosen: Members, context: RowContext) -> Jagged:
    """The target of each ordered pair of objects that an input keeps; arguments as of `make_object_target`.

    Returns:
        Values of shape (objects, keep): for each object, the left one, those with the row's objects in their order;
        absent beyond them.
    """
    objects, of_object = chosen.grouping, object_lookup(spec, chosen, context)
    result = _absent(target, (len(chosen.objects), spec.keep or 0))
    for pairs, left, right in _pairs(objects):
        sides = dict(zip(PAIR, (left, right), strict=True))

        def lookup(name: str, sides: dict[str, Array] = sides, pairs: Grouping = pairs) -> Any:
            side, _, field = name.partition(".")
            if side not in sides:
                return context(name)
            return Values(per_object(of_object(field), objects)[sides[side]], pairs)

        def flat(value: Any, pairs: Grouping = pairs) -> Array:
            return per_object(value, pairs)

        result[left, objects.positions[right]] = _table(target, lookup, flat, len(left))[:, 0]
    return Jagged(objects.offsets, result)


def _pairs(objects: Grouping) -> Iterator[tuple[Grouping, Array, Array]]:
    """All ordered pairs of the objects of each row, some rows at a time: their rows, the left and the right object."""
    counts = objects.counts
    total = np.cumsum(counts * counts)
    part = (total - counts * counts) // MOST_PAIRS
    for number in np.unique(part[counts > 0]):
        wanted = np.where(part == number, counts, 0)
        first = np.flatnonzero(np.repeat(part == number, counts))
        left = np.repeat(first, counts[objects.parents[first]])
        pairs = Grouping.from_counts("pairs", wanted * wanted)
        inside = np.arange(len(left)) - pairs.offsets[pairs.parents]
        right = objects.offsets[pairs.parents] + inside % counts[pairs.parents]
        yield pairs, left, right


def _table(target: TargetSpec, lookup: Callable[[str], Any], flat: Flat, count: int) -> Array:
    """The components, shape (count, components), in the stored type; absent where not valid."""
    table = _absent(target, (count, max(1, len(target.expressions))))
    for column, expression in enumerate(target.expressions):
        value = flat(evaluate(expression, lookup, TARGET_FUNCTIONS))
        if not target.classes:
            with np.errstate(over="ignore"):
                table[:, column] = value
        for index, class_value in enumerate(target.classes.values()):
            if class_value is not None:
                table[value == class_value, column] = index
    _hide(target, lookup, flat, table)
    return table


def _hide(target: TargetSpec, lookup: Callable[[str], Any], flat: Flat, table: Array) -> None:
    """Make what is not valid absent."""
    if target.valid is None:
        return
    valid = flat(evaluate(target.valid, lookup, TARGET_FUNCTIONS))
    table[(valid == 0) | np.isnan(valid)] = _absent(target, ())


def _absent(target: TargetSpec, shape: tuple[int, ...]) -> Array:
    dtype = np.dtype(stored_type(target))
    return np.full(shape, np.nan if dtype.kind == "f" else -1, dtype=dtype)


def is_condition(expression: Expression) -> bool:
    """Whether the value is true or false, and nothing else."""
    root = expression.root
    if isinstance(root, Number):
        return isinstance(root.value, bool)
    return isinstance(root, Comparison | Membership) or (isinstance(root, Call) and root.function in _CONDITIONS)
