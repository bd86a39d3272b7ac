"""What becomes of memory that is freed."""

from __future__ import annotations

import ctypes
import os

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # parameters of mallopt, by malloc.h of the GNU C library
LARGEST_BLOCK = 64 << 20  # bytes: larger ones go back at once; kept up to 256 MB, their holes tripled a run's memory
OF_OLD_VERSIONS = 32 << 20  # the most that the library takes before its version 2.35
MOST_SPARE = 128 << 20  # bytes: the end of the heap goes back where more than this is free


def keep_freed_memory() -> bool:
    """Let the tensors of a step take the memory of those of the last one; True where the C library listens.

    The GNU C library gives blocks of some MB back to the system as soon as they are freed. The next step gets them as
    new pages, which the system clears and maps one by one: a tenth to a fifth of a training step of the CalRatio
    network, a tenth to a sixth of a run of smartBKG. What the user has set stays.
    """
    if any(name in os.environ for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")):
        return False
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    mallopt = library.mallopt  # type: ignore[union-attr]
    kept = any(mallopt(MMAP_THRESHOLD, size) == 1 for size in (LARGEST_BLOCK, OF_OLD_VERSIONS))
    return kept and mallopt(TRIM_THRESHOLD, MOST_SPARE) == 1
