"""Blocks of neighbouring rows, read from the shards into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.columns import Array
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.store import Segment


@dataclass(frozen=True)
class Block:
    """Rows [start, stop) of a segment."""

    segment: int
    start: int
    stop: int


def row_bytes(segment: Segment) -> float:
    """Mean bytes of the inputs of a row, and of the targets of its objects."""
    total = sum(
        values.nbytes + (0 if offsets is None else offsets.nbytes) for offsets, values in segment.pieces.values()
    )
    return total / max(1, segment.rows)


def read_blocks(segments: Sequence[Segment], blocks: Sequence[Block]) -> list[dict[str, tuple[Array | None, Array]]]:
    """The pieces of the rows of each block, in memory of their own: for each block (offsets, values) by name.

    Files are read with `pread`, in the order of their bytes: a cold mapping reads many times what is asked for.

    Raises:
        DataError: a shard cannot be read.
    """
    pieces: list[dict[str, tuple[Array | None, Array]]] = [{} for _ in blocks]
    order = sorted(range(len(blocks)), key=lambda number: (blocks[number].segment, blocks[number].start))
    files: dict[Path, int] = {}
    try:
        for number in order:
            block = blocks[number]
            segment = segments[block.segment]
            for name, (offsets, values) in segment.pieces.items():
                pieces[number][name] = _read_piece(segment, block, offsets, values, files)
    except OSError as error:
        raise DataError(f"a shard of the prepared dataset cannot be read: {error}") from None
    finally:
        for file in files.values():
            os.close(file)
    return pieces


def _read_piece(
    segment: Segment, block: Block, offsets: Array | None, values: Array, files: dict[Path, int]
) -> tuple[Array | None, Array]:
    if offsets is None:
        return None, _read_array(segment, values[block.start : block.stop], files)
    part = _read_array(segment, offsets[block.start : block.stop + 1], files)
    return part - part[0], _read_array(segment, values[part[0] : part[-1]], files)


def _read_array(segment: Segment, view: Array, files: dict[Path, int]) -> Array:
    """A copy of a view of a mapped shard, read from the file; memory without a file is copied."""
    if segment.path is None:
        return view.copy()
    if segment.path not in files:
        files[segment.path] = os.open(segment.path, os.O_RDONLY)
    copy = np.empty(view.shape, view.dtype)
    target: memoryview = copy.reshape(-1).view(np.uint8).data
    start, done = view.ctypes.data - segment.address, 0
    while done < copy.nbytes:
        count = os.preadv(files[segment.path], [target[done:]], start + done)
        if count == 0:
            raise DataError(f"{segment.path} is shorter than it was when it was opened")
        done += count
    return copy
