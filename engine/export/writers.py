"""Tables of scores as ROOT, Parquet or HDF5, written piece by piece, complete or not at all.

The names of the files that were scored go with them, in the order in which the column `file` counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.errors import UsageError
from engine.files import complete
from engine.sinks import Sink

if TYPE_CHECKING:
    import pyarrow as pa

TREE = "scores"
FILES = "files"


class TableWriter(Protocol):
    """A table that grows."""

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows; every call has the same columns, each of shape (rows,) or a list of numbers a row."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class RootWriter:
    """A TTree named `scores`, one branch a column; lists have a branch with their length, `n<name>`, beside them.

    Another one, `files`, has the name of a file in each entry.
    """

    def __init__(self, path: Path, files: Sequence[str]) -> None:
        import uproot

        self._file, self._files = uproot.recreate(path), list(files)
        self._made = False

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows."""
        if not self._made:
            self._file.mktree(TREE, {name: _branch_type(values) for name, values in columns.items()})
            self._made = True
        self._file[TREE].extend({name: _branch_values(values) for name, values in columns.items()})

    def close(self) -> None:
        """Finish the file."""
        if self._files:
            self._file.mktree(FILES, {"name": "string"})
            self._file[FILES].extend({"name": self._files})
        self._file.close()


class ParquetWriter:
    """One row group a piece; `files` in the metadata of the schema is a JSON list of names."""

    def __init__(self, path: Path, files: Sequence[str]) -> None:
        self._path, self._metadata = path, {FILES: json.dumps(list(files))}
        self._writer: Any = None

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {name: _arrow_column(values) for name, values in columns.items()}
        table = pa.table(arrays, metadata=self._metadata)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file; one without any rows has no columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            pq.write_table(pa.table({}, metadata=self._metadata), self._path)
        else:
            self._writer.close()


class HDF5Writer:
    """A group `scores` with one dataset a column; lists are of variable length. The dataset `files` has the names."""

    def __init__(self, path: Path, files: Sequence[str]) -> None:
        import h5py

        self._sink = Sink(path)
        self._file = h5py.File(self._sink, "w")
        self._file.create_dataset(FILES, data=list(files), dtype=h5py.string_dtype())  # attributes end at 64 KiB
        self._group = self._file.create_group(TREE)

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows."""
        for name, column in columns.items():
            values = _hdf5_values(column)
            if name not in self._group:
                self._group.create_dataset(name, (0,), values.dtype, maxshape=(None,), chunks=True)
            if len(values):
                _append(self._group[name], values)
        self._sink.check()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._sink.close()


def _branch_type(column: Column) -> Any:
    return f"var * {np.asarray(column.values).dtype}" if isinstance(column, Jagged) else column.dtype


def _branch_values(column: Column) -> Any:
    if not isinstance(column, Jagged):
        return column
    import awkward as ak

    return ak.unflatten(np.asarray(column.values), column.counts)


def _arrow_column(column: Column) -> pa.Array:
    import pyarrow as pa

    if not isinstance(column, Jagged):
        return pa.array(column)
    return pa.LargeListArray.from_arrays(pa.array(column.offsets), pa.array(column.values))


def _hdf5_values(column: Column) -> Array:
    """Values of a dataset; lists as objects of a type that says so."""
    if not isinstance(column, Jagged):
        return column
    import h5py

    flat = np.asarray(column.values)
    lists = np.empty(len(column), dtype=h5py.vlen_dtype(flat.dtype))
    for row, (start, stop) in enumerate(pairwise(column.offsets.tolist())):  # all at once, lists of equal length
        lists[row] = flat[start:stop]  # would be taken for a table
    return lists


def _append(dataset: Any, values: Array) -> None:
    """Write rows at the end, below h5py's own assignment, which takes lists of equal length for a table."""
    import h5py

    start = len(dataset)
    dataset.resize(start + len(values), axis=0)
    space = dataset.id.get_space()
    space.select_hyperslab((start,), (len(values),))
    dataset.id.write(h5py.h5s.create_simple((len(values),)), space, np.ascontiguousarray(values))


WRITERS: Mapping[str, type[RootWriter] | type[ParquetWriter] | type[HDF5Writer]] = {
    ".root": RootWriter,
    ".parquet": ParquetWriter,
    ".h5": HDF5Writer,
    ".hdf5": HDF5Writer,
}
"""File ending -> writer."""


@contextmanager
def open_writer(path: Path, files: Sequence[str] = ()) -> Iterator[TableWriter]:
    """A writer for the ending of `path`; the file appears under its name when the block ends without an error.

    Args:
        path: the file.
        files: names of those that the rows are from.

    Raises:
        UsageError: no writer has this ending, the folder does not exist, or it cannot be written.
        StorageError: there is no room for the file.
    """
    kind = WRITERS.get(path.suffix.lower())
    if kind is None:
        message = f"{path}: scores are written as {', '.join(WRITERS)}; end the name with one of these"
        raise UsageError(message)
    if not path.absolute().parent.is_dir():
        message = f"{path}: the folder {path.parent} does not exist"
        raise UsageError(message)
    with complete(path) as unfinished:
        writer = kind(unfinished, files)
        try:
            yield writer
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                writer.close()
            raise
        writer.close()
