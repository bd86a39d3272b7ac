"""Dropout whose random numbers cost little on a CPU.

torch draws one Bernoulli number an element from a serial generator, 10 ns each, which is a third of a training step
of a small network. Here one 64-bit draw of the same generator (so that seeds and saved states hold) gives four
elements 16 random bits each; the rate is rounded to 1/65536. On other devices torch's own dropout runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.values import Values

LEVELS = 65536


def kept(x: Tensor, rate: float) -> tuple[Tensor, float]:
    """Which elements stay (1.0 or 0.0, in the shape and dtype of `x`), and what they are multiplied by."""
    dropped = round(rate * LEVELS)
    count = x.numel()
    draws = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[:count].view(x.shape)
    keep = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(bits, dropped - LEVELS // 2, out=keep)
    return keep, LEVELS / max(LEVELS - dropped, 1)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        keep, scale = kept(x, rate)
        keep.mul_(scale)
        ctx.save_for_backward(keep)
        return x * keep

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return gradients[0] * keep, None


class _ReluDropout(torch.autograd.Function):
    """max(x, 0), then dropout: an element's result is positive exactly where its gradient passes, so that the result
    is all that must be kept for the backward step. Works in place on the fresh output of a linear layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        keep, scale = kept(x, rate)
        x.relu_().mul_(keep.mul_(scale))
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradients[0], result, 0).mul_(ctx.scale), None


def dropout(x: Tensor, rate: float) -> Tensor:
    """Dropout in training."""
    if x.device.type == "cpu":
        return _Dropout.apply(x, rate)  # type: ignore[no-any-return, no-untyped-call]
    return functional.dropout(x, rate, training=True)


def relu_dropout(x: Tensor, rate: float) -> Tensor:
    """relu and dropout in training; `x` is overwritten where gradients do not need it."""
    if x.device.type == "cpu":
        return _ReluDropout.apply(x, rate)  # type: ignore[no-any-return, no-untyped-call]
    return functional.dropout(functional.relu(x), rate, training=True)


class Dropout(nn.Module):
    """Sets elements to 0 with probability `rate` in training, and multiplies the others by 1 / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        if self.training and self.rate > 0:
            x = dropout(x, self.rate)
        return [(x, mask)]

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
