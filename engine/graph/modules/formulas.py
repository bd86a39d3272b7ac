"""Element-wise formulas, free tensors, reversed and stopped gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.graph.modules.merging import common_mask, raise_row
from engine.graph.modules.values import GraphModule, Start, Values
from engine.graph.operations import TORCH_FUNCTIONS
from engine.spec.expressions import Expression


class Formula(nn.Module):
    """An expression of the spec, applied number by number; the inputs are known by `names`."""

    def __init__(self, expression: Expression, names: Sequence[str]) -> None:
        super().__init__()
        self.expression = expression
        self.names = tuple(names)

    def forward(self, values: Values) -> Values:
        axes = max(x.dim() for x, _ in values)
        known = {name: raise_row(x, axes) for name, (x, _) in zip(self.names, values, strict=True)}
        result = self.expression.evaluate(known.__getitem__, TORCH_FUNCTIONS)
        return [(result.to(values[0][0].dtype), common_mask(values))]

    def extra_repr(self) -> str:
        return self.expression.text


class FreeTensor(GraphModule):
    """A tensor that depends on nothing, for each row of the batch; the input only says how many rows there are."""

    value: Tensor

    def __init__(self, shape: Sequence[int], start: Start, *, trainable: bool) -> None:
        super().__init__()
        if trainable:
            self.free("value", shape, start)
        else:
            self.fixed("value", torch.empty(tuple(shape)))
            self.starts["value"] = start

    def forward(self, values: Values) -> Values:
        batch = values[0][0].shape[0]
        return [(self.value.unsqueeze(0).expand(batch, *self.value.shape), None)]


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * -ctx.strength, None


class GradientReversal(nn.Module):
    """The same values; gradients times -strength."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        if torch.is_grad_enabled() and x.requires_grad:
            x = _Reversal.apply(x, self.strength)  # type: ignore[no-untyped-call]
        return [(x, mask)]


class Detach(nn.Module):
    """The same values; what comes before does not learn from what comes after."""

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(x.detach(), mask)]
