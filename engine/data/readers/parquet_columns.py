"""The columns of a Parquet file as branches, and Arrow arrays as columns.

A record is no branch, its fields are: those of a record `event` and of a list of records `jets`, as awkward-array
writes them, are called `event.run` and `jets.pt`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.columns import Column, Jagged
from engine.data.readers.base import BranchInfo


@dataclass(frozen=True)
class Leaf:
    """A branch and where it is.

    Attributes:
        info: what it holds.
        path: its name in the file, with the steps through lists: `jets.list.element.pt`.
        steps: its column, and the field of each record on the way: `jets`, `pt`.
    """

    info: BranchInfo
    path: str
    steps: tuple[str, ...]


def find_leaves(schema: pa.Schema, paths: Sequence[str]) -> dict[str, Leaf]:
    """The branches of a file by name.

    Args:
        schema: its columns.
        paths: what the file itself calls the values, which are in the same order.
    """
    found: dict[str, Leaf] = {}
    waiting = iter(paths)
    for field in schema:
        for steps, kind, depth in _values_of((field.name,), field.type, 0):
            name = ".".join(steps)
            path = next(iter(list(islice(waiting, _width(kind)))), name)
            leaf = Leaf(_describe(name, kind, depth), path, steps)
            if name in found:
                leaf = replace(found[name], info=BranchInfo(name, "unknown: several columns have this name", 0))
            found[name] = leaf
    return found


def to_column(array: pa.Array, steps: Sequence[str] = ()) -> Column:
    """Numbers without a copy where Arrow has them as NumPy would, lists as offsets and values; missing lists are empty.

    Args:
        array: a column.
        steps: the field to take of each record in it.

    Raises:
        ValueError: numbers are missing that have no NaN.
    """
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.large_list(kind.value_type))
        kind = array.type
    if _is_list(kind):
        if array.null_count:  # a missing list may have values behind it that nobody sees
            array = pa.array(array.to_pylist(), type=kind).fill_null([])
        offsets = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        inner = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        return Jagged(offsets - offsets[0], to_column(inner, steps))
    if pa.types.is_struct(kind):
        return to_column(pc.struct_field(array, [steps[0]]), steps[1:])
    if pa.types.is_dictionary(kind):
        return to_column(array.dictionary_decode())
    if _is_text(kind):
        return np.array(array.to_pylist(), dtype=object)
    if array.null_count and not pa.types.is_floating(kind):
        advice = "write them into the file as some number, or the column as floating point"
        raise ValueError(f"has {array.null_count} missing values, and its type ({kind}) knows no NaN; {advice}")
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=kind.to_pandas_dtype())


def _values_of(steps: tuple[str, ...], kind: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Any, int]]:
    """What a column holds: way, type and number of lists around it of each value that is no record."""
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if not pa.types.is_struct(kind):
        yield steps, kind, depth
        return
    for index in range(kind.num_fields):
        field = kind.field(index)
        yield from _values_of((*steps, field.name), field.type, depth)


def _width(kind: Any) -> int:
    """How many kinds of values a type is stored as."""
    if pa.types.is_map(kind):
        return _width(kind.key_type) + _width(kind.item_type)
    if _is_list(kind):
        return _width(kind.value_type)
    if pa.types.is_struct(kind):
        return sum(_width(kind.field(index).type) for index in range(kind.num_fields))
    return 1


def _is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, of fixed or free length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    """Whether values are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _describe(name: str, kind: pa.DataType, depth: int) -> BranchInfo:
    """Values of a type, with lists around them, in NumPy's terms."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
    if depth > 2 or not (number or _is_text(inner)):
        return BranchInfo(name, f"unknown: {'lists of ' * depth}{kind}", 0)
    return BranchInfo(name, np.dtype(inner.to_pandas_dtype()).name if number else "string", depth)
