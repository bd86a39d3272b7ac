"""The inputs of the network for the rows of a chunk: features of the row itself, or of the objects it owns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.data.collections import Collection
from engine.data.columns import Array, Jagged
from engine.data.context import RowContext
from engine.data.features import Lookup, feature_values, relative
from engine.data.membership import Members
from engine.data.ordering import keep_first, sort_members
from engine.data.selections import select
from engine.data.values import FLAT_FUNCTIONS, REDUCTIONS, Grouping, Values, evaluate, per_object, per_row
from engine.data.vocabulary import encode, encode_texts
from engine.errors import DataError
from engine.spec.layouts import base_or_name
from engine.spec.sections.data import InputSpec, TextSpec, VocabularySpec


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


def make_input(spec: InputSpec, context: RowContext, choose: Callable[[str], Members]) -> Array | Jagged:
    """The features of an input in the type it is stored with; `choose` gives the objects that an input keeps.

    Returns:
        Shape (rows, features) for the row itself; else one list of objects a row, with values of shape
        (objects, features).

    Raises:
        DataError: a name is unknown, a branch is missing, or the type does not hold a value.
    """
    if is_row_input(spec):
        return _row_input(spec, context)
    if spec.text is not None:
        return text_codes(spec, context)
    chosen = choose(spec.name)
    collection = context.collections[base_or_name(context.collections.layout, spec.of)]
    lookup = _object_lookup(collection, chosen, context)
    texts = _texts(spec, collection, chosen.objects, chosen.grouping)
    columns = (per_object(value, chosen.grouping) for value in _features(spec, context, lookup, texts))
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


def object_lookup(spec: InputSpec, chosen: Members, context: RowContext) -> Lookup:
    """What names stand for in the features of an input: fields of the objects it keeps, and values of the row."""
    collection = context.collections[base_or_name(context.collections.layout, spec.of)]
    return relative(spec, context.rows.collection.name, _object_lookup(collection, chosen, context), FlatBackend())


def _row_input(spec: InputSpec, context: RowContext) -> Array:
    collection = context.collections[base_or_name(context.collections.layout, spec.of)]
    if collection is not context.rows.collection and collection.grouping is not None:
        raise DataError(
            f"the input {spec.name} is made of {spec.of}, of which a row has several; write `keep:`, the number of "
            "objects to keep"
        )

    def lookup(name: str) -> Values:
        return context(f"{collection.name}.{name}" if name in collection.spec.fields else name)

    objects = context.rows.objects if collection is context.rows.collection else context.rows.entry
    features = _features(spec, context, lookup, _texts(spec, collection, objects, None))
    columns = (per_row(value, context.count, f"inputs.{spec.name}") for value in features)
    return _table(spec, context.count, columns)


def _object_lookup(collection: Collection, chosen: Members, context: RowContext) -> Lookup:
    """Plain names are fields of the objects, all others those of the row."""

    def lookup(name: str) -> Values:
        if name in collection.spec.fields:
            return Values(collection.number(name)[chosen.objects], chosen.grouping)
        return context(name)

    return lookup


def text_codes(spec: InputSpec, context: RowContext) -> Jagged:
    """The codes of the tokens of each row's text, values of shape (tokens, 1), in the stored type.

    Raises:
        DataError: the field is no text, or a token is unknown and the spec says `unknown: stop`.
    """
    text, vocabulary = spec.text or TextSpec("", " "), spec.vocabulary or VocabularySpec((), "pad")
    codes = encode_texts(context.text(text.field), text, vocabulary, spec.keep or 1, f"the input {spec.name}")
    return Jagged(codes.offsets, _table(spec, len(codes.values), [np.asarray(codes.values)]))


def _features(spec: InputSpec, context: RowContext, lookup: Lookup, texts: Mapping[str, Values]) -> list[Any]:
    """The features in their order; `texts` are those that are fields of texts, which are not computed with."""
    computed = {name: feature for name, feature in spec.features.items() if name not in texts}
    with np.errstate(all="ignore"):
        values = feature_values(replace(spec, features=computed), context.rows.collection.name, lookup, FlatBackend())
    found = dict(zip(computed, values, strict=True)) | dict(texts)
    return [found[name] for name in spec.features]


def _texts(spec: InputSpec, collection: Collection, objects: Array, grouping: Grouping | None) -> dict[str, Values]:
    """Features with a vocabulary that are fields of texts."""
    named = [name for name, each in spec.features.items() if each.vocabulary is not None and each.expression is None]
    fields = {name: collection.field(name) for name in named}
    return {name: Values(field[objects], grouping) for name, field in fields.items() if field.dtype.kind not in "biuf"}


def _table(spec: InputSpec, rows: int, columns: Iterable[Any]) -> Array:
    """Columns side by side in the stored type, those with a vocabulary as codes.

    Raises:
        DataError: a finite value is infinite in that type, is no whole number or beyond the range of an integer type,
            or is not in the vocabulary.
    """
    table = np.empty((rows, len(spec.features)), dtype=spec.dtype)
    for index, (name, column) in enumerate(zip(spec.features, columns, strict=True)):
        vocabulary = spec.features[name].vocabulary
        if vocabulary is not None and spec.text is None:
            column = encode(column, vocabulary, f"{spec.name}.{name}")
        if table.dtype.kind != "f":
            table[:, index] = _whole(column, spec, name)
            continue
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


def _whole(column: Array, spec: InputSpec, name: str) -> Array:
    """A column that an integer type holds as it is."""
    limits = np.iinfo(spec.dtype)
    lost = (column < limits.min) | (column > limits.max)
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            lost |= column != np.rint(column)
    if lost.any():
        raise DataError(
            f"the feature {name} of the input {spec.name} has the value {column[lost][0]:.6g}, which {spec.dtype} (the "
            f"whole numbers from {limits.min} to {limits.max}) does not hold; write another `dtype:`"
        )
    return column.astype(spec.dtype)
