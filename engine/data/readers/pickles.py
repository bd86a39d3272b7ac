"""Pickled pandas tables, one row an entry, put together without pandas."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.columns import Array, Column
from engine.data.readers.allowlist import Record, load_records
from engine.data.readers.base import BranchInfo, NoSuchTree
from engine.data.readers.file_reader import FileReader

_DTYPE = re.compile(r"[biuf](1|2|4|8)")


class UnreadableTable(Exception):
    """The records do not make up a table that is understood here."""


class PickleReader(FileReader):
    """A pickled DataFrame as `Reader`; the whole table is in memory from the start, as in every pickle."""

    def __init__(self, path: str, tree: str | None) -> None:
        """Load the table.

        Raises:
            DataError: no pickle, a damaged one, one that names more than a table needs, or no table.
        """
        super().__init__(path)
        if tree is not None:
            raise NoSuchTree(f"{path}: a pickle holds one table without a name; leave out `tree: {tree}`")
        with Path(path).open("rb") as file:
            records = load_records(path, file)
        with self._telling("holds no plain pandas table"):
            self._columns, self._entries = _table(records)
        self._branches = {
            name: BranchInfo(name, "string" if values.dtype == object else values.dtype.name, 0)
            for name, values in self._columns.items()
        }

    @property
    def entries(self) -> int:
        """Number of rows."""
        return self._entries

    def close(self) -> None:
        """Let the table go."""
        self._columns = {}

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        return {name: np.array(self._columns[name][start:stop]) for name in names}


def _table(frame: Any) -> tuple[dict[str, Array], int]:
    """Columns of a DataFrame and the number of its rows."""
    if not isinstance(frame, Record) or frame.name != "DataFrame":
        found = frame.name if isinstance(frame, Record) else type(frame).__name__
        raise UnreadableTable(f"the pickle is a {found}, not a DataFrame")
    state = frame.state if isinstance(frame.state, dict) else {}
    manager = state.get("_mgr", state.get("_data"))
    if not isinstance(manager, Record) or manager.name != "BlockManager":
        raise UnreadableTable("its data are not stored in blocks")
    blocks, axes = _blocks(manager)
    names, entries = _axis(axes[0]), len(_axis(axes[1]))
    columns: dict[int, Array] = {}
    for values, places in blocks:
        positions = _positions(places, len(names))
        block = array_of_record(values)
        rows = block if block.ndim == 2 else block[None, :]
        if rows.shape != (len(positions), entries):
            raise UnreadableTable(f"a block of shape {rows.shape} for {len(positions)} columns and {entries} rows")
        columns.update(zip(positions, rows, strict=True))
    if len(columns) != len(names) or any(number not in columns for number in range(len(names))):
        raise UnreadableTable("columns without values")
    return {str(name): columns[index] for index, name in enumerate(names)}, entries


def _blocks(manager: Record) -> tuple[list[tuple[Any, Any]], Sequence[Any]]:
    """(values, positions) of each block, and the axes. Since pandas 1.3 arguments, before that a state."""
    if len(manager.arguments) >= 2:
        records, axes = manager.arguments[:2]
        return [(record.arguments[0], record.arguments[1]) for record in records], axes
    if not isinstance(manager.state, tuple) or not isinstance(manager.state[-1], dict):
        raise UnreadableTable("its blocks are stored in an unknown way")
    content = manager.state[-1]["0.14.1"]
    return [(block["values"], block["mgr_locs"]) for block in content["blocks"]], content["axes"]


def _axis(index: Any) -> Sequence[Any]:
    """Labels of an axis."""
    if not isinstance(index, Record) or index.name != "_new_Index":
        raise UnreadableTable("an axis of an unknown kind")
    data = index.arguments[1]
    if "data" in data:
        return list(array_of_record(data["data"]).tolist())
    return range(data["start"], data["stop"], data["step"])


def _positions(places: Any, columns: int) -> list[int]:
    """Column numbers of a block: a slice or an array of numbers."""
    if isinstance(places, Record) and places.name == "slice":
        return list(range(*slice(*places.arguments).indices(columns)))
    return [int(place) for place in array_of_record(places)]


def array_of_record(values: Any) -> Array:
    """An array from its record: numbers, or an object array of strings."""
    if not isinstance(values, Record):
        raise UnreadableTable(f"values of type {type(values).__name__}")
    if values.name == "_frombuffer":
        buffer, dtype, shape, order = values.arguments
        return _number_array(_bytes(buffer), dtype, shape, order)
    if values.name == "_reconstruct":
        _, shape, dtype, fortran, content = values.state
        if isinstance(content, list):
            return _object_array(content, shape)
        return _number_array(_bytes(content), dtype, shape, "F" if fortran else "C")
    if values.name == "ArrowStringArray":
        return _strings(values.state["_pa_array"])
    raise UnreadableTable(f"values of type {values.name}")


def _number_array(content: bytes, dtype: Any, shape: tuple[int, ...], order: str) -> Array:
    """Numbers of a NumPy type in native byte order."""
    code = dtype.arguments[0] if isinstance(dtype, Record) and dtype.name == "dtype" else None
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise UnreadableTable(f"values of type {code}")
    endian = dtype.state[1] if isinstance(dtype.state, tuple) else "="
    kind = np.dtype(code).newbyteorder(">" if endian == ">" else "<")
    if len(content) != math.prod(shape) * kind.itemsize:
        raise UnreadableTable("an array whose length does not fit its shape")
    array = np.frombuffer(content, dtype=kind).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(kind.newbyteorder("="))


def _object_array(content: list[Any], shape: tuple[int, ...]) -> Array:
    """Strings (or other plain values) in an object array."""
    if any(isinstance(value, Record) for value in content):
        raise UnreadableTable("a column of objects that are not strings")
    array = np.empty(len(content), dtype=object)
    array[:] = content
    return array.reshape(shape)


def _strings(record: Record) -> Array:
    """The strings of a pickled Arrow array: end positions (int32 or int64) and text, end to end."""
    kind, length, missing, offset, buffers, _, _ = record.arguments[0]
    if missing or offset or kind.arguments[0] not in ("string", "large_string"):
        raise UnreadableTable("a column of strings with missing values")
    width = "<i8" if kind.arguments[0] == "large_string" else "<i4"
    edges = np.frombuffer(_bytes(buffers[1]), width, count=length + 1).tolist() if length else [0]
    text = _bytes(buffers[2]) if buffers[2] is not None else b""
    array = np.empty(length, dtype=object)
    array[:] = [text[start:stop].decode("utf-8") for start, stop in pairwise(edges)]
    return array


def _bytes(value: Any) -> bytes:
    """Bytes, in any of the ways that pickles of the different protocols hold them."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Record) and value.name in ("py_buffer", "bytearray"):
        return _bytes(value.arguments[0])
    if isinstance(value, Record) and value.name == "encode" and value.arguments[1:] == ("latin1",):
        return str(value.arguments[0]).encode("latin1")
    raise UnreadableTable(f"bytes stored as {type(value).__name__}")
