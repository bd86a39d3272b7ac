"""Reductions over the objects: (B, N, F) becomes (B, F), (B, N, N, F) becomes (B, N, F)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.graph.modules.activations import masked_softmax
from engine.graph.modules.dense import Linear
from engine.graph.modules.values import Values, expand


def left_over(mask: Tensor | None) -> Tensor | None:
    """The mask after the last object axis is gone: None for a row, else objects with any real partner."""
    return None if mask is None or mask.dim() < 3 else mask.any(-1)


class Pool(nn.Module):
    """Mean, maximum or sum over the last object axis."""

    def __init__(self, kind: str, *, use_mask: bool) -> None:
        super().__init__()
        self.kind = kind
        self.use_mask = use_mask

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(self.reduce(x, mask if self.use_mask else None), left_over(mask))]

    def reduce(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return x.amax(-2) if self.kind == "max" else x.sum(-2) if self.kind == "sum" else x.mean(-2)
        if self.kind == "max":
            largest = torch.where(mask.unsqueeze(-1), x, torch.finfo(x.dtype).min).amax(-2)
            return torch.where(mask.any(-1).unsqueeze(-1), largest, 0.0)
        real = expand(mask, x)
        total = (x * real).sum(-2)
        return total if self.kind == "sum" else total / real.sum(-2).clamp(min=1)


class SoftmaxPool(nn.Module):
    """Mean over the objects with learnt weights: the softmax of one score an object."""

    def __init__(self, features: int, weight: str, bias: str, *, use_mask: bool) -> None:
        super().__init__()
        self.use_mask = use_mask
        self.score = Linear(features, 1, weight, bias)

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        weights = masked_softmax(self.score(x), mask if self.use_mask else None)
        return [((weights * x).sum(-2), left_over(mask))]
