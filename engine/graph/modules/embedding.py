"""Codes to vectors or to columns of ones and zeros."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.values import GraphModule, Start, Values


class Embedding(GraphModule):
    """A table with a vector for each code; codes outside of it count as 0. (..., W) codes become (..., W * size)."""

    weight: Tensor

    def __init__(self, vocabulary: int, size: int, start: str) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.free("weight", (vocabulary, size), Start(start, vocabulary, size))

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        codes = x.long()
        codes = torch.where((codes >= 0) & (codes < self.vocabulary), codes, 0)
        return [(functional.embedding(codes, self.weight).flatten(-2), mask)]


class OneHot(nn.Module):
    """A column for each code 0 .. size - 1."""

    codes: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.arange(size, dtype=torch.float32), persistent=False)

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [((x.unsqueeze(-1) == self.codes).to(self.codes.dtype).flatten(-2), mask)]
