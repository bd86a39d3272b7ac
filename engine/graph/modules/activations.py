"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.values import Values
from engine.graph.portable import portable, sigmoid

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "relu": torch.relu,
    "selu": functional.selu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "sigmoid": portable(torch.sigmoid, sigmoid),
    "softmax": partial(torch.softmax, dim=-1),
    "swish": functional.silu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "mish": functional.mish,
    "hard_sigmoid": functional.hardsigmoid,
    "exponential": torch.exp,
    "linear": lambda x: x,
}


def activation(name: str | None, slope: float) -> Function | None:
    """The function of a name, None for no function; `slope` is that of leaky_relu."""
    if name is None or name == "linear":
        return None
    if name == "leaky_relu":
        return partial(functional.leaky_relu, negative_slope=slope)
    return FUNCTIONS[name]


class Activation(nn.Module):
    """A function of each number, or softmax over the features.

    `body` and `finish` split the work where the value before the function is of use (logits).
    """

    def __init__(self, name: str, slope: float) -> None:
        super().__init__()
        self.name = name
        self.function = activation(name, slope)

    def body(self, values: Values) -> Values:
        return values

    def finish(self, values: Values) -> Values:
        x, mask = values[0]
        return [(x if self.function is None else self.function(x), mask)]

    def forward(self, values: Values) -> Values:
        return self.finish(self.body(values))

    def extra_repr(self) -> str:
        return self.name


class SoftmaxAlongObjects(nn.Module):
    """Softmax over the last object axis, for each feature; padding gets 0."""

    def __init__(self, *, use_mask: bool) -> None:
        super().__init__()
        self.use_mask = use_mask

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(masked_softmax(x, mask if self.use_mask else None), mask)]


def masked_softmax(x: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over axis -2; elements whose mask is False get 0, and without any real object all are 0."""
    if mask is None:
        return torch.softmax(x, dim=-2)
    real = mask.unsqueeze(-1)
    lowest = torch.finfo(x.dtype).min / 2
    return torch.softmax(torch.where(real, x, lowest), dim=-2) * real.to(x.dtype)
