"""Codes to vectors or to columns of ones and zeros."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import TrainingError
from engine.graph.modules.values import GraphModule, Start, Values


class Embedding(GraphModule):
    """A table with a vector for each code: (..., W) codes become (..., W * size).

    Codes outside of the table count as 0; in training on the CPU, where looking costs next to nothing, they are told.
    """

    weight: Tensor

    def __init__(self, vocabulary: int, size: int, start: str) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.free("weight", (vocabulary, size), Start(start, vocabulary, size))

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        codes = x.long()
        if self.training and not codes.is_cuda and not torch.compiler.is_compiling():
            self.check(codes)
        codes = torch.where((codes >= 0) & (codes < self.vocabulary), codes, 0)
        return [(functional.embedding(codes, self.weight).flatten(-2), mask)]

    def check(self, codes: Tensor) -> None:
        """Stop at codes outside of the table.

        Raises:
            TrainingError: there are some.
        """
        if not codes.numel():
            return
        low, high = torch.aminmax(codes)
        if low < 0 or high >= self.vocabulary:
            code = int(low if low < 0 else high)
            message = (
                f"an embedding with {self.vocabulary} vectors gets the code {code}; codes count from 0,"
                " so give it a larger `vocabulary`, or the feature a vocabulary with a rule for what is unknown"
            )
            raise TrainingError(message)


class OneHot(nn.Module):
    """A column for each code 0 .. size - 1."""

    codes: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.arange(size, dtype=torch.float32), persistent=False)

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [((x.unsqueeze(-1) == self.codes).to(self.codes.dtype).flatten(-2), mask)]
