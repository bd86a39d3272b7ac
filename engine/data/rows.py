"""Training rows out of a chunk of entries: inputs, targets, columns, weight and split of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.collections import Chunk, Collections
from engine.data.columns import Array, Jagged
from engine.data.context import RowContext, Rows, find_rows
from engine.data.inputs import choose_objects, make_input
from engine.data.membership import Members
from engine.data.split import assign_splits
from engine.data.targets import make_object_target, make_pair_target, make_target
from engine.data.values import evaluate, per_row
from engine.errors import DataError
from engine.spec.expressions import Expression
from engine.spec.sections.data import DataSpec, LayoutSpec, RowsSpec, SampleSpec, TargetSpec


@dataclass(frozen=True)
class RowTable:
    """Rows in the order of their entries.

    Attributes:
        entries: entry of the chunk that each row comes from, int64, shape (rows,).
        inputs: for each input (rows, features), or `Jagged` with values of shape (objects, features).
        targets: class index, int32 (-1: none), or numbers, float32, shape (rows,) or (rows, components); targets of the
            objects or pairs of an input are `Jagged` with values of shape (objects, components) or (objects, keep).
        columns: int64, uint64 or float64, shape (rows,).
        weight: float64, shape (rows,).
        factors: values of the expressions of derived weights, float64, shape (rows,).
        split: uint8, shape (rows,): 0 train, 1 validation, 2 test.
    """

    entries: Array
    inputs: Mapping[str, Array | Jagged]
    targets: Mapping[str, Array | Jagged]
    columns: Mapping[str, Array]
    weight: Array
    factors: Mapping[str, Array]
    split: Array

    def __len__(self) -> int:
        return len(self.entries)


def make_rows(data: DataSpec, layout: LayoutSpec, rows: RowsSpec, sample: SampleSpec | None, chunk: Chunk) -> RowTable:
    """The rows of a chunk.

    Args:
        data: inputs, targets, columns and split.
        layout: how the branches of the chunk make collections.
        rows: which objects become rows.
        sample: labels, weight and constants of the rows; None at prediction: no targets and no factors of weights are
            made, and the weight is 1.
        chunk: the branches of the same entries (`engine.data.branches.needed_branches` says which).

    Raises:
        DataError: a branch is missing, or the branches do not fit together; the message names no file.
    """
    collections = Collections(layout, chunk)
    found = find_rows(collections, rows)
    context = _context(data, sample, collections, found)
    columns = {name: _column(context, name, expression) for name, expression in data.columns.items()}
    choose = _chooser(data, context)
    targets = data.targets.values() if sample else ()
    return RowTable(
        entries=found.entry,
        inputs={name: make_input(spec, context, choose) for name, spec in data.inputs.items()},
        targets={each.name: _target(each, data, sample, context, choose) for each in targets if sample},
        columns=columns,
        weight=_weight(context, sample),
        factors=_factors(data, context) if sample else {},
        split=assign_splits([columns[name] for name in data.split.by], data.split, data.seed),
    )


def _chooser(data: DataSpec, context: RowContext) -> Callable[[str], Members]:
    """The objects that an input keeps, by its name; inputs that keep the same ones share them."""
    known: dict[tuple[Any, ...], Members] = {}

    def choose(name: str) -> Members:
        spec = data.inputs[name]
        key = (spec.of, spec.keep, str(spec.where), str(spec.order))
        if key not in known:
            known[key] = choose_objects(spec, context)
        return known[key]

    return choose


def _context(data: DataSpec, sample: SampleSpec | None, collections: Collections, rows: Rows) -> RowContext:
    """Samples share their columns, 0 where one has not got a constant; of rows to predict it is not known: NaN."""
    if sample is not None:
        return RowContext(collections, rows, sample.constants)
    return RowContext(collections, rows, data.predict.constants if data.predict else {}, unknown=np.nan)


def _target(
    target: TargetSpec, data: DataSpec, sample: SampleSpec, context: RowContext, choose: Callable[[str], Members]
) -> Array | Jagged:
    if target.input is None:
        return make_target(target, sample, context)
    make = make_object_target if target.kind == "objects" else make_pair_target
    return make(target, data.inputs[target.input], choose(target.input), context)


def _column(context: RowContext, name: str, expression: Expression) -> Array:
    """A column in the widest type of its kind; integers stay exact where the expression is just a name."""
    values = context.exact(expression)
    if values is None:
        values = per_row(evaluate(expression, context), context.count, f"columns.{name}")
    if values.dtype.kind not in "biuf":
        raise DataError(f"columns.{name} holds text; columns are numbers")
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    return values.astype(np.uint64 if values.dtype == np.uint64 else np.int64)


def _weight(context: RowContext, sample: SampleSpec | None) -> Array:
    """The sample's weight; without one `event.weight` where the layout has it, else 1."""
    if sample is None:
        return np.ones(context.count)
    if sample.weight is not None:
        weight = evaluate(sample.weight, context)
    elif "event" in context.collections and "weight" in context.collections["event"].spec.fields:
        weight = context("event.weight")
    else:
        weight = 1.0
    return per_row(weight, context.count, f"the weight of {sample.name}").astype(np.float64)


def _factors(data: DataSpec, context: RowContext) -> dict[str, Array]:
    """The values of the expressions of derived weights."""
    return {
        name: per_row(evaluate(weight.expression, context), context.count, f"weights.{name}").astype(np.float64)
        for name, weight in data.weights.items()
        if weight.expression is not None
    }
