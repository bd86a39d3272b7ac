"""Inputs and their features: what they are of, names in their expressions, transforms that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake
from engine.spec.checks.names import View, check_row_expression, objects, unknown, views
from engine.spec.checks.vocabularies import check_vocabularies
from engine.spec.layouts import base_of
from engine.spec.sections import CollectionSpec, DataSpec, FeatureSpec, InputSpec
from engine.spec.suggest import hint

LARGEST = 3.4028234663852886e38
"""The largest number of float32, the type of all that a network sees."""


def check_inputs(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of the inputs, for every kind of row that has to give them."""
    yield from check_vocabularies(data, views(data))
    for spec in data.inputs.values():
        for view in views(data) if spec.text is None and spec.of else ():
            yield from _input(spec, view)
        for feature in spec.features.values():
            yield from _transforms(feature)


def _input(spec: InputSpec, view: View) -> Iterator[Mistake]:
    base = base_of(view.layout, spec.of)
    if base is None:
        if spec.of not in view.layout.selections:
            yield unknown("collection or selection", spec.of, objects(view.layout), (*spec.path, "of"))
        return
    collection = view.layout.collections[base]
    yield from _objects(spec, collection, view)
    for key, expression in (("order", spec.order), ("where", spec.where)):
        yield from check_row_expression(expression, (*spec.path, key), view, collection.fields)
    for feature in spec.features.values():
        yield from _feature(feature, collection, view)


def _objects(spec: InputSpec, collection: CollectionSpec, view: View) -> Iterator[Mistake]:
    """Keys that only make sense for a list of objects, and those that a list needs."""
    if spec.keep is None:
        if view.has_several(collection.name):
            message = f"a row has several `{collection.name}`; write `keep`, the largest number of them"
            yield Mistake(spec.path, message)
            return
        for key, given in (("order", spec.order), ("where", spec.where), ("relative_to", spec.relative_to)):
            if given is not None:
                message = f"`{key}` is for a list of objects; write `keep` too, the largest number of them"
                yield Mistake((*spec.path, key), message, of_key=True)
        return
    if spec.relative_to is None:
        return
    angles = [name for name in ("eta", "phi") if name in collection.fields]
    if not angles:
        message = f"`{collection.name}` has neither `eta` nor `phi`, so nothing can be relative"
        yield Mistake((*spec.path, "relative_to"), message)
    for name in angles if spec.relative_to == "row" else ():
        if name not in view.layout.collections[view.rows].fields:
            message = f"`{view.rows}`, the row, has no field `{name}` that the objects' could be relative to"
            yield Mistake((*spec.path, "relative_to"), message)


def _feature(feature: FeatureSpec, collection: CollectionSpec, view: View) -> Iterator[Mistake]:
    known = collection.fields
    if feature.expression is None and feature.name not in known:
        message = f"`{collection.name}` has no field `{feature.name}`{hint(feature.name, known)}"
        yield Mistake(feature.path, message, of_key=True)
    for index, name in enumerate(feature.fraction_of):
        if name not in known:
            message = f"`{collection.name}` has no field `{name}`{hint(name, known)}"
            yield Mistake((*feature.path, "fraction_of", index), message)
    for key, expression in (("expression", feature.expression), ("mirror", feature.mirror)):
        yield from check_row_expression(expression, (*feature.path, key), view, known)


def _transforms(feature: FeatureSpec) -> Iterator[Mistake]:
    """Limits in the wrong order, and transforms of which only one can be meant."""
    limits = {"clip": feature.clip, "range_from": feature.range_from, "range": feature.range}
    for key, pair in limits.items():
        if isinstance(pair, tuple) and not pair[0] < pair[1]:
            message = f"the first limit must be below the second, found {pair[0]:g} and {pair[1]:g}"
            yield Mistake((*feature.path, key), message)
    finite = ("range_from", "range") if feature.range is None else ("clip", "range_from", "range")
    for key in finite:
        pair = limits[key]
        if isinstance(pair, tuple) and any(abs(limit) == float("inf") for limit in pair):
            yield Mistake((*feature.path, key), "limits that are mapped to a range must be finite")
    yield from _contradictions(feature)
    yield from _one_hot(feature)
    for key in ("scale", "offset", "fill"):
        value = getattr(feature, key)
        if isinstance(value, float) and not abs(value) <= LARGEST:
            message = f"`{key}` must be a number that float32 can hold, found {value:g}"
            yield Mistake((*feature.path, key), message)


def _one_hot(feature: FeatureSpec) -> Iterator[Mistake]:
    """The columns of a one-hot feature are compared with the value itself, so nothing else can act on it."""
    if feature.one_hot is None:
        return
    if len(set(feature.one_hot)) < len(feature.one_hot):
        yield Mistake((*feature.path, "one_hot"), "`one_hot` names a value twice")
    if any(not abs(value) <= LARGEST for value in feature.one_hot):
        yield Mistake((*feature.path, "one_hot"), "the values of `one_hot` must be numbers that float32 can hold")
    others = {
        "abs": feature.absolute,
        "log1p": feature.log1p,
        "clip": feature.clip is not None,
        "scale": feature.scale is not None,
        "offset": feature.offset != 0,
        "range": feature.range is not None,
        "range_from": feature.range_from is not None,
    }
    for key in (key for key, given in others.items() if given):
        message = f"`{key}` would do nothing: `one_hot` compares the value itself; leave it out, or use an `expression`"
        yield Mistake((*feature.path, key), message, of_key=True)


def _contradictions(feature: FeatureSpec) -> Iterator[Mistake]:
    if feature.range is not None and feature.clip is None and feature.range_from is None:
        message = "`range` needs limits that are mapped to it: write `clip` or `range_from` too"
        yield Mistake((*feature.path, "range"), message, of_key=True)
    if feature.range_from is not None and feature.clip is not None:
        message = "`range_from` and `clip` both say which limits are mapped; keep one of them"
        yield Mistake((*feature.path, "range_from"), message, of_key=True)
    mapped = feature.range is not None or feature.range_from is not None
    if mapped and feature.scale is not None:
        message = "`scale` and a range both say how values are scaled; keep one of them"
        yield Mistake((*feature.path, "scale"), message, of_key=True)
    if mapped and feature.offset:
        yield Mistake((*feature.path, "offset"), "a range leaves no room for an `offset`; leave it out", of_key=True)
