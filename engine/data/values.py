"""Values that expressions compute with: one a row, or one for each object of each row, in flat arrays.

The operators and functions bring both kinds together: a row's value goes to every object of the row. Reductions make
row values of object values. Conditions count as 0 and 1 where they are computed with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from engine.data.columns import Array
from engine.data.operations import NUMPY_FUNCTIONS, remainder
from engine.errors import DataError
from engine.spec.expressions import Expression


class Grouping:
    """Which objects belong to which row: row i has the objects offsets[i] .. offsets[i + 1] of the flat arrays."""

    def __init__(self, name: str, offsets: Array) -> None:
        self.name = name  # what the objects are, for messages
        self.offsets = offsets

    @classmethod
    def from_counts(cls, name: str, counts: Array) -> Grouping:
        """Rows with the given numbers of objects, shape (rows,)."""
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(name, offsets)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    @property
    def objects(self) -> int:
        """Number of objects of all rows together."""
        return int(self.offsets[-1])

    @cached_property
    def counts(self) -> Array:
        """Number of objects of each row, int64, shape (rows,)."""
        return np.diff(self.offsets)

    @cached_property
    def parents(self) -> Array:
        """Row of each object, int64, shape (objects,)."""
        return np.repeat(np.arange(self.rows), self.counts)

    @cached_property
    def positions(self) -> Array:
        """Place of each object within its row, counted from 0, int64, shape (objects,)."""
        return np.arange(self.objects) - self.offsets[:-1][self.parents]

    def compress(self, keep: Array) -> Grouping:
        """The grouping of the objects where `keep`, bool of shape (objects,), is true."""
        kept_before = np.zeros(self.objects + 1, dtype=np.int64)
        np.cumsum(keep, out=kept_before[1:])
        return Grouping(self.name, kept_before[self.offsets])


class Values(NDArrayOperatorsMixin):
    """One number a row (`grouping` is None), or one for each object of a grouping; shape (rows,) or (objects,)."""

    __slots__ = ("array", "grouping")

    def __init__(self, array: Array, grouping: Grouping | None = None) -> None:
        self.array = array
        self.grouping = grouping

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        return combine(remainder if ufunc is np.remainder else ufunc, *inputs)


def combine(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call an element-wise function of arrays on Values and plain numbers.

    Raises:
        DataError: objects of different collections are mixed.
    """
    values = [argument for argument in arguments if isinstance(argument, Values)]
    if not values:
        return function(*arguments)
    grouping = _common_grouping(values)
    return Values(np.asarray(function(*(_array(argument, grouping) for argument in arguments))), grouping)


def _common_grouping(values: Sequence[Values]) -> Grouping | None:
    grouping: Grouping | None = None
    for value in values:
        if value.grouping is None or value.grouping is grouping:
            continue
        if grouping is not None:
            raise _mixed(grouping, value.grouping)
        grouping = value.grouping
    return grouping


def _mixed(one: Grouping, other: Grouping) -> DataError:
    return DataError(
        f"an expression mixes objects of {one.name} and of {other.name}; "
        "reduce one of them first, as in sum(...) or first(...)"
    )


def _array(argument: Any, grouping: Grouping | None) -> Any:
    """A plain array of the objects of a grouping (or of rows for None); conditions become 0 and 1."""
    if not isinstance(argument, Values):
        return argument
    array = argument.array if argument.array.dtype != np.bool_ else argument.array.astype(np.float64)
    return array if argument.grouping is grouping or grouping is None else array[grouping.parents]


def per_object(value: Any, grouping: Grouping) -> Array:
    """A value as an array of one number an object; a row's value and a plain number are repeated."""
    if not isinstance(value, Values):
        return np.full(grouping.objects, value)
    if value.grouping is not None and value.grouping is not grouping:
        raise _mixed(grouping, value.grouping)
    return value.array if value.grouping is grouping else value.array[grouping.parents]


def per_row(value: Any, rows: int, what: str) -> Array:
    """A value as an array of one number a row; a plain number is repeated.

    Raises:
        DataError: there is one number an object; `what` names the expression.
    """
    if not isinstance(value, Values):
        return np.full(rows, value)
    if value.grouping is not None:
        raise DataError(
            f"{what} has a value for each of the row's {value.grouping.name}, but one a row is needed; "
            "reduce them, as in sum(...) or first(...)"
        )
    return value.array


def evaluate(
    expression: Expression, lookup: Callable[[str], Any], functions: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """The value of an expression whose names stand for Values or numbers; NaN and infinities are values like others.

    `functions` are FLAT_FUNCTIONS where nothing else is given.
    """
    with np.errstate(all="ignore"):
        return expression.evaluate(lookup, FLAT_FUNCTIONS if functions is None else functions)


def reduce_rows(ufunc: np.ufunc, array: Array, grouping: Grouping, empty: float) -> Array:
    """`ufunc` over the objects of each row, shape (rows,); `empty` for a row without objects."""
    result = np.full(grouping.rows, empty, dtype=array.dtype)
    filled = grouping.counts > 0
    if filled.any():
        result[filled] = ufunc.reduceat(array, grouping.offsets[:-1][filled])
    return result


def _sum(array: Array, grouping: Grouping) -> Array:
    return reduce_rows(np.add, array.astype(np.float64, copy=False), grouping, 0.0)


def _mean(array: Array, grouping: Grouping) -> Array:
    return _sum(array, grouping) / np.maximum(grouping.counts, 1)


def _first(array: Array, grouping: Grouping) -> Array:
    result = np.zeros(grouping.rows, dtype=array.dtype)
    filled = grouping.counts > 0
    result[filled] = array[grouping.offsets[:-1][filled]]
    return result


REDUCTIONS: dict[str, Callable[[Array, Grouping], Array]] = {
    "sum": _sum,
    "mean": _mean,
    "count": lambda array, grouping: _sum(array != 0, grouping),
    "first": _first,
    "any": lambda array, grouping: _sum(array != 0, grouping) > 0,
    "all": lambda array, grouping: _sum(array == 0, grouping) == 0,
    "maximum": lambda array, grouping: reduce_rows(np.maximum, array, grouping, 0.0),
    "minimum": lambda array, grouping: reduce_rows(np.minimum, array, grouping, 0.0),
}
"""Reductions over the objects of each row: (array of shape (objects,), grouping) -> array of shape (rows,)."""


def _reduce(name: str, value: Any) -> Values:
    if not isinstance(value, Values) or value.grouping is None:
        raise DataError(f"{name}(...) needs a field of objects, not a value of the row or a plain number")
    return Values(REDUCTIONS[name](value.array, value.grouping))


def _reduce_or_absent(name: str, value: Any) -> Values:
    """A reduction that is NaN for a row without objects."""
    result = _reduce(name, value)
    empty = value.grouping.counts == 0
    return Values(np.where(empty, np.nan, result.array)) if empty.any() else result


def _rank(value: Any) -> Values:
    """Place of each object in ascending order of the value among the objects of its row; equal ones in order."""
    if not isinstance(value, Values) or value.grouping is None:
        raise DataError("rank(...) needs a field of objects, not a value of the row or a plain number")
    result = np.empty(len(value.array), dtype=np.float64)
    result[np.lexsort((value.array, value.grouping.parents))] = value.grouping.positions
    return Values(result, value.grouping)


def _is_in(value: Any, choices: tuple[Any, ...]) -> Any:
    return combine(lambda first, *others: NUMPY_FUNCTIONS["in"](first, others), value, *choices)


FLAT_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: partial(combine, function) for name, function in NUMPY_FUNCTIONS.items()},
    **{name: partial(_reduce, name) for name in REDUCTIONS},
    "in": _is_in,
    "rank": _rank,
}
"""What the functions of an expression mean for Values."""

TARGET_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **FLAT_FUNCTIONS,
    **{name: partial(_reduce_or_absent, name) for name in ("first", "mean", "maximum", "minimum")},
}
"""The same in targets, where a value of no objects is absent, NaN, and not 0."""
