"""Batches for training and validation: gathered, padded, masked and sanitized in one call, threads ahead of use."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.data import memory as data_memory
from engine.data.batches import Batch, Buffers, RowFacts
from engine.data.blocks import row_bytes
from engine.data.gathers import make_gathers
from engine.data.streams import BlockStream, ResidentStream, Stream
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.spec.sections import StreamSpec

__all__ = ["Batch", "Loader", "sequential", "steps_per_epoch"]

AHEAD = 2  # batches of a thread that wait to be used
HELD = 2  # the newest batch and the one before it, which the user may still hold


def steps_per_epoch(rows: int, batch: int) -> int:
    """Batches after which a stream of so many rows has shown each of them once."""
    return -(-rows // max(1, batch))


class Loader:
    """The endless sequence of batches of some streams, made ahead of its use.

    A batch always has `min(batch, rows)` rows and may cross the end of an epoch, so that the state of a loader is the
    number of the step alone. The order is a pure function of the seed: fully random where the inputs of the streams
    fit into `memory`, else random blocks (see `order.BlockOrder`).

    Each iteration yields `{stream: Batch}`. Its tensors lie in buffers that are used again: a batch is valid until the
    batch after the next is asked for. Whoever needs it for longer clones it. Leaving or closing the iterator stops the
    thread.

    Args:
        dataset: prepared data; the rows of the training split are used.
        streams: each goes through its own samples in its own order.
        seed: of all orders.
        start_step: number of the first step, counted from 0: for resuming.
        pin: page-locked buffers, for copies to a CUDA device in the background.
        memory: bytes of inputs that may be kept in memory; without it `memory.budget()`.
        threads: that make batches, each every `threads`-th one; 1 is enough for training on a processor. Data that
            exceed the memory are read by one thread whatever is asked for.

    Raises:
        DataError: a stream has no rows.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        streams: Sequence[StreamSpec],
        seed: int,
        start_step: int = 0,
        pin: bool = False,
        memory: int | None = None,
        threads: int = 1,
    ) -> None:
        self._start_step, self._pin = start_step, pin
        limit = data_memory.budget() if memory is None else memory
        samples = {sample for stream in streams for sample in stream.samples}
        used = [segment for segment in dataset.segments if segment.sample in samples]
        self.resident = sum(row_bytes(segment) * segment.rows for segment in used) <= limit
        self._threads = threads if self.resident else 1
        group_bytes = max(1, limit // (4 * max(1, len(streams))))
        self._streams: dict[str, Stream] = {}
        for spec in streams:
            rows = dataset.rows(spec.samples, "train")
            if not len(rows):
                raise DataError(
                    f"the stream {spec.name} has no training rows (samples: {', '.join(spec.samples)})",
                    (*spec.path, "samples"),
                )
            if self.resident:
                self._streams[spec.name] = ResidentStream(dataset, rows, spec.name, spec.batch, seed)
            else:
                self._streams[spec.name] = BlockStream(dataset, rows, spec.name, spec.batch, seed, group_bytes)
        if self.resident:
            data_memory.populate([values for segment in used for _, values in segment.pieces.values()])

    def __iter__(self) -> Iterator[dict[str, Batch]]:
        """Batches from `start_step` on, without end."""
        workers = [
            _Prefetch(self._streams, self._start_step + number, self._threads, self._pin)
            for number in range(self._threads)
        ]
        held: list[tuple[_Prefetch, dict[str, Buffers]]] = []
        try:
            for worker in itertools.cycle(workers):
                if len(held) == HELD:
                    owner, old = held.pop(0)
                    owner.give_back(old)
                buffers = worker.take()
                held.append((worker, buffers))
                yield {name: buffer.batch for name, buffer in buffers.items()}
        finally:
            for worker in workers:
                worker.stop()
            for stream in self._streams.values():
                stream.close()


class _Prefetch:
    """A thread that makes every `stride`-th step, and the buffers that it shares with its user."""

    def __init__(self, streams: dict[str, Stream], step: int, stride: int, pin: bool) -> None:
        self._streams, self._step, self._stride = streams, step, stride
        self._free: queue.SimpleQueue[dict[str, Buffers] | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[dict[str, Buffers] | BaseException] = queue.SimpleQueue()
        self._stopping = False
        for _ in range(AHEAD + 1 + -(-HELD // stride)):  # waiting, being made, held
            self.give_back({name: Buffers(s.gathers, s.facts, s.batch, pin) for name, s in streams.items()})
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def take(self) -> dict[str, Buffers]:
        """The next batches; an error of the thread is raised here."""
        buffers = self._ready.get()
        if isinstance(buffers, BaseException):
            raise buffers
        return buffers

    def give_back(self, buffers: dict[str, Buffers]) -> None:
        """Let the thread fill these buffers again."""
        self._free.put(buffers)

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping = True
        self._free.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping:
                buffers = self._free.get()
                if buffers is None:
                    return
                for name, stream in self._streams.items():
                    stream.fill(self._step, buffers[name])
                self._step += self._stride
                self._ready.put(buffers)
        except BaseException as error:  # whatever it is, the user of the loader must see it
            self._ready.put(error)


def sequential(dataset: PreparedDataset, samples: Sequence[str], split: str, batch: int) -> Iterator[Batch]:
    """Every row of a split once, in the order of `dataset.rows(samples, split)`; the last batch may be smaller.

    Each batch has memory of its own.

    Args:
        dataset: prepared data.
        samples: names of samples.
        split: `train`, `validation` or `test`.
        batch: rows of a batch, at least 1.

    Raises:
        DataError: there is no such sample, or a shard is damaged.
    """
    rows = dataset.rows(samples, split)
    gathers = make_gathers(dataset, [segment.pieces for segment in dataset.segments])
    facts = RowFacts(dataset, rows)
    positions = np.arange(len(rows), dtype=np.int64)
    for start in range(0, len(rows), batch):
        part = slice(start, min(start + batch, len(rows)))
        buffers = Buffers(gathers, facts, part.stop - start)
        buffers.fill(slice(0, part.stop - start), positions[part], rows.segment[part], rows.row[part], gathers)
        yield buffers.batch
