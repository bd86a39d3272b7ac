"""Too little memory, on the host or on a device, told as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import TrainingError

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""Words of torch, which says so by plain runtime errors where it is about the memory of the host."""


@contextmanager
def telling_shortage() -> Iterator[None]:
    """Around work whose size the spec decides.

    Raises:
        TrainingError: in place of what NumPy and torch raise where memory cannot be had.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        asked = _asked_for(str(error))
        message = (
            f"there is not enough memory{f': {asked} were asked for at once' if asked else ''}; a smaller `batch` (or "
            "`training.validation_batch`), `keep` of the inputs or width of the layers takes less"
        )
        raise TrainingError(message) from error


def is_shortage(error: BaseException) -> bool:
    """Whether an error is about memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in SIGNS)


def _asked_for(text: str) -> str | None:
    """The size that could not be had, where the text tells it: `931 GiB`."""
    plain = re.search(r"allocate (\d+) bytes", text)
    if plain:
        size = int(plain[1])
        return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"
    found = re.search(r"allocate ([\d.]+ [KMGTP]?i?B)", text)
    return found[1] if found else None
