"""The order in which a stream sees its rows: a pure function of the seed, the stream and the epoch.

Position p of an endless stream over N rows is row `order(p // N)[p % N]`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from engine.data.columns import Array


def generator(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """Random numbers that belong to a stream and to the numbers given (the epoch, a part of it)."""
    return np.random.default_rng([abs(seed), int(seed < 0), zlib.crc32(stream.encode()), *numbers])


def shuffled(rows: int, seed: int, stream: str, epoch: int) -> Array:
    """All rows in random order, for data that stay in memory; int64, shape (rows,)."""
    return generator(seed, stream, epoch).permutation(rows)


def batch_positions(step: int, batch: int, rows: int) -> list[tuple[int, int, int]]:
    """Where batch number `step` of an endless stream lies.

    Args:
        step: counted from 0.
        batch: rows of a batch, at most `rows`.
        rows: rows of an epoch.

    Returns:
        (epoch, start, stop) pieces, two where the batch crosses the end of an epoch.
    """
    position, left, pieces = step * batch, batch, []
    while left:
        epoch, start = divmod(position, rows)
        count = min(left, rows - start)
        pieces.append((epoch, start, start + count))
        position, left = position + count, left - count
    return pieces


class BlockOrder:
    """Random order for data that exceed the memory: blocks are shuffled, then the rows of many blocks together.

    A group is as many blocks, in their random order, as the memory holds; its rows are shuffled. The disk reads whole
    blocks, and rows that were neighbours in the files are rarely in the same batch.

    Args:
        starts: first row of each block and, at the end, the number of rows; shape (blocks + 1,), increasing.
        sizes: bytes of each block, shape (blocks,).
        group_bytes: bytes that a group may have (a group has at least one block).
        seed, stream, epoch: what the order is a function of.
    """

    def __init__(self, starts: Array, sizes: Array, group_bytes: int, seed: int, stream: str, epoch: int) -> None:
        self._starts, self._key = starts, (seed, stream, epoch)
        blocks = generator(seed, stream, epoch).permutation(len(sizes))
        group = (np.cumsum(sizes[blocks]) - sizes[blocks]) // max(1, group_bytes)
        self.groups: list[Array] = np.split(blocks, np.flatnonzero(np.diff(group)) + 1)
        rows = [int((starts[blocks + 1] - starts[blocks]).sum()) for blocks in self.groups]
        self.group_starts = np.concatenate(([0], np.cumsum(rows)))

    def group_at(self, position: int) -> int:
        """The group that a position of the epoch belongs to."""
        return int(np.searchsorted(self.group_starts, position, side="right")) - 1

    def rows_of(self, group: int) -> tuple[Array, Array]:
        """The rows of a group in their order.

        Returns:
            rows, int64, shape (rows of the group,), and for each the number of its block within the group, int32.
        """
        blocks = self.groups[group]
        rows = np.concatenate([np.arange(self._starts[block], self._starts[block + 1]) for block in blocks])
        number = np.repeat(np.arange(len(blocks), dtype=np.int32), self._starts[blocks + 1] - self._starts[blocks])
        seed, stream, epoch = self._key
        order = generator(seed, stream, epoch, group + 1).permutation(len(rows))
        return rows[order], number[order]


def cut_blocks(segment: Array, row_bytes: Sequence[float], block_bytes: int) -> Array:
    """Cut rows in file order into blocks of neighbours of the same segment.

    Args:
        segment: segment of each row, shape (rows,), not decreasing.
        row_bytes: mean bytes of a row of each segment.
        block_bytes: bytes that a block should have.

    Returns:
        First row of each block and the number of rows, int64, shape (blocks + 1,).
    """
    edges = np.concatenate(([0], np.flatnonzero(np.diff(segment)) + 1, [len(segment)]))
    starts = [
        np.arange(first, last, max(1, int(block_bytes / max(1.0, row_bytes[segment[first]]))))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if last > first
    ]
    return np.concatenate([*starts, [len(segment)]]).astype(np.int64)
