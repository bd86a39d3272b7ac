"""The inputs of the network for the rows of a chunk: features of the row itself, or of the objects it owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.data.collections import Collection
from engine.data.columns import Array, Jagged
from engine.data.context import RowContext
from engine.data.features import Lookup, feature_values
from engine.data.membership import Members
from engine.data.ordering import keep_first, sort_members
from engine.data.selections import select
from engine.data.values import FLAT_FUNCTIONS, REDUCTIONS, Values, evaluate, per_object, per_row
from engine.errors import DataError
from engine.spec.layouts import base_or_name
from engine.spec.sections.data import InputSpec


class FlatBackend:
    """The feature program on flat NumPy arrays."""

    functions: Mapping[str, Callable[..., Any]] = FLAT_FUNCTIONS

    def leading(self, values: Values) -> Values:
        """The value of each row's first object; a row's own value is its own first."""
        if values.grouping is None:
            return values
        return Values(REDUCTIONS["first"](values.array, values.grouping))


def is_row_input(spec: InputSpec) -> bool:
    """Whether an input describes the row itself and not a list of objects."""
    return spec.keep is None


def make_input(spec: InputSpec, context: RowContext) -> Array | Jagged:
    """The features of an input in the type it is stored with.

    Returns:
        Shape (rows, features) for the row itself; else one list of objects a row, with values of shape
        (objects, features).

    Raises:
        DataError: a name is unknown, a branch is missing, or a value is too large for the type.
    """
    if is_row_input(spec):
        return _row_input(spec, context)
    chosen = choose_objects(spec, context)
    lookup = _object_lookup(context.collections[base_or_name(context.collections.layout, spec.of)], chosen, context)
    features = _features(spec, context, lookup)
    columns = (per_object(value, chosen.grouping) for value in features)
    return Jagged(chosen.grouping.offsets, _table(spec, len(chosen.objects), columns))


def choose_objects(spec: InputSpec, context: RowContext) -> Members:
    """The objects of each row that the input keeps: those that pass `where`, in `order`, the first `keep` of them.

    `where` and `order` see the fields as the file has them; angles become relative afterwards, since which object
    leads depends on the order.
    """
    selected = select(context.collections, spec.of)
    chosen = context.members(selected.collection.name)
    if len(selected.objects) < selected.collection.objects:
        chosen = chosen.compress(selected.mask[chosen.objects])
    if spec.where is not None:
        passed = evaluate(spec.where, _object_lookup(selected.collection, chosen, context))
        chosen = chosen.compress(per_object(passed, chosen.grouping) != 0)
    if spec.order is not None:
        key = evaluate(spec.order, _object_lookup(selected.collection, chosen, context))
        chosen = sort_members(chosen, per_object(key, chosen.grouping))
    return chosen if spec.keep is None else keep_first(chosen, spec.keep)


def _row_input(spec: InputSpec, context: RowContext) -> Array:
    collection = context.collections[base_or_name(context.collections.layout, spec.of)]
    if collection is not context.rows.collection and collection.grouping is not None:
        raise DataError(
            f"the input {spec.name} is made of {spec.of}, of which a row has several; write `keep:`, the number of "
            "objects to keep"
        )

    def lookup(name: str) -> Values:
        return context(f"{collection.name}.{name}" if name in collection.spec.fields else name)

    columns = (per_row(value, context.count, f"inputs.{spec.name}") for value in _features(spec, context, lookup))
    return _table(spec, context.count, columns)


def _object_lookup(collection: Collection, chosen: Members, context: RowContext) -> Lookup:
    """Plain names are fields of the objects, all others those of the row."""

    def lookup(name: str) -> Values:
        if name in collection.spec.fields:
            return Values(collection.number(name)[chosen.objects], chosen.grouping)
        return context(name)

    return lookup


def _features(spec: InputSpec, context: RowContext, lookup: Lookup) -> list[Any]:
    with np.errstate(all="ignore"):
        return feature_values(spec, context.rows.collection.name, lookup, FlatBackend())


def _table(spec: InputSpec, rows: int, columns: Any) -> Array:
    """Columns side by side in the stored type.

    Raises:
        DataError: a finite value is infinite in that type.
    """
    table = np.empty((rows, len(spec.features)), dtype=spec.dtype)
    for index, (name, column) in enumerate(zip(spec.features, columns, strict=True)):
        with np.errstate(all="ignore"):
            table[:, index] = column
        lost = np.isinf(table[:, index]) & np.isfinite(column)
        if lost.any():
            raise DataError(
                f"the feature {name} of the input {spec.name} reaches {np.abs(column[lost]).max():.4g}, more than "
                f"{spec.dtype} holds ({np.finfo(spec.dtype).max:.4g}); divide it in an `expression:`, or write "
                "`dtype: float32`"
            )
    return table
