"""Shards: the rows of one source file as an Arrow IPC file, uncompressed, to be mapped into memory.

A shard appears under its name only when it is complete. Beside it stands its receipt, a small JSON file that says what
it was made of and what is in it; a lost file has a receipt and no shard. The manifest is put together from the
receipts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.data.arrow import from_numpy
from engine.data.columns import Array, Jagged
from engine.data.ledger import LedgerEntry
from engine.data.rows import RowTable
from engine.files import write_text, writing
from engine.leftovers import unfinished

ROWS_PER_BATCH = 65_536
"""A record batch is written when this many rows have come together."""


@dataclass(frozen=True)
class ShardInfo:
    """What is in a shard.

    Attributes:
        file: its name.
        rows: number of rows.
        splits: rows of the train, validation and test split.
        columns: NumPy type of each column.
        sha256: checksum of the file.
        bytes: size of the file.
    """

    file: str
    rows: int
    splits: Sequence[int]
    columns: Mapping[str, str]
    sha256: str
    bytes: int


def checksum(path: Path) -> str:
    """SHA-256 of a file, read at 1 to 2 GB/s; other threads run meanwhile."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Receipt:
    """What was made of one source file.

    Attributes:
        key: hash of all that its rows depend on (`engine.data.fingerprint.shard_key`).
        ledger: what became of the file.
        shard: what is in the shard; None where there are no rows, and so no shard.
    """

    key: str
    ledger: LedgerEntry
    shard: ShardInfo | None

    def write(self, path: Path) -> None:
        """Store the receipt; it appears complete or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Receipt | None:
        """A stored receipt; None where there is none, or where it is of no use."""
        try:
            values = json.loads(path.read_text())
            shard = None if values["shard"] is None else ShardInfo(**values["shard"])
            return cls(values["key"], LedgerEntry.from_dict(values["ledger"]), shard)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


class ShardWriter:
    """Writes the rows of one source file; use it in a `with` block and call `finish` at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = unfinished(path)
        self._waiting: list[RowTable] = []
        self._waiting_rows = 0
        self._writer: Any = None
        self._rows = 0
        self._splits = np.zeros(3, dtype=np.int64)
        self._columns: dict[str, str] = {}

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            with suppress(OSError):  # after an error it may fail once more
                self._writer.close()
        self._unfinished.unlink(missing_ok=True)

    def append(self, table: RowTable) -> None:
        """Add rows.

        Raises:
            StorageError: there is no room for them.
        """
        if not len(table):
            return
        self._waiting.append(table)
        self._waiting_rows += len(table)
        if self._waiting_rows >= ROWS_PER_BATCH:
            self._write()

    def finish(self) -> ShardInfo | None:
        """Write what is left and give the file its name; without a row there is no file, and the result is None.

        Raises:
            StorageError: there is no room for it.
        """
        if self._waiting:
            self._write()
        if self._writer is None:
            return None
        with writing(self._path):
            self._writer.close()
            self._writer = None
            content = checksum(self._unfinished)
            size = self._unfinished.stat().st_size
            self._unfinished.replace(self._path)
        splits = [int(rows) for rows in self._splits]
        return ShardInfo(self._path.name, self._rows, splits, self._columns, content, size)

    def _write(self) -> None:
        batch = record_batch(self._waiting)
        if self._writer is None:
            self._columns = {name: str(array.dtype) for name, array in self._waiting[0].columns.items()}
            with writing(self._path):
                self._writer = pa.ipc.new_file(self._unfinished, batch.schema)
        with writing(self._path):
            self._writer.write_batch(batch)
        self._rows += batch.num_rows
        for table in self._waiting:
            self._splits += np.bincount(table.split, minlength=3)
        self._waiting, self._waiting_rows = [], 0


def record_batch(tables: Sequence[RowTable]) -> pa.RecordBatch:
    """Rows of several tables as one record batch with the columns of the prepared dataset.

    These are `input:*`, `target:*`, `column:*`, `factor:*` (of derived weights), `weight` and `split`.
    """
    columns: dict[str, pa.Array] = {}
    for name in tables[0].inputs:
        columns[f"input:{name}"] = _lists([table.inputs[name] for table in tables])
    for name in tables[0].targets:
        columns[f"target:{name}"] = _lists([table.targets[name] for table in tables])
    columns["weight"] = _joined(tables, lambda table: table.weight)
    for name in tables[0].columns:
        columns[f"column:{name}"] = _joined(tables, lambda table, name=name: table.columns[name])  # type: ignore[misc]
    for name in tables[0].factors:
        columns[f"factor:{name}"] = _joined(tables, lambda table, name=name: table.factors[name])  # type: ignore[misc]
    columns["split"] = _joined(tables, lambda table: table.split)
    return pa.RecordBatch.from_pydict(columns)


def _joined(tables: Sequence[RowTable], part: Callable[[RowTable], Array]) -> pa.Array:
    return from_numpy(np.concatenate([part(table) for table in tables]))


def _lists(parts: Sequence[Array | Jagged]) -> pa.Array:
    """Rows of numbers, shape (rows, F), as fixed-size lists; rows of objects as lists of those; (rows,) as it is."""
    flat = np.concatenate([part.values if isinstance(part, Jagged) else part for part in parts])
    if flat.ndim == 1:
        return from_numpy(flat)
    features = pa.FixedSizeListArray.from_arrays(from_numpy(flat.reshape(-1)), flat.shape[1])
    if not isinstance(parts[0], Jagged):
        return features
    counts = np.concatenate([part.counts for part in parts if isinstance(part, Jagged)])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    return pa.LargeListArray.from_arrays(from_numpy(offsets), features)
