"""Batches of one stream by number: any step can be made at any time, which is what resuming needs."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.data.batches import Buffers, RowFacts
from engine.data.blocks import Block, read_blocks, row_bytes
from engine.data.columns import Array
from engine.data.gathers import Gathers, make_gathers
from engine.data.order import BlockOrder, batch_positions, cut_blocks, shuffled

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset, RowIndex

BLOCK_BYTES = 1 << 20  # from here on a disk reads as fast as it can with one request at a time


class Stream(Protocol):
    """What the loader needs of a stream."""

    gathers: Gathers
    facts: RowFacts
    batch: int

    def fill(self, step: int, buffers: Buffers) -> None:
        """Make batch number `step`."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...


class ResidentStream:
    """A stream of data that fit into memory: every epoch in fully random order.

    Args:
        dataset: the prepared data.
        rows: the rows of the stream, in file order.
        name: of the stream.
        batch: rows of a batch; a stream of fewer rows has smaller batches.
        seed: of the order.
    """

    def __init__(self, dataset: PreparedDataset, rows: RowIndex, name: str, batch: int, seed: int) -> None:
        self.gathers = make_gathers(dataset, [segment.pieces for segment in dataset.segments])
        self.facts = RowFacts(dataset, rows)
        self.batch = min(batch, len(rows))
        self._rows, self._name, self._seed = rows, name, seed
        self._orders: dict[int, Array] = {}
        self._lock = threading.Lock()  # several threads may make batches

    def fill(self, step: int, buffers: Buffers) -> None:
        """Make batch number `step`."""
        pieces = batch_positions(step, self.batch, len(self._rows))
        parts = [self._order(epoch)[start:stop] for epoch, start, stop in pieces]
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        buffers.fill(slice(0, self.batch), rows, self._rows.segment[rows], self._rows.row[rows], self.gathers)

    def _order(self, epoch: int) -> Array:
        with self._lock:
            if epoch not in self._orders:
                self._orders = {number: order for number, order in self._orders.items() if number >= epoch - 1}
                self._orders[epoch] = shuffled(len(self._rows), self._seed, self._name, epoch)
            return self._orders[epoch]

    def close(self) -> None:
        """Nothing to give back."""


class BlockStream:
    """A stream of data that exceed the memory: random blocks are read into it, a group of them at a time.

    The next group is read while the rows of one are used. Arguments as of `ResidentStream`, and

    Args:
        group_bytes: memory for the blocks of one group; two groups are in memory at a time.
        block_bytes: bytes of a block.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        rows: RowIndex,
        name: str,
        batch: int,
        seed: int,
        group_bytes: int,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.gathers = make_gathers(dataset, [])
        self.facts = RowFacts(dataset, rows)
        self.batch = min(batch, len(rows))
        self._dataset, self._rows, self._key, self._group_bytes = dataset, rows, (seed, name), group_bytes
        sizes = [row_bytes(segment) for segment in dataset.segments]
        self._starts = cut_blocks(rows.segment, sizes, block_bytes)
        self._sizes = np.diff(self._starts) * np.asarray(sizes)[rows.segment[self._starts[:-1]]]
        self._orders: dict[int, BlockOrder] = {}
        self._groups: dict[tuple[int, int], Future[_Group]] = {}
        self._reader: ThreadPoolExecutor | None = None

    def fill(self, step: int, buffers: Buffers) -> None:
        """Make batch number `step`."""
        done = 0
        for epoch, start, stop in batch_positions(step, self.batch, len(self._rows)):
            while start < stop:
                order = self._order(epoch)
                number = order.group_at(start)
                first, end = order.group_starts[number], min(stop, int(order.group_starts[number + 1]))
                group, at = self._group(epoch, number), slice(int(start - first), int(end - first))
                here = slice(done, done + end - start)
                buffers.fill(here, group.rows[at], group.segment[at], group.row[at], group.gathers)
                done, start = here.stop, end

    def _order(self, epoch: int) -> BlockOrder:
        if epoch not in self._orders:
            self._orders = {number: order for number, order in self._orders.items() if number == epoch - 1}
            self._orders[epoch] = BlockOrder(self._starts, self._sizes, self._group_bytes, *self._key, epoch)
        return self._orders[epoch]

    def _group(self, epoch: int, number: int) -> _Group:
        """The group, read before or now; the one after it is asked for."""
        last = number + 1 == len(self._order(epoch).groups)
        following = (epoch + 1, 0) if last else (epoch, number + 1)
        wanted = ((epoch, number), following)
        self._reader = self._reader or ThreadPoolExecutor(1, thread_name_prefix="blocks")
        self._groups = {key: group for key, group in self._groups.items() if key in wanted}
        for key in wanted:
            if key not in self._groups:
                self._groups[key] = self._reader.submit(self._read, self._order(key[0]), key[1])
        return self._groups[epoch, number].result()

    def _read(self, order: BlockOrder, number: int) -> _Group:
        rows, segment = order.rows_of(number)
        blocks = [self._block(int(block)) for block in order.groups[number]]
        begins = np.array([block.start for block in blocks], dtype=np.int64)
        pieces = read_blocks(self._dataset.segments, blocks)
        return _Group(rows, segment, self._rows.row[rows] - begins[segment], make_gathers(self._dataset, pieces))

    def _block(self, number: int) -> Block:
        first, last = int(self._starts[number]), int(self._starts[number + 1]) - 1
        row = self._rows.row
        return Block(int(self._rows.segment[first]), int(row[first]), int(row[last]) + 1)

    def close(self) -> None:
        """Stop reading ahead and forget what was read."""
        if self._reader is not None:
            self._reader.shutdown(cancel_futures=True)
        self._reader = None
        self._groups.clear()


class _Group:
    """Blocks in memory, and their rows in the order of the epoch."""

    def __init__(self, rows: Array, segment: Array, row: Array, gathers: Gathers) -> None:
        self.rows, self.segment, self.row, self.gathers = rows, segment, row, gathers
