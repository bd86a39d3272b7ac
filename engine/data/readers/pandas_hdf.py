"""HDF5 files of pandas: a table with one row an object beside tables with one row an entry, joined by their index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.data.readers.base import BranchInfo, NoSuchTree
from engine.data.readers.file_reader import FileReader
from engine.data.readers.hdf5 import open_hdf5
from engine.data.readers.pandas_frames import Frame, Level, find_frames, level_type, level_values
from engine.errors import DataError


@dataclass(frozen=True)
class _Source:
    """Where a branch is: a level of the index of a table (`level`), or one of its columns (`column`)."""

    frame: Frame
    kind: Literal["level", "column"]
    name: str


class PandasHDFReader(FileReader):
    """A file that `DataFrame.to_hdf` wrote (fixed format) as `Reader`.

    Of a table with a MultiIndex the rows that agree in all levels but the last one are one entry; these levels are
    branches with one value an entry, the last level and the columns are lists. Tables with a plain index have one row
    an entry. Several tables are joined: the index of the further ones has the name of a level of the first. A name
    that is taken already is called `<table>/<name>`.
    """

    def __init__(self, path: str, tree: str | None) -> None:
        """Open the file and describe its tables.

        Raises:
            DataError: no HDF5 file, a damaged one, without such a table, or with tables that do not go together.
        """
        super().__init__(path)
        with self._opening("an HDF5 file of pandas"):
            self._file = open_hdf5(path, self._resources)
            self._main, self._others = self._frames(tree)
            self._sources = self._name_branches()
            self._branches = {name: self._describe(name, source) for name, source in self._sources.items()}

    @property
    def entries(self) -> int:
        """Number of entries: of different index values (without the last level) of the first table."""
        return len(self._grouping[0]) - 1

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        found: dict[str, Column] = {}
        for name in names:
            with self._one(name):
                found[name] = self._column(self._sources[name], start, stop)
        return found

    def _frames(self, tree: str | None) -> tuple[Frame, list[Frame]]:
        """The table with several rows an entry (else the first one), and the others."""
        found = find_frames(self._file)
        if not found:
            raise DataError(f"{self.path}: holds no table of pandas; leave out `format: pandas_hdf`")
        if tree is not None:
            key = tree.strip("/")
            if key not in found:
                raise NoSuchTree(f"{self.path}: there is no table '{tree}'; there is {', '.join(found)}")
            found = {key: found[key]}
        frames = [Frame(self.path, key, group) for key, group in found.items()]
        several = [frame for frame in frames if len(frame.levels) > 1]
        if len(several) > 1:
            keys = " and ".join(f"'{frame.key}'" for frame in several)
            raise DataError(f"{self.path}: {keys} both have an index of several levels; name one of them as `tree:`")
        main = several[0] if several else frames[0]
        others = [frame for frame in frames if frame is not main]
        names = [level.name for level in _event_levels(main)]
        for other in others:
            if other.levels[0].name not in names:
                raise DataError(
                    f"{self.path}: the index '{other.levels[0].name}' of '{other.key}' is no level of the index of "
                    f"'{main.key}' ({', '.join(names)}), so they cannot be joined; name one of them as `tree:`"
                )
        return main, others

    def _name_branches(self) -> dict[str, _Source]:
        sources: dict[str, _Source] = {}
        for frame in (self._main, *self._others):
            levels = frame.levels if frame is self._main else ()
            every = [_Source(frame, "level", level.name) for level in levels]
            for source in every + [_Source(frame, "column", name) for name in frame.places]:
                sources[f"{frame.key}/{source.name}" if source.name in sources else source.name] = source
        return sources

    def _describe(self, name: str, source: _Source) -> BranchInfo:
        frame = source.frame
        listed = frame is self._main and len(frame.levels) > 1
        if source.kind == "column":
            dtype = frame.dtype(source.name)
            if listed and dtype == "string":
                dtype = "unknown: lists of strings"
            return BranchInfo(name, dtype, int(listed))
        level = next(each for each in frame.levels if each.name == source.name)
        return BranchInfo(name, level_type(level), int(listed and level is frame.levels[-1]))

    @cached_property
    def _grouping(self) -> tuple[Array, Array | None]:
        """Where the rows of each entry begin, and the order of the rows that this is about; None for that of the file.

        Raises:
            DataError: the index cannot be read.
        """
        main = self._main
        if len(main.levels) == 1:
            return np.arange(main.rows + 1, dtype=np.int64), None
        with self._telling(f"the index of '{main.key}' cannot be read"):
            return _runs(_entry_numbers(_event_levels(main)))

    @cached_property
    def _rows_of_others(self) -> dict[str, Array]:
        """For each further table the row of each entry.

        Raises:
            DataError: a table lacks an entry, or has it twice.
        """
        offsets, order = self._grouping
        first = offsets[:-1] if order is None else order[offsets[:-1]]
        everything = slice(0, self._main.rows)
        rows = {}
        for other in self._others:
            index = other.levels[0]
            level = next(each for each in _event_levels(self._main) if each.name == index.name)
            wanted = level_values(level, everything)[first]
            rows[other.key] = _matched(self.path, self._main, other, wanted, level_values(index, slice(0, other.rows)))
        return rows

    def _column(self, source: _Source, start: int, stop: int) -> Column:
        frame = source.frame
        if frame is not self._main:
            wanted = self._rows_of_others[frame.key][start:stop]
            if not len(wanted):
                return frame.read(source.name, slice(0, 0)).copy()
            low, high = int(wanted.min()), int(wanted.max()) + 1
            values = frame.read(source.name, slice(low, high))
            return np.ascontiguousarray(values[wanted - low])
        offsets, order = self._grouping
        low, high = int(offsets[start]), int(offsets[stop])
        values = self._main_values(source, low, high, order)
        level = source.kind == "level" and source.name != frame.levels[-1].name
        if len(frame.levels) == 1:
            return values
        if level:
            return np.ascontiguousarray(values[offsets[start:stop] - low])
        return Jagged(offsets[start : stop + 1] - low, values)

    def _main_values(self, source: _Source, low: int, high: int, order: Array | None) -> Array:
        """Values of the rows low .. high in the order of the entries."""
        rows = slice(low, high) if order is None else slice(0, self._main.rows)
        if source.kind == "column":
            values = source.frame.read(source.name, rows)
        else:
            values = level_values(next(each for each in source.frame.levels if each.name == source.name), rows)
        return np.ascontiguousarray(values if order is None else values[order[low:high]])


def _event_levels(frame: Frame) -> list[Level]:
    """The levels of the index that say which entry a row belongs to."""
    return frame.levels if len(frame.levels) == 1 else frame.levels[:-1]


def _entry_numbers(levels: Sequence[Level]) -> Array:
    """A number for each row that is the same in rows with the same index values."""
    numbers = np.zeros(levels[0].codes.shape[0], dtype=np.int64)
    for level in levels:
        codes = level.codes[:].astype(np.int64)
        if len(codes) and (codes.min() < 0 or codes.max() >= level.values.shape[0]):
            raise ValueError(f"the level '{level.name}' has missing values")
        numbers = numbers * level.values.shape[0] + codes
    return numbers


def _runs(numbers: Array) -> tuple[Array, Array | None]:
    """Offsets of the runs of equal numbers; where a number comes back later, the order that brings its rows together.

    Entries stay in the order in which they come first.
    """
    starts = np.flatnonzero(np.diff(numbers, prepend=-1)) if len(numbers) else np.zeros(0, np.int64)
    offsets = np.append(starts, len(numbers)).astype(np.int64)
    distinct, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    if len(distinct) == len(starts):
        return offsets, None
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(distinct))
    order = np.argsort(rank[inverse], kind="stable")
    return Jagged.from_counts(np.bincount(rank[inverse]), order).offsets, order


def _matched(path: str, main: Frame, other: Frame, wanted: Array, known: Array) -> Array:
    """The row of `other` for each entry."""
    if np.array_equal(wanted, known):
        return np.arange(len(known))
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], wanted)
    lost = (
        (place >= len(known)) | (known[order[np.minimum(place, len(known) - 1)]] != wanted)
        if len(known)
        else wanted == wanted
    )
    if lost.any():
        which = f"{other.levels[0].name} {wanted[np.flatnonzero(lost)[0]]}"
        raise DataError(f"{path}: '{other.key}' has no row for {which} of '{main.key}' ({int(lost.sum())} are missing)")
    twice = np.flatnonzero(known[order][1:] == known[order][:-1])
    if len(twice):
        raise DataError(f"{path}: '{other.key}' has {other.levels[0].name} {known[order[twice[0]]]} twice")
    return order[place]
