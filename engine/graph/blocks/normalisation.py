"""Batch and layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_features
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, TensorType

if TYPE_CHECKING:
    from torch import nn


@block("batch_norm")
@dataclass(frozen=True)
class BatchNorm(Block):
    """Normalisation with the statistics of the batch."""

    mask_rule = "Takes mean and variance of real objects and keeps the mask."

    momentum: float | None = None
    epsilon: float | None = None
    mask: str = "use"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        value = inputs[0]
        return Outcome((TensorType(value.shape, value.masked),), 2 * value.features, 2 * value.features)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.normalisation import BatchNorm as Module

        return Module(
            inputs[0].features,
            conventions.batch_norm_momentum if self.momentum is None else self.momentum,
            conventions.batch_norm_epsilon if self.epsilon is None else self.epsilon,
            unbiased=conventions.batch_norm_unbiased,
            use_mask=self.mask == "use",
        )


@block("layer_norm")
@dataclass(frozen=True)
class LayerNorm(Block):
    """Normalisation over the features of each object or row."""

    epsilon: float | None = None

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        return Outcome((TensorType(inputs[0].shape, inputs[0].masked),), 2 * inputs[0].features)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.normalisation import LayerNorm as Module

        return Module(inputs[0].features, conventions.layer_norm_epsilon if self.epsilon is None else self.epsilon)
