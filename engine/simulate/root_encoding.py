"""Columns as the bytes that ROOT stores: entries end to end, big-endian, lists with the headers of std::vector."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array, Column, Jagged

VECTOR_HEADER = 10  # byte count, version, length
_LENGTH = 4
_BYTE_COUNT = 0x40000000
_VECTOR_VERSION = 9
_HEADER = np.dtype([("bytes", ">u4"), ("version", ">u2"), ("length", ">i4")])


def encode(column: Column) -> tuple[Array, Array | None]:
    """Bytes of all entries, uint8, and where each of them starts (None where all have the same length).

    Args:
        column: values, lists of values, or lists of lists of values (vector<vector<T>>).
    """
    if not isinstance(column, Jagged):
        return _big_endian(column), None
    if isinstance(column.values, Jagged):
        return _nested(column, column.values)
    width = column.values.dtype.itemsize
    sizes = VECTOR_HEADER + column.counts * width
    starts = _starts(sizes)
    content = np.empty(int(sizes.sum()), dtype=np.uint8)
    rest = np.ones(len(content), dtype=bool)
    _put(content, rest, starts, _headers(sizes, column.counts))
    content[rest] = _big_endian(column.values)
    return content, starts


def _nested(outer: Jagged, inner: Jagged) -> tuple[Array, Array]:
    """Lists of lists: one header an entry, and before each inner list its length."""
    values = inner.values
    if isinstance(values, Jagged):
        raise TypeError("lists of lists of lists are not written")
    widths = _LENGTH + inner.counts * values.dtype.itemsize
    edges = np.concatenate([[0], np.cumsum(widths)])
    sizes = VECTOR_HEADER + edges[outer.offsets[1:]] - edges[outer.offsets[:-1]]
    starts = _starts(sizes)
    content = np.empty(int(sizes.sum()), dtype=np.uint8)
    rest = np.ones(len(content), dtype=bool)
    _put(content, rest, starts, _headers(sizes, outer.counts))
    begins = edges[:-1] + VECTOR_HEADER * (outer.parents + 1)
    _put(content, rest, begins, _big_endian(inner.counts.astype(np.int32)).reshape(-1, _LENGTH))
    content[rest] = _big_endian(values)
    return content, starts


def _headers(sizes: Array, lengths: Array) -> Array:
    """The header of each entry, shape (entries, 10); its byte count leaves out the count itself."""
    headers = np.empty(len(sizes), dtype=_HEADER)
    headers["bytes"] = (sizes - _LENGTH) | _BYTE_COUNT
    headers["version"] = _VECTOR_VERSION
    headers["length"] = lengths
    return headers.view(np.uint8).reshape(-1, VECTOR_HEADER)


def _put(content: Array, rest: Array, starts: Array, blocks: Array) -> None:
    """Write blocks, shape (blocks, bytes), at their starts and mark these places as taken."""
    places = starts[:, None] + np.arange(blocks.shape[1])
    content[places] = blocks
    rest[places] = False


def _starts(sizes: Array) -> Array:
    """Where entries of these sizes start, int64."""
    starts = np.zeros(len(sizes), dtype=np.int64)
    np.cumsum(sizes[:-1], out=starts[1:])
    return starts


def _big_endian(values: Array) -> Array:
    """The bytes of values in ROOT's byte order, uint8."""
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder(">")).reshape(-1).view(np.uint8)
