"""Offsets of jagged arrays: the check that keeps a kernel inside its buffers."""

from __future__ import annotations

from torch import Tensor


def check_offsets(offsets: Tensor, total: int) -> None:
    """Raise where `offsets` (B + 1,) do not rise from 0 to `total`.

    Raises:
        ValueError: they do not.
    """
    if int(offsets[0]) != 0 or int(offsets[-1]) != total or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(f"offsets must rise from 0 to the number of tracks, {total}")
