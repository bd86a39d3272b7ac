"""Derived weights and the split: what they refer to, bins in order, fractions that add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from engine.errors import Mistake
from engine.spec.checks.names import check_row_expression, unknown, views
from engine.spec.checks.targets import of_rows
from engine.spec.sections import DataSpec, WeightSpec

OWN = "weight"
"""The name of the row's own weight."""


def weight_names(data: DataSpec) -> list[str]:
    """Names that a loss or a derived weight may refer to."""
    return [OWN, *data.weights]


def check_split(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of `split:`."""
    path = (*data.path, "split")
    total = data.split.train + data.split.validation + data.split.test
    if abs(total - 1) > 1e-9:
        yield Mistake(path, f"the fractions of train, validation and test must add up to 1, found {total:g}")
    if data.split.train <= 0:
        yield Mistake((*path, "train"), "a part of the rows must be there to train on")
    for index, name in enumerate(data.split.by):
        if name not in data.columns:
            yield unknown("column", name, data.columns, (*path, "by", index))


def check_weights(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of `weights:`."""
    for weight in data.weights.values():
        if weight.name == OWN:
            message = "`weight` is the row's own weight (of its sample); choose another name"
            yield Mistake(weight.path, message, of_key=True)
            continue
        if weight.of not in weight_names(data):
            yield unknown("weight", weight.of, weight_names(data), (*weight.path, "of"))
        elif _is_circular(weight, data):
            yield Mistake((*weight.path, "of"), f"the weight `{weight.name}` starts from itself")
        for index, name in enumerate(weight.samples):
            if name not in data.samples:
                yield unknown("sample", name, data.samples, (*weight.path, "samples", index))
        yield from _factors(weight, data)


def _is_circular(weight: WeightSpec, data: DataSpec) -> bool:
    name, seen = weight.of, set[str]()
    while name in data.weights and name not in seen:
        if name == weight.name:
            return True
        seen.add(name)
        name = data.weights[name].of
    return False


def _factors(weight: WeightSpec, data: DataSpec) -> Iterator[Mistake]:
    """The expression, balancing and re-weighting."""
    for view in views(data):
        yield from check_row_expression(weight.expression, (*weight.path, "expression"), view)
    if weight.balance is None and weight.reweight is None and weight.expression is None:
        message = f"`{weight.name}` changes nothing: write `expression`, `balance` or `reweight`"
        yield Mistake(weight.path, message)
    if weight.balance is not None:
        target = data.targets.get(weight.balance)
        if target is None:
            yield unknown("target", weight.balance, data.targets, (*weight.path, "balance"))
        elif not target.classes or target.kind != "row":
            yield Mistake((*weight.path, "balance"), f"`{weight.balance}` has no classes of rows to be balanced")
    yield from _classes(weight, data)
    yield from _bins(weight, data)


def _classes(weight: WeightSpec, data: DataSpec) -> Iterator[Mistake]:
    balanced = data.targets.get(weight.balance) if weight.balance is not None else None
    targets = [balanced] if balanced is not None else of_rows(data)
    classes = [name for target in targets for name in target.classes]
    words = ["flat"] if weight.reweight is not None else ["mean"]
    if weight.to is not None and weight.to not in [*classes, *words]:
        yield unknown("class", weight.to, [*classes, *words], (*weight.path, "to"))
    elif weight.to in words and weight.to in classes:
        yield Mistake((*weight.path, "to"), f"`{weight.to}` is a class too; give the class another name")


def _bins(weight: WeightSpec, data: DataSpec) -> Iterator[Mistake]:
    if weight.reweight is None:
        if weight.bins:
            yield Mistake((*weight.path, "bins"), "`bins` are for `reweight`, which is missing", of_key=True)
        return
    if weight.reweight not in data.columns:
        yield unknown("column", weight.reweight, data.columns, (*weight.path, "reweight"))
    if weight.to is None:
        message = "`reweight` needs `to`: the class whose distribution the others get, or `flat`"
        yield Mistake(weight.path, message)
    if len(weight.bins) < 2:
        yield Mistake(weight.path, "`reweight` needs `bins`: at least two edges of the column")
    for index, (low, high) in enumerate(pairwise(weight.bins)):
        if not low < high:
            message = f"the edges of bins must ascend, found {high:g} after {low:g}"
            yield Mistake((*weight.path, "bins", index + 1), message)
    if any(math.isinf(edge) for edge in weight.bins[1:-1]):
        yield Mistake((*weight.path, "bins"), "only the outermost edges may be infinite")
