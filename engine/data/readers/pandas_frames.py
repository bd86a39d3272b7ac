"""The tables in an HDF5 file that pandas wrote (`DataFrame.to_hdf`, fixed format), without pandas or PyTables.

A table is a group: `axis0` are the names of its columns, `axis1` is its index (of a MultiIndex `axis1_level<i>`, the
distinct values of level i, and `axis1_label<i>`, for each row the place of its value among them), `block<i>_items` the
columns that are stored together and `block<i>_values` their values. Columns of objects are pickled, the whole block at
once; the pickle goes through the allow-list (`engine.data.readers.allowlist`), and nothing in it is run.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from engine.data.columns import Array
from engine.data.readers.allowlist import load_records
from engine.data.readers.pickles import UnreadableTable, array_of_record
from engine.errors import DataError

UNNAMED = "index"
"""What an index without a name is called."""


@dataclass(frozen=True)
class Place:
    """Where a column is: the dataset of its block and its number there; `pickled` for objects."""

    dataset: Any
    number: int
    pickled: bool
    kind: str  # value_type of pandas: what numbers stand for (datetime64 and the like); "" for plain values
    transposed: bool


@dataclass(frozen=True)
class Level:
    """A level of the index: distinct values and, for each row, the place among them; codes None for a plain index."""

    name: str
    values: Any
    codes: Any


class Frame:
    """One table: its columns and index, described without reading them.

    Attributes:
        key: name of the group.
        rows: number of rows.
        levels: of the index, one or several.
        places: column -> where it is.
    """

    def __init__(self, path: str, key: str, group: Any) -> None:
        """Describe a table.

        Raises:
            DataError: it has a form that is not read here.
        """
        self.path, self.key = path, key
        _refuse_other_forms(path, key, group)
        self.levels = _levels(group)
        first = self.levels[0]
        self.rows = int((first.values if first.codes is None else first.codes).shape[0])
        self.places: dict[str, Place] = {}
        for number in range(int(group.attrs["nblocks"])):
            self._add_block(group[f"block{number}_items"], group[f"block{number}_values"])
        self._objects: dict[str, Array] = {}  # blocks of objects, which come as a whole
        self._ranges: dict[str, tuple[slice, Array]] = {}  # the last range read of each other block

    def _add_block(self, items: Any, dataset: Any) -> None:
        pickled = _text(dataset.attrs.get("PSEUDOATOM")) == "object"
        transposed = bool(dataset.attrs.get("transposed", False))
        kind = "" if pickled else _text(dataset.attrs.get("value_type"))
        for number, name in enumerate(_names(items)):
            self.places[name] = Place(dataset, number, pickled, kind, transposed)
        if not pickled and "shape" not in dataset.attrs:
            expected = (self.rows, len(_names(items))) if transposed else (len(_names(items)), self.rows)
            if dataset.shape != expected:
                raise DataError(f"{self.path}: a block of '{self.key}' has the shape {dataset.shape}, not {expected}")

    def dtype(self, name: str) -> str:
        """The NumPy name of a column's type, "string", or "unknown: <type>"."""
        place = self.places[name]
        if place.pickled:
            return "string"
        if place.kind:
            return f"unknown: {place.kind}"
        if _is_truth(place.dataset):
            return "bool"
        return (
            str(place.dataset.dtype.name) if place.dataset.dtype.kind in "biuf" else f"unknown: {place.dataset.dtype}"
        )

    def read(self, name: str, rows: slice) -> Array:
        """The values of a column."""
        place = self.places[name]
        if place.pickled:
            return self._pickled(place)[rows, place.number]
        column = self._block(place, rows)[:, place.number]
        return column.astype(bool) if _is_truth(place.dataset) else column

    def _block(self, place: Place, rows: slice) -> Array:
        """A range of rows of a block; the last one read is kept, since its columns are asked for one by one."""
        key = str(place.dataset.name)
        if key in self._ranges and self._ranges[key][0] == rows:
            return self._ranges[key][1]
        if "shape" in place.dataset.attrs:  # pandas stores nothing of an empty table
            return np.zeros((0, len(self.places)), dtype=place.dataset.dtype)
        values = place.dataset[rows] if place.transposed else place.dataset[:, rows].T
        block: Array = values.astype(values.dtype.newbyteorder("="), copy=False)
        self._ranges[key] = (rows, block)
        return block

    def _pickled(self, place: Place) -> Array:
        """A block of objects, unpickled as a whole the first time."""
        key = str(place.dataset.name)
        if key not in self._objects:
            what = f"{self.path}: the text columns of '{self.key}'"
            if place.dataset.shape[0] != 1:
                raise DataError(f"{what} are not stored as one pickle")
            records = load_records(what, io.BytesIO(np.asarray(place.dataset[0], dtype=np.uint8).tobytes()))
            try:
                values = array_of_record(records)
            except (UnreadableTable, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
                raise DataError(f"{what} hold no plain texts ({error})") from error
            if values.ndim == 1:  # the strings of pandas 3
                values = values[:, None]
            elif not place.transposed:
                values = values.T
            if values.ndim != 2 or values.shape[0] != self.rows or values.shape[1] <= place.number:
                raise DataError(f"{what} have the shape {values.shape} in a table of {self.rows} rows")
            self._objects[key] = values
        return self._objects[key]


def find_frames(file: Any) -> dict[str, Any]:
    """The groups of an HDF5 file that are tables of pandas, by name."""
    found: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and "pandas_type" in node.attrs:
            found[name] = node

    file.visititems(visit)
    return found


def _refuse_other_forms(path: str, key: str, group: Any) -> None:
    form = _text(group.attrs.get("pandas_type"))
    if form == "frame_table":
        raise DataError(
            f"{path}: '{key}' is in pandas' table format; read it with `format: hdf5` and `tree: {key}/table`, or "
            "write it with to_hdf(..., format='fixed')"
        )
    if form != "frame":
        raise DataError(f"{path}: '{key}' is a {form} of pandas; a table (DataFrame) is needed")


def _levels(group: Any) -> list[Level]:
    if _text(group.attrs.get("axis1_variety")) == "multi":
        levels = []
        for number in range(int(group.attrs["axis1_nlevels"])):
            values = group[f"axis1_level{number}"]
            levels.append(Level(_index_name(values, number), values, group[f"axis1_label{number}"]))
        return levels
    return [Level(_index_name(group["axis1"], None), group["axis1"], None)]


def _index_name(dataset: Any, number: int | None) -> str:
    """The name of an index; PyTables writes None as the pickle `N.`."""
    name = _text(dataset.attrs.get("name"))
    if name and name != "N.":
        return name
    return UNNAMED if number is None else f"{UNNAMED}{number}"


def _names(dataset: Any) -> list[str]:
    """Names of columns; numbers as text."""
    return [_decoded(value) for value in dataset[:].tolist()]


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_truth(dataset: Any) -> bool:
    """PyTables stores truth values as bit fields."""
    return bool(dataset.id.get_type().get_class() == h5py.h5t.BITFIELD)


def _text(value: Any) -> str:
    """An attribute as text; "" where there is none."""
    return "" if value is None or isinstance(value, h5py.Empty) else _decoded(value)


def level_values(level: Level, rows: slice) -> Array:
    """The values of a level of the index in a range of rows."""
    if level.codes is None:
        return _plain(level.values, level.values[rows])
    codes = level.codes[rows]
    values = _plain(level.values, level.values[:])
    if len(codes) and (codes.min() < 0 or codes.max() >= len(values)):
        raise ValueError(f"the level '{level.name}' of the index has missing values")
    picked: Array = values[codes]
    return picked


def level_type(level: Level) -> str:
    """The NumPy name of the type of a level."""
    kind = _text(level.values.attrs.get("kind"))
    if kind == "bool":
        return "bool"
    dtype = level.values.dtype
    if dtype.kind == "S":
        return "string"
    return str(dtype.name) if dtype.kind in "biuf" and kind in ("", "integer", "float") else f"unknown: {kind} index"


def _plain(dataset: Any, values: Array) -> Array:
    """Truth values are stored as numbers, texts as bytes."""
    if _text(dataset.attrs.get("kind")) == "bool":
        return values.astype(bool)
    if values.dtype.kind == "S":
        return np.array([_decoded(value) for value in values.tolist()], dtype=object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
