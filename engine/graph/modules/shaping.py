"""Other shapes of the same numbers, a choice of features, the end of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.graph.modules.values import Values, expand


class Reshape(nn.Module):
    """The same numbers in another shape (without the batch axis)."""

    def __init__(self, shape: Sequence[int], *, keeps_mask: bool) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.keeps_mask = keeps_mask

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(x.reshape(-1, *self.shape), mask if self.keeps_mask else None)]


class Flatten(nn.Module):
    """All features of all objects as one row."""

    def __init__(self, *, use_mask: bool) -> None:
        super().__init__()
        self.use_mask = use_mask

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        if mask is not None and self.use_mask:
            x = x * expand(mask, x)
        return [(x.flatten(1), None)]


class Select(nn.Module):
    """Features at some positions."""

    positions: Tensor

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("positions", torch.tensor(positions, dtype=torch.int64), persistent=False)

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(x.index_select(-1, self.positions), mask)]


class Unmask(nn.Module):
    """Padding counts like real objects from here on."""

    def forward(self, values: Values) -> Values:
        return [(values[0][0], None)]
