"""The objects of several rows on one shelf: attention among few objects then has fewer and larger products.

With six objects a row, a product of matrices for each row costs mostly its call. Rows are put one after the other onto
shelves of the same length, each whole on one shelf, and objects see those of their own row alone.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

STEP = 16
"""Shelves are as long as a multiple of this, for which torch's kernels of attention are fast."""

SHORTEST = 32


class Shelves:
    """Where the R real objects of the rows stand on S shelves of C slots.

    Args:
        counts: of real objects in each row, (B,).
        row_R: the row of each real object, in order.
    """

    def __init__(self, counts: Tensor, row_R: Tensor) -> None:
        numbers = counts.tolist()
        self.slots = max(SHORTEST, -(-max(numbers, default=0) // STEP) * STEP)
        begins, end = [], 0
        for number in numbers:
            left = -end % self.slots
            if number > left:
                end += left
            begins.append(end)
            end += number
        self.shelves = max(1, -(-end // self.slots))
        moved_B = torch.tensor(begins) - (counts.cumsum(0) - counts)
        self.row_R = row_R
        self.place_R = torch.arange(len(row_R)) + moved_B.index_select(0, row_R)

    @cached_property
    def together(self) -> Tensor:
        """Which objects are of one row, (S, 1, C, C); empty slots see each other."""
        owner = self.place_R.new_full((self.shelves * self.slots,), -1).index_copy_(0, self.place_R, self.row_R)
        owner_SC = owner.view(self.shelves, 1, self.slots)
        return owner_SC.unsqueeze(3) == owner_SC.unsqueeze(2)

    def put(self, x_RF: Tensor) -> Tensor:
        """Objects onto the shelves, (R, F) to (S, C, F), with 0 in empty slots."""
        full = x_RF.new_zeros(self.shelves * self.slots, x_RF.shape[1]).index_copy_(0, self.place_R, x_RF)
        return full.view(self.shelves, self.slots, -1)

    def take(self, x_SCF: Tensor) -> Tensor:
        """Objects from the shelves, (S, C, F) to (R, F)."""
        return x_SCF.flatten(0, 1).index_select(0, self.place_R)
