"""Parquet files, read one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.columns import Column
from engine.data.readers.base import NoSuchTree
from engine.data.readers.file_reader import FileReader
from engine.data.readers.parquet_columns import find_leaves, to_column
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
        paths = [self._file.schema.column(index).path for index in range(len(self._file.schema))]
        self._leaves = find_leaves(schema, paths)
        self._branches = {name: leaf.info for name, leaf in self._leaves.items()}

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
            return {name: self._column(name, whole) for name in names}

    def close(self) -> None:
        """Release the file."""
        self._last = None
        super().close()

    def _group(self, group: int, names: tuple[str, ...], start: int, stop: int) -> pa.Table:
        """The asked rows of one row group; the last group is kept, as the next range often starts in it."""
        if self._last is None or self._last[:2] != (group, names):
            paths = [self._leaves[name].path for name in names]
            self._last = (group, names, self._file.read_row_group(group, columns=paths))
        first = int(self._edges[group])
        low, high = max(start - first, 0), min(stop, int(self._edges[group + 1])) - first
        return self._last[2].slice(low, high - low)

    def _column(self, name: str, table: pa.Table) -> Column:
        """A branch as NumPy arrays."""
        column, *steps = self._leaves[name].steps
        chunks = table.column(column)
        array = chunks.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # what older versions give where there are no chunks at all
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], chunks.type)
        try:
            return to_column(array, steps)
        except ValueError as error:
            raise DataError(f"{self.path}: column '{name}' {error}") from error


def _open(path: str) -> Any:
    """A file object for a local path or, through fsspec, a URL."""
    if "://" not in path:
        return pa.OSFile(path, "rb")
    import fsspec

    return fsspec.open(path, "rb").open()
