"""What is said where memory cannot be had, and that other errors stay what they are."""

from __future__ import annotations

import pytest

from engine.errors import TrainingError
from engine.shortage import telling_shortage


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (MemoryError(), ""),
        (MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"), ": 7.45 GiB were"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ..."), ": 20.00 GiB were"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3145728 bytes"),
            ": 3 MiB were",
        ),
    ],
)
def test_too_little_memory_is_told_with_the_size(error: Exception, size: str) -> None:
    with (
        pytest.raises(TrainingError, match=f"^there is not enough memory{size}.*a smaller `batch`"),
        telling_shortage(),
    ):
        raise error


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes"), telling_shortage():
        raise RuntimeError("shapes do not fit")
