"""HDF5 files as `DataFrame.to_hdf` writes them (fixed format), without pandas: see `readers.pandas_frames`.

Columns of one type are a block; the text columns are one pickled object array in a list of bytes, as PyTables does it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from engine.data.columns import Array
from engine.files import complete, make_folder
from engine.sinks import Sink

_NO_NAME = np.bytes_(b"N.")  # the pickle of None
_KINDS = {"b": "bool", "i": "integer", "f": "float"}


@dataclass(frozen=True)
class Index:
    """An index, or a level of one.

    Attributes:
        name: of it.
        values: one a row, or the distinct ones where there are codes.
        codes: for each row the place of its value; None for a plain index.
    """

    name: str
    values: Array
    codes: Array | None = None


class PandasWriter:
    """Writes tables; use it in a `with` block. The file appears under its name when it is complete."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._whole = ExitStack()
        self._sink = self._whole.enter_context(closing(Sink(self._whole.enter_context(complete(path)))))
        self._file: Any = self._whole.enter_context(h5py.File(self._sink, "w"))
        _describe(self._file, CLASS="GROUP", PYTABLES_FORMAT_VERSION="2.1", VERSION="1.0")

    def __enter__(self) -> PandasWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole.__exit__(kind, error, trace)

    def write(self, key: str, index: Sequence[Index], columns: Mapping[str, Array]) -> None:
        """Write a table.

        Args:
            key: its name.
            index: one plain index, or several levels with codes.
            columns: numbers, truth values or (object arrays of) texts, all of the length of the index.
        """
        group = self._file.create_group(key)
        blocks: dict[str, list[str]] = {}
        for name, values in columns.items():
            blocks.setdefault(values.dtype.name, []).append(name)
        _describe(group, CLASS="GROUP", VERSION="1.0", encoding="UTF-8", errors="strict", pandas_type="frame")
        group.attrs.update({"ndim": np.int64(2), "nblocks": np.int64(len(blocks))})
        _label(group, "axis0_variety", "regular")
        _names(group, "axis0", list(columns))
        _write_index(group, index)
        for number, names in enumerate(blocks.values()):
            _label(group, f"block{number}_items_variety", "regular")
            _names(group, f"block{number}_items", names)
            _block(group, f"block{number}_values", [columns[name] for name in names])
        self._sink.check()


def _write_index(group: Any, index: Sequence[Index]) -> None:
    if len(index) == 1 and index[0].codes is None:
        _label(group, "axis1_variety", "regular")
        _level(group, "axis1", index[0])
        return
    _label(group, "axis1_variety", "multi")
    group.attrs["axis1_nlevels"] = np.int64(len(index))
    for number, level in enumerate(index):
        node = _level(group, f"axis1_level{number}", level)
        _label(node, f"axis1_name{level.name}", level.name)
        codes = np.asarray(level.codes)
        small = next(kind for kind in ("i1", "i2", "i4", "i8") if len(level.values) <= np.iinfo(kind).max)
        _array(group, f"axis1_label{number}", codes.astype(small))


def _level(group: Any, name: str, level: Index) -> Any:
    kind = level.values.dtype.kind
    node = _array(group, name, level.values)
    _describe(node, kind=_KINDS[kind], name=level.name)
    return node


def _names(group: Any, name: str, names: Sequence[str]) -> None:
    node = _array(group, name, np.array([each.encode() for each in names]))
    _describe(node, kind="string")
    node.attrs.update({"name": _NO_NAME, "nan_rep": h5py.Empty("S1")})


def _array(group: Any, name: str, values: Array) -> Any:
    if values.dtype == bool:  # a bit field, which h5py has no type for
        space = h5py.h5s.create_simple(values.shape)
        place = h5py.h5d.create(group.id, name.encode(), h5py.h5t.STD_B8LE, space)
        place.write(h5py.h5s.ALL, h5py.h5s.ALL, values.astype(np.uint8), mtype=h5py.h5t.STD_B8LE)
        node = h5py.Dataset(place)
    else:
        node = group.create_dataset(name, data=values)
    _describe(node, CLASS="ARRAY", FLAVOR="numpy", VERSION="2.4")
    node.attrs["transposed"] = np.uint8(1)
    return node


def _block(group: Any, name: str, columns: Sequence[Array]) -> None:
    """The columns of one type side by side, (rows, columns)."""
    if columns[0].dtype != object:
        _array(group, name, np.stack(columns, axis=1))
        return
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for number, column in enumerate(columns):
        table[:, number] = column
    node = group.create_dataset(name, (1,), h5py.vlen_dtype(np.uint8), maxshape=(None,), chunks=(16,))
    node[0] = np.frombuffer(pickle.dumps(table, protocol=4), np.uint8)
    _describe(node, CLASS="VLARRAY", PSEUDOATOM="object", VERSION="1.4")
    node.attrs["transposed"] = np.uint8(1)


def _describe(node: Any, **texts: str) -> None:
    """Attributes that PyTables looks at."""
    node.attrs["TITLE"] = h5py.Empty("S1")
    for name, text in texts.items():
        _label(node, name, text)


def _label(node: Any, name: str, text: str) -> None:
    """An attribute as PyTables writes texts: of fixed length, marked as UTF-8."""
    content = text.encode()
    node.attrs.create(name, np.bytes_(content), dtype=h5py.string_dtype("utf-8", len(content)))
