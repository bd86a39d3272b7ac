"""Fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import WITH_LOGITS, linear_count, need_features, whole
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome

if TYPE_CHECKING:
    from torch import nn


@block("dense")
@dataclass(frozen=True)
class Dense(Block):
    """Layers of `units` features, each a linear function of all features, an activation and dropout."""

    shorthand = "units"

    units: int | tuple[int, ...]
    activation: str | None = None
    dropout: float = 0.0
    bias: bool = True
    initialisation: str | None = None

    @property
    def has_logits(self) -> bool:
        return self.activation in WITH_LOGITS and self.dropout == 0

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        widths = (inputs[0].features, *whole(self.units))
        count = sum(linear_count(widths[i], units, self.bias) for i, units in enumerate(widths[1:]))
        return Outcome((inputs[0].with_features(widths[-1]),), count)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.dense import Dense as Module

        return Module(
            inputs[0].features, whole(self.units), self.activation, conventions.leaky_relu_slope, self.dropout,
            self.initialisation or conventions.weight, conventions.bias if self.bias else None,
        )  # fmt: skip
