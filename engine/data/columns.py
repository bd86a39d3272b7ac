"""Columns of a file in memory: flat NumPy arrays, or lists stored as offsets and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Jagged:
    """Lists of different lengths: list i is `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        offsets: int64, shape (lists + 1,); starts at 0.
        values: all lists end to end, shape (objects, ...), or `Jagged` again for lists of lists.
    """

    offsets: Array
    values: Array | Jagged

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Array:
        """Length of each list, int64, shape (lists,)."""
        return np.diff(self.offsets)

    @property
    def parents(self) -> Array:
        """Index of the list that each value belongs to, int64, shape (objects,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    @classmethod
    def from_counts(cls, counts: Array, values: Array | Jagged) -> Jagged:
        """Lists of the given lengths, shape (lists,), over `values`."""
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(offsets, values)


Column = Array | Jagged
