"""HDF5 files: datasets of a group as columns, and structured arrays whose fields are columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.data.readers.base import BranchInfo, NoSuchTree
from engine.data.readers.file_reader import FileReader
from engine.errors import DataError

MOST_LETTERS = 1000
"""Of the name of a group within groups: one that holds itself has no end."""


@dataclass(frozen=True)
class _Source:
    """Where a column is: a dataset, and the field of it where the dataset is a structured array."""

    dataset: Any
    field: str | None


class HDF5Reader(FileReader):
    """An HDF5 file as `Reader`.

    `tree` names a group, whose datasets are the columns, or one structured dataset, whose fields are. Fields of a
    structured dataset within a group are called "dataset/field" (jets/pt, tracks/d0). Datasets of more dimensions are
    lists of fixed length.
    """

    def __init__(self, path: str, tree: str | None) -> None:
        """Open the file and list its columns.

        Raises:
            DataError: no HDF5 file, damaged, no such group or dataset, or no length that most columns have.
        """
        super().__init__(path)
        with self._opening("an HDF5 file"):
            self._file = open_hdf5(path, self._resources)
            self._sources = self._find(tree)
            self._branches = {name: _describe(name, source) for name, source in self._sources.items()}
            self._entries = self._length()
            self._branches.update(self._of_other_length())

    @property
    def entries(self) -> int:
        """Number of entries: the length of most columns, and of all that can be read."""
        return self._entries

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        found: dict[str, Column] = {}
        tables: dict[str, Any] = {}
        for name in names:
            source = self._sources[name]
            with self._one(name):
                if source.field is None:
                    found[name] = _to_column(_slice(source.dataset, start, stop))
                    continue
                place = source.dataset.name
                if place not in tables:
                    tables[place] = self._fields(place, names)[start:stop]
                found[name] = _to_column(tables[place][source.field])
        return found

    def _fields(self, place: str, names: Sequence[str]) -> Any:
        """A view of all asked fields of one structured dataset, so that it is decompressed once."""
        sources = [self._sources[name] for name in names]
        fields = [source.field for source in sources if source.field is not None and source.dataset.name == place]
        return self._file[place].fields(list(dict.fromkeys(fields)))

    def _find(self, tree: str | None) -> dict[str, _Source]:
        """The columns of the group or structured dataset that was asked for."""
        node = self._file if tree is None else self._file.get(tree)
        if node is None:
            there = ", ".join(f"'{name}'" for name in self._file) or "nothing"
            raise NoSuchTree(f"{self.path}: there is no group or dataset '{tree}'; at the top there is {there}")
        if isinstance(node, h5py.Dataset):
            if node.dtype.names is None:
                raise NoSuchTree(
                    f"{self.path}: dataset '{tree}' has no fields; name the group that it is in as `tree:`"
                )
            return {field: _Source(node, field) for field in node.dtype.names}
        children = [child for child in node.values() if child is not None]  # None: a link to nowhere
        if any("pandas_type" in each.attrs for each in (node, *children)):
            raise DataError(f"{self.path}: holds tables of pandas; write `format: pandas_hdf` in the layout")
        while isinstance(inner := _only_group(node), h5py.Group) and len(inner.name) < MOST_LETTERS:
            node = inner
        sources: dict[str, _Source] = {}
        for name, child in node.items():
            if not isinstance(child, h5py.Dataset) or not child.shape:
                continue
            if child.dtype.names is None:
                sources[name] = _Source(child, None)
            else:
                sources.update({f"{name}/{field}": _Source(child, field) for field in child.dtype.names})
        return sources

    def _length(self) -> int:
        """The length that most datasets have."""
        lengths = {source.dataset.name.strip("/"): int(source.dataset.shape[0]) for source in self._sources.values()}
        usual = Counter(lengths.values()).most_common(2)
        if len(usual) == 2 and usual[0][1] == usual[1][1]:
            examples = {length: name for name, length in reversed(lengths.items())}
            shown = ", ".join(f"{examples[length]} has {length}" for length in dict.fromkeys(lengths.values()))
            raise DataError(f"{self.path}: the datasets have different lengths ({shown}); name one as `tree:`")
        return usual[0][0] if usual else 0

    def _of_other_length(self) -> Iterator[tuple[str, BranchInfo]]:
        """Columns that are not those of the entries, as most datasets are: metadata beside them, which are not read."""
        for name, source in self._sources.items():
            length = int(source.dataset.shape[0])
            if length != self._entries:
                yield name, BranchInfo(name, f"unknown: its length is {length}, that of most is {self._entries}", 0)


def open_hdf5(path: str, resources: list[Any]) -> Any:
    """An open HDF5 file, local or, through fsspec, at a URL; what is to be closed is added to `resources`."""
    handle: Any = path
    if "://" in path:
        import fsspec

        handle = fsspec.open(path, "rb").open()
        resources.append(handle)
    file = h5py.File(handle, "r")
    resources.append(file)
    return file


def _only_group(node: Any) -> Any:
    """The group that is all there is in a group, else None."""
    return next(iter(node.values())) if len(node) == 1 else None


def _value_type(source: _Source) -> tuple[np.dtype[Any], int]:
    """Type of the values and number of dimensions of a column."""
    dtype = source.dataset.dtype if source.field is None else source.dataset.dtype[source.field]
    dimensions = source.dataset.ndim
    if dtype.subdtype is not None:
        dtype, shape = dtype.subdtype
        dimensions += len(shape)
    return dtype, dimensions


def _describe(name: str, source: _Source) -> BranchInfo:
    """The type of a column in NumPy's terms."""
    dtype, dimensions = _value_type(source)
    depth = dimensions - 1
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None and not isinstance(inner, type):
        dtype, depth = inner, depth + 1
    if h5py.check_string_dtype(dtype) is not None or dtype.kind == "S":
        return BranchInfo(name, "string", depth) if depth == 0 else BranchInfo(name, "unknown: lists of strings", 0)
    if dtype.kind not in "biuf" or depth > 2:
        return BranchInfo(name, f"unknown: {dtype} of {dimensions} dimensions", 0)
    return BranchInfo(name, dtype.name, depth)


def _slice(dataset: Any, start: int, stop: int) -> Any:
    """A range of a dataset, strings as str."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[start:stop]
    return dataset[start:stop]


def _to_column(values: Any) -> Column:
    """An array in native byte order; further dimensions and ragged rows as lists."""
    if values.dtype.kind == "S":
        return np.array([value.decode("utf-8", "replace") for value in values.tolist()], dtype=object)
    if values.dtype == object:
        return _ragged(values)
    native: Array = np.asarray(values).astype(values.dtype.newbyteorder("="), copy=False)
    if native.ndim == 1:
        return np.ascontiguousarray(native)
    offsets = np.arange(len(native) + 1, dtype=np.int64) * native.shape[1]
    return Jagged(offsets, _to_column(native.reshape(-1, *native.shape[2:])))


def _ragged(values: Any) -> Column:
    """Rows of different lengths, or strings."""
    rows = list(values)
    if not rows or not isinstance(rows[0], np.ndarray):
        return np.array(
            [row.decode("utf-8", "replace") if isinstance(row, bytes) else row for row in rows], dtype=object
        )
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    return Jagged.from_counts(counts, np.concatenate(rows))
