"""How much memory prepared data may take, and getting mapped files ready for random access."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from engine.data.columns import Array
from engine.errors import UsageError

VARIABLE = "ENGINE_DATA_MEMORY"
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14 and newer; older kernels refuse it, which does no harm
_PIECE = 64 << 20


def budget() -> int:
    """Bytes of prepared data that are kept in memory: ENGINE_DATA_MEMORY, or half of what this process may use.

    What other programs use at the moment has no influence: the order of the training rows depends on the result.

    Raises:
        UsageError: ENGINE_DATA_MEMORY is not a number of bytes.
    """
    named = os.environ.get(VARIABLE)
    if named:
        try:
            return int(float(named))
        except (ValueError, OverflowError):
            raise UsageError(f"{VARIABLE} must be a number of bytes such as 8e9, not {named!r}") from None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no control group, or one without a limit ("max")
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total // 2


def populate(arrays: Sequence[Array]) -> None:
    """Fill the page tables of mapped arrays in the background, so that random access meets no page faults.

    The arrays stay mapped until it is done. Where the system does not offer it, nothing happens.
    """
    threading.Thread(target=_populate, args=(list(arrays),), name="populate", daemon=True).start()


def _populate(arrays: Sequence[Array]) -> None:
    try:
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for array in arrays:
        first = array.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
        last = array.ctypes.data + array.nbytes
        for start in range(first, last, _PIECE):
            if madvise(start, min(_PIECE, last - start), _POPULATE_READ) != 0:
                return
