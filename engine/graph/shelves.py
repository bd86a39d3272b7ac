"""The objects of several rows on one shelf: attention among few objects then has fewer and larger products.

With six objects a row, a product of matrices for each row costs mostly its call. Rows are put one after the other onto
shelves of the same length, each whole on one shelf, and objects see those of their own row alone. Where they stand is
worked out by NumPy, whose calls take less time than those of torch where there is little to do.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.int64]

STEP = 16
"""Shelves are as long as a multiple of this, for which torch's kernels of attention are fast."""

SHORTEST = 32


class Shelves:
    """Where the R real objects of the rows stand on S shelves of C slots.

    Args:
        counts_B: of real objects in each row.
    """

    def __init__(self, counts_B: Array) -> None:
        numbers = counts_B.tolist()
        self.slots = max(SHORTEST, -(-max(numbers, default=0) // STEP) * STEP)
        begins, end = [], 0
        for number in numbers:
            left = -end % self.slots
            if number > left:
                end += left
            begins.append(end)
            end += number
        self.shelves = max(1, -(-end // self.slots))
        moved_B = np.array(begins) - (np.cumsum(counts_B) - counts_B)
        self.places = np.arange(counts_B.sum()) + np.repeat(moved_B, counts_B)
        self.rows = np.repeat(np.arange(len(counts_B)), counts_B)
        self.place_R = torch.from_numpy(self.places)

    @cached_property
    def together(self) -> Tensor:
        """Which objects are of one row, (S, 1, C, C); empty slots see each other."""
        owner = np.full(self.shelves * self.slots, -1)
        owner[self.places] = self.rows
        owner_SC = owner.reshape(self.shelves, 1, self.slots)
        return torch.from_numpy(owner_SC[:, :, :, None] == owner_SC[:, :, None])

    def put(self, x_RF: Tensor) -> Tensor:
        """Objects onto the shelves, (R, F) to (S, C, F), with 0 in empty slots."""
        full = x_RF.new_zeros(self.shelves * self.slots, x_RF.shape[1]).index_copy_(0, self.place_R, x_RF)
        return full.view(self.shelves, self.slots, -1)

    def take(self, x_SCF: Tensor) -> Tensor:
        """Objects from the shelves, (S, C, F) to (R, F)."""
        return x_SCF.flatten(0, 1).index_select(0, self.place_R)
