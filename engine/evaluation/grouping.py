"""Parts of rows: categories, bins of a column, the classes of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import class_names
from engine.evaluation.unavailable import UnavailableError

MOST_CATEGORIES = 200
Per = str | Sequence[str] | Mapping[str, Sequence[float | str]] | None


@dataclass(frozen=True)
class Group:
    """A category or bin: the name to show, what it is made of, and which of the rows belong to it."""

    name: str
    values: Mapping[str, Any]
    mask: Array


def groups(per: Per, columns: Mapping[str, Array], restricted: Array | None = None) -> list[Group]:
    """The parts of the rows that `per` asks for; [] for None.

    Args:
        per: columns (one group for each combination of values) or bins of one column (low <= value < high).
        columns: shape (m,) each.
        restricted: the rows (bool, shape (m,)) that categories are made of and restrict; all others belong to every
            category. None: all rows. Bins restrict all rows always.
    """
    if per is None:
        return []
    if isinstance(per, Mapping):
        return [group for column, edges in per.items() for group in _bins(column, edges, _column(columns, column))]
    names = [per] if isinstance(per, str) else list(per)
    return _categories(names, [_column(columns, name) for name in names], restricted)


def _column(columns: Mapping[str, Array], name: str) -> Array:
    if name not in columns:
        message = f"there is no column {name}; there are {', '.join(columns) or 'none'}"
        raise UnavailableError(message)
    return columns[name]


def _bins(column: str, edges: Sequence[float | str], values: Array) -> list[Group]:
    numbers = [float(edge) for edge in edges]
    found = []
    for low, high in pairwise(numbers):
        found.append(Group(bin_name(column, low, high), {column: [low, high]}, (values >= low) & (values < high)))
    return found


def bin_name(column: str, low: float, high: float) -> str:
    """A bin in words, without limits that say nothing."""
    if np.isinf(low) and np.isinf(high):
        return f"all {column}"
    if np.isinf(high):
        return f"{column} ≥ {low:g}"
    if np.isinf(low):
        return f"{column} < {high:g}"
    return f"{low:g} ≤ {column} < {high:g}"


def _categories(names: Sequence[str], values: Sequence[Array], restricted: Array | None) -> list[Group]:
    concerned = np.ones(len(values[0]), dtype=bool) if restricted is None else restricted
    combinations = np.unique(np.column_stack([column[concerned] for column in values]).astype(np.float64), axis=0)
    if len(combinations) > MOST_CATEGORIES:
        found_many = f"{', '.join(names)} have {len(combinations):,} combinations of values"
        message = f"{found_many}; give bins of one of them instead: {{{names[0]}: [0, 1, 2]}}"
        raise UnavailableError(message)
    found = []
    for combination in combinations:
        match = np.logical_and.reduce([column == value for column, value in zip(values, combination, strict=True)])
        label = ", ".join(f"{name} = {value:g}" for name, value in zip(names, combination, strict=True))
        facts = {name: float(value) for name, value in zip(names, combination, strict=True)}
        found.append(Group(label, facts, match | ~concerned))
    return found


def classes_by(predictions: Predictions, by: str | None) -> list[tuple[str, Array]]:
    """Name and rows (bool, shape (n,)) of each class of a target of rows that has any; all rows together for None."""
    if by is None:
        return [("all", np.ones(len(predictions), dtype=bool))]
    classes = class_names(predictions, by) if by in predictions.targets and predictions.kind(by) == "row" else ()
    if not classes:
        message = f"there is no target {by} of rows with classes"
        raise UnavailableError(message)
    masks = [(name, predictions.targets[by] == index) for index, name in enumerate(classes)]
    return [(name, mask) for name, mask in masks if mask.any()]
