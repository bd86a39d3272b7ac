"""Parquet files, read one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.columns import Column, Jagged
from engine.data.readers.base import BranchInfo, NoSuchTree
from engine.data.readers.file_reader import FileReader
from engine.errors import DataError


class ParquetReader(FileReader):
    """A Parquet file as `Reader`. Missing numbers are NaN in columns of floating point and an error elsewhere."""

    def __init__(self, path: str, tree: str | None) -> None:
        """Open the file and read its footer.

        Raises:
            DataError: no Parquet file, or a damaged one.
        """
        super().__init__(path)
        if tree is not None:
            raise NoSuchTree(f"{path}: a Parquet file holds one table without a name; leave out `tree: {tree}`")
        self._last: tuple[int, tuple[str, ...], pa.Table] | None = None
        with self._opening("a Parquet file"):
            source = _open(path)
            self._resources.append(source)
            self._file = pq.ParquetFile(source)
            schema = self._file.schema_arrow
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self._branches = {field.name: _describe(field.name, field.type) for field in schema}

    @property
    def entries(self) -> int:
        """Number of rows."""
        return int(self._edges[-1])

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        first = max(int(np.searchsorted(self._edges, start, side="right")) - 1, 0)
        last = int(np.searchsorted(self._edges, stop, side="left")) if stop > start else first
        with self._telling("cannot be read; the file seems to be damaged"):
            tables = [self._group(group, tuple(dict.fromkeys(names)), start, stop) for group in range(first, last)]
            whole = pa.concat_tables(tables) if tables else self._file.schema_arrow.empty_table()
            return {name: self._column(name, whole.column(name)) for name in names}

    def close(self) -> None:
        """Release the file."""
        self._last = None
        super().close()

    def _group(self, group: int, names: tuple[str, ...], start: int, stop: int) -> pa.Table:
        """The asked rows of one row group; the last group is kept, as the next range often starts in it."""
        if self._last is None or self._last[:2] != (group, names):
            self._last = (group, names, self._file.read_row_group(group, columns=list(names)))
        first = int(self._edges[group])
        low, high = max(start - first, 0), min(stop, int(self._edges[group + 1])) - first
        return self._last[2].slice(low, high - low)

    def _column(self, name: str, chunks: pa.ChunkedArray) -> Column:
        """A column as NumPy arrays."""
        array = chunks.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # what older versions give where there are no chunks at all
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], chunks.type)
        try:
            return _to_column(array)
        except ValueError as error:
            raise DataError(f"{self.path}: column '{name}' {error}") from error


def _open(path: str) -> Any:
    """A file object for a local path or, through fsspec, a URL."""
    if "://" not in path:
        return pa.OSFile(path, "rb")
    import fsspec

    return fsspec.open(path, "rb").open()


def _is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, of fixed or free length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    """Whether values are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _describe(name: str, kind: pa.DataType) -> BranchInfo:
    """The type of a column in NumPy's terms."""
    inner, depth = kind, 0
    while _is_list(inner):
        inner, depth = inner.value_type, depth + 1
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
    if depth > 2 or not (number or _is_text(inner)):
        return BranchInfo(name, f"unknown: {kind}", 0)
    return BranchInfo(name, np.dtype(inner.to_pandas_dtype()).name if number else "string", depth)


def _to_column(array: pa.Array) -> Column:
    """Numbers without a copy where Arrow has them as NumPy would, lists as offsets and values; missing lists are empty.

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
        return Jagged(offsets - offsets[0], _to_column(inner))
    if pa.types.is_dictionary(kind):
        return _to_column(array.dictionary_decode())
    if _is_text(kind):
        return np.array(array.to_pylist(), dtype=object)
    if array.null_count and not pa.types.is_floating(kind):
        raise ValueError(f"has {array.null_count} missing values, and its type ({kind}) knows no NaN")
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=kind.to_pandas_dtype())
