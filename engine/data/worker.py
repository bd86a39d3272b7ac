"""One source file to one shard: the work that runs in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa

from engine.data.branches import NeededBranch, needed_branches
from engine.data.collections import Chunk
from engine.data.columns import Column, Jagged
from engine.data.finite import FiniteCount
from engine.data.ledger import LedgerEntry, Status
from engine.data.readers.base import Reader, open_reader
from engine.data.rows import make_rows
from engine.data.shards import Receipt, ShardInfo, ShardWriter
from engine.data.sources import Source
from engine.data.wrong_branches import wrong_branches
from engine.errors import DataError, Interrupted
from engine.spec.sections.data import DataSpec, LayoutSpec, SampleSpec

FIRST_ENTRIES = 5_000
"""Entries that are read first; how large they are says how many are read at once from then on."""
MOST_ENTRIES = 500_000
CHUNK_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Task:
    """A source file to prepare.

    Attributes:
        data: the whole section.
        source: the file.
        key: hash of all that its rows depend on.
        folder: where the shard and the receipt go.
        name: of both, without the ending.
    """

    data: DataSpec
    source: Source
    key: str
    folder: Path
    name: str

    @property
    def receipt(self) -> Path:
        """Where the receipt goes."""
        return self.folder / f"{self.name}.json"

    @property
    def shard(self) -> Path:
        """Where the shard goes."""
        return self.folder / f"{self.name}.arrow"


_stop: Event | None = None


def start_worker(stop: Event) -> None:
    """Set up a worker process: one thread, deaf to Ctrl-C (its parent asks it to stop), gone when its parent is."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _asked_to_stop() -> bool:
    return _stop is not None and _stop.is_set()


def prepare_file(task: Task, stopped: Callable[[], bool] = _asked_to_stop) -> Receipt:
    """Prepare one file and store its receipt. A file that cannot be used gives a receipt that says why.

    Raises:
        Interrupted: `stopped` said so between two chunks.
    """
    begun = time.monotonic()
    source = task.source
    entries, count = 0, FiniteCount()
    shard: ShardInfo | None = None
    status: Status = "ok"
    reason: str | None = None
    try:
        sample = task.data.samples[source.sample]
        layout = task.data.layouts[sample.layout]
        with closing(open_reader(source.path, layout.format, layout.tree)) as reader:
            entries = reader.entries
            shard = _write_shard(task, sample, reader, stopped, count)
        if shard is None:
            status, reason = "empty", _why_empty(source.path, entries)
    except DataError as error:
        status, reason = "skipped", _named(source.path, str(error))
    rows = shard.rows if shard is not None else 0
    seconds = round(time.monotonic() - begun, 3)
    found = (dict(count.values), dict(count.not_finite)) if shard is not None else ({}, {})
    ledger = LedgerEntry(source.path, source.sample, entries, rows, status, reason, seconds, *found)
    receipt = Receipt(task.key, ledger, shard)
    receipt.write(task.receipt)
    return receipt


def _write_shard(
    task: Task, sample: SampleSpec, reader: Reader, stopped: Callable[[], bool], count: FiniteCount
) -> ShardInfo | None:
    """The rows of an open file as a shard; None where there are no rows. Their values are counted."""
    if not reader.entries:
        return None
    layout = task.data.layouts[sample.layout]
    needed = needed_branches(task.data, layout, sample.rows, sample)
    branches = present_branches(reader, needed, layout)
    with ShardWriter(task.shard) as writer:
        for chunk in read_chunks(reader, branches):
            if stopped():
                raise Interrupted("the preparation was stopped")
            table = make_rows(task.data, layout, sample.rows, sample, chunk)
            count.add(table, task.data)
            writer.append(table)
        return writer.finish()


def present_branches(reader: Reader, needed: list[NeededBranch], layout: LayoutSpec) -> list[str]:
    """Names of the needed branches that the file has.

    Raises:
        DataError: it lacks one that has no default, or one is not what the layout takes it for.
    """
    for _, cause in wrong_branches(needed, layout, reader):
        raise DataError(f"{reader.path}: {cause}")
    return [branch.branch for branch in needed if branch.branch in reader.branches]


def read_chunks(reader: Reader, branches: list[str]) -> Iterator[Chunk]:
    """The branches in chunks of entries of about CHUNK_BYTES."""
    start, count = 0, FIRST_ENTRIES
    while start < reader.entries:
        stop = min(start + count, reader.entries)
        chunk = reader.read(branches, start, stop)
        yield chunk
        size = sum(_bytes(column) for column in chunk.values())
        count = max(1, min(MOST_ENTRIES, int((stop - start) * CHUNK_BYTES / max(size, 1))))
        start = stop


def _bytes(column: Column) -> int:
    return column.offsets.nbytes + _bytes(column.values) if isinstance(column, Jagged) else column.nbytes


def _why_empty(path: str, entries: int) -> str:
    if not entries:
        return f"{path}: the file has no entries"
    return f"{path}: none of its {entries} entries gives a row; nothing passes the selections"


def _named(path: str, message: str) -> str:
    """The message with the file's name before it, if it is not there yet."""
    return message if path in message else f"{path}: {message}"
