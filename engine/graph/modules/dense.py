"""Fully connected layers on the last axis, for rows (B, F) and for each object of (B, N, F) alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.activations import Function, activation
from engine.graph.modules.dropout import dropout, relu_dropout
from engine.graph.modules.values import GraphModule, Start, Values


class Linear(GraphModule):
    """x W^T + b with weight (out, in)."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, features: int, units: int, weight: str, bias: str | None) -> None:
        super().__init__()
        self.free("weight", (units, features), Start(weight, features, units))
        if bias is None:
            self.register_parameter("bias", None)
        else:
            self.free("bias", (units,), Start(bias, features, units))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class Dense(nn.Module):
    """Linear layers with an activation and a dropout after each.

    Args:
        features: features that come in.
        units: features after each layer.
        function: name of the activation.
        slope: slope of leaky_relu.
        rate: dropout rate after each layer.
        weight, bias: initialisation; no bias where None.
    """

    def __init__(
        self, features: int, units: Sequence[int], function: str | None, slope: float, rate: float, weight: str,
        bias: str | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.function = function
        self.rate = rate
        self.apply_function: Function | None = activation(function, slope)
        widths = [features, *units]
        for i, width in enumerate(units):
            self.add_module(str(i), Linear(widths[i], width, weight, bias))
        self.layers: list[Linear] = [module for module in self.children() if isinstance(module, Linear)]

    def body(self, values: Values) -> Values:
        """All but the last activation and dropout."""
        x, mask = values[0]
        x_F = x.reshape(-1, x.shape[-1]) if x.dim() > 2 else x
        for layer in self.layers[:-1]:
            x_F = self.activate(layer(x_F))
        return [(restore(self.layers[-1](x_F), x), mask)]

    def finish(self, values: Values) -> Values:
        x, mask = values[0]
        return [(self.activate(x), mask)]

    def activate(self, x: Tensor) -> Tensor:
        """The activation and the dropout after a linear layer, whose output `x` nothing else needs."""
        drop = self.training and self.rate > 0
        if self.function == "relu":
            return relu_dropout(x, self.rate) if drop else torch.relu_(x)
        if self.apply_function is not None:
            x = self.apply_function(x)
        return dropout(x, self.rate) if drop else x

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        # Two axes only: the output of a linear layer is then no view, and can be overwritten by its activation
        x_F = x.reshape(-1, x.shape[-1]) if x.dim() > 2 else x
        for layer in self.layers:
            x_F = self.activate(layer(x_F))
        return [(restore(x_F, x), mask)]


def restore(x_F: Tensor, like: Tensor) -> Tensor:
    """Give the rows of `x_F` the object axes of `like` back."""
    return x_F.reshape(*like.shape[:-1], x_F.shape[-1]) if like.dim() > 2 else x_F
