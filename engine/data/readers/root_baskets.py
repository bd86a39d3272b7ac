"""The baskets of a TTree branch as NumPy arrays and jagged lists.

A basket is a key record; its content is the entries end to end and, where these differ in length, a table of where each
starts. Entries of std::vector carry a header (10 bytes: byte count, version, length; lists of lists: 6 bytes, the
length, then length and values of each inner list). All entries of the asked range are decoded together, so the cost per
basket is that of finding and decompressing it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.data.readers.root_file import RootFile, decompress
from engine.data.readers.root_tree import TreeBranch
from engine.data.readers.root_types import Storage

_KEY = struct.Struct(">ihiIhh")
_BASKET = struct.Struct(">HiiiiB")
_VECTOR_HEADER = 10
_NESTED_HEADER = 6
_WORD = 4


@dataclass(frozen=True)
class _Basket:
    """Uncompressed entries of one basket, and where each starts in bytes (None where all have the same length)."""

    first: int
    entries: int
    data: memoryview
    starts: Array | None

    def part(self, start: int, stop: int) -> tuple[memoryview, Array | None]:
        """Bytes of the entries [start, stop) of the tree that are in this basket, and where each starts in them."""
        low, high = max(start - self.first, 0), min(stop - self.first, self.entries)
        if self.starts is None:
            width = len(self.data) // self.entries if self.entries else 0
            return self.data[low * width : high * width], None
        if low == 0 and high == self.entries:
            return self.data, self.starts
        begin = int(self.starts[low])
        end = int(self.starts[high]) if high < self.entries else len(self.data)
        return self.data[begin:end], self.starts[low:high] - begin


class BranchDecoder:
    """Reads ranges of entries of one branch; keeps the last basket, which the next range often starts in."""

    def __init__(self, file: RootFile, branch: TreeBranch, storage: Storage) -> None:
        self._file = file
        self._storage = storage
        self._has_table = storage.counted or storage.vectors > 0
        count = branch.baskets
        sizes, starts, seeks = branch.tables
        self._sizes = np.frombuffer(sizes, ">i4")[:count].tolist()
        self._seeks = np.frombuffer(seeks, ">i8")[:count].tolist()
        self._edges = np.append(np.frombuffer(starts, ">i8")[:count], branch.entries).astype(np.int64)
        if count and (self._edges[0] != 0 or np.any(np.diff(self._edges) < 0)):
            raise ValueError("baskets that are out of order")
        self._last: tuple[int, _Basket] | None = None

    def read(self, start: int, stop: int) -> Column:
        """Entries [start, stop)."""
        first = max(int(np.searchsorted(self._edges, start, side="right")) - 1, 0)
        last = int(np.searchsorted(self._edges, stop, side="left"))
        parts = [self._basket(index).part(start, stop) for index in range(first, last)] if stop > start else []
        data = np.frombuffer(b"".join(part for part, _ in parts), np.uint8)
        offsets = _join_tables(parts, len(data)) if self._has_table else None
        column = self._decode(data, offsets)
        if len(column) != stop - start:
            raise ValueError("baskets that do not hold the entries that their tree has")
        return column

    def _basket(self, index: int) -> _Basket:
        """A basket, from memory if it was the last one."""
        if self._last is None or self._last[0] != index:
            first, entries = int(self._edges[index]), int(self._edges[index + 1] - self._edges[index])
            record = self._file.read_at(self._seeks[index], self._sizes[index])
            self._last = (index, _open_basket(record, first, entries, self._has_table))
        return self._last[1]

    def _decode(self, data: Array, offsets: Array | None) -> Column:
        """Entries end to end -> the column that the branch is."""
        storage = self._storage
        dtype = np.dtype(storage.dtype)
        if offsets is None:
            return _nest(_native(data, dtype), storage.shape)
        if storage.vectors == 2:
            return _nested_vectors(data, offsets, dtype)
        header = _VECTOR_HEADER if storage.vectors == 1 else 0
        width = dtype.itemsize * int(np.prod(storage.shape, dtype=np.int64))
        counts, rest = np.divmod(np.diff(offsets) - header, width)
        if np.any(rest) or np.any(counts < 0):
            raise ValueError("entries whose length does not fit their type")
        if header:
            data = _without(data, offsets[:-1], header)
        return Jagged.from_counts(counts, _nest(_native(data, dtype), storage.shape))


def _open_basket(record: bytes, first: int, entries: int, has_table: bool) -> _Basket:
    """Decompress a basket and find where its entries start."""
    size, _, object_bytes, _, key_bytes, _ = _KEY.unpack_from(record)
    _, _, _, stored, last, _ = _BASKET.unpack_from(record, key_bytes - _BASKET.size)
    if size != len(record) or stored != entries:
        raise ValueError("a basket that is not the one its tree describes")
    content = decompress(record[key_bytes:], object_bytes)
    border = last - key_bytes
    if not 0 <= border <= len(content):
        raise ValueError("a basket whose entries end outside of it")
    data = memoryview(content)[:border]
    if not has_table:
        return _Basket(first, entries, data, None)
    starts = np.frombuffer(content, ">i4", entries, border + _WORD).astype(np.int64) - key_bytes
    if entries and starts[0] != 0:
        raise ValueError("a basket whose first entry is not where it starts")
    return _Basket(first, entries, data, starts)


def _join_tables(parts: Sequence[tuple[memoryview, Array | None]], size: int) -> Array:
    """Where each entry starts in the parts end to end, and their end, int64, shape (entries + 1,)."""
    tables: list[Array] = []
    shift = 0
    for part, starts in parts:
        if starts is not None:
            tables.append(starts + shift)
        shift += len(part)
    offsets = np.concatenate([*tables, np.array([size], dtype=np.int64)])
    if offsets[0] != 0 or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError("entries that overlap")
    return offsets


def _offsets(counts: Array) -> Array:
    """Where each of the lists of these lengths starts, int64, shape (lists + 1,)."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _native(data: Array, dtype: np.dtype[np.generic]) -> Array:
    """Big-endian bytes as numbers of this machine."""
    if len(data) % dtype.itemsize:
        raise ValueError("entries whose length does not fit their type")
    return np.ascontiguousarray(data).view(dtype.newbyteorder(">")).astype(dtype)


def _nest(values: Array, shape: Sequence[int]) -> Column:
    """Lists of fixed lengths around flat values, the innermost last."""
    column: Column = values
    for length in reversed(shape):
        if length == 0 or len(column) % length:
            raise ValueError("entries whose length does not fit their type")
        column = Jagged(np.arange(0, len(column) + 1, length, dtype=np.int64), column)
    return column


def _without(data: Array, starts: Array, size: int) -> Array:
    """The bytes without the `size` bytes at each of the starts.

    Works on two bytes at a time where everything is even (all values of two bytes or more).
    """
    step = 2 if size % 2 == 0 and len(data) % 2 == 0 and not np.any(starts % 2) else 1
    units = data.view(np.uint16) if step == 2 else data
    keep = np.ones(len(units), dtype=bool)
    headers = (starts // step)[:, None] + np.arange(size // step)
    if headers.size and headers[-1, -1] >= len(units):
        raise ValueError("entries that end inside their header")
    keep[headers.ravel()] = False
    return units[keep].view(np.uint8)


def _nested_vectors(data: Array, offsets: Array, dtype: np.dtype[np.generic]) -> Jagged:
    """Lists of lists: one pass over the k-th inner lists of all entries at once for k = 0, 1, ...

    The length of an inner list says where the next one starts, so the lists of one entry have to be walked in order,
    but those of different entries do not.
    """
    words = np.ndarray((max(len(data) - _WORD + 1, 0),), ">i4", data, 0, (1,))  # the number at every byte position
    starts, ends = offsets[:-1] + _NESTED_HEADER, offsets[1:]
    if np.any(starts + _WORD > ends):
        raise ValueError("entries that end inside their header")
    outer = words[starts].astype(np.int64)
    if np.any(outer < 0) or np.any(outer > (ends - starts) // _WORD):
        raise ValueError("entries whose length does not fit their type")
    first = _offsets(outer)
    begins = np.empty(first[-1], dtype=np.int64)
    lengths = np.empty(first[-1], dtype=np.int64)
    order = np.argsort(-outer, kind="stable")
    alive = len(outer) - np.searchsorted(np.sort(outer), np.arange(outer.max(initial=0)), side="right")
    position, limit, target = starts[order] + _WORD, ends[order], first[:-1][order]
    for k, count in enumerate(alive.tolist()):
        here = position[:count]
        if np.any(here + _WORD > limit[:count]):
            raise ValueError("entries whose length does not fit their type")
        length = words[here].astype(np.int64)
        begins[target[:count] + k] = here
        lengths[target[:count] + k] = length
        if np.any(length < 0):
            raise ValueError("a list of negative length")
        here += _WORD + length * dtype.itemsize
    if np.any(position != limit):
        raise ValueError("entries whose length does not fit their type")
    return Jagged(first, Jagged(_offsets(lengths), _inner_values(data, offsets[:-1], begins, dtype)))


def _inner_values(data: Array, starts: Array, begins: Array, dtype: np.dtype[np.generic]) -> Array:
    """Values of all inner lists: everything but the headers of the entries and the lengths of the lists."""
    keep = np.ones(len(data), dtype=bool)
    keep[(starts[:, None] + np.arange(_NESTED_HEADER + _WORD)).ravel()] = False
    keep[(begins[:, None] + np.arange(_WORD)).ravel()] = False
    return _native(data[keep], dtype)
