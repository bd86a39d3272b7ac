"""Reductions over the objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from engine.graph.blocks.common import linear_count, need_some_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, TensorType

if TYPE_CHECKING:
    from torch import nn


def reduced(value: TensorType) -> TensorType:
    """The type without its last object axis.

    Raises:
        RuleError: it has none.
    """
    need_some_objects(value)
    return TensorType((*value.objects[:-1], value.features), value.masked and len(value.objects) > 1)


@dataclass(frozen=True)
class Pool(Block):
    """What the pools share."""

    mask_rule = "Only real objects count; a row of the result has no mask."
    kind: ClassVar[str]

    mask: str = "use"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((reduced(inputs[0]),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.pooling import Pool as Module

        return Module(self.kind, use_mask=self.mask == "use")


@block("mean_pool")
@dataclass(frozen=True)
class MeanPool(Pool):
    """Mean over the objects."""

    kind = "mean"


@block("max_pool")
@dataclass(frozen=True)
class MaxPool(Pool):
    """Largest value among the objects."""

    kind = "max"


@block("sum_pool")
@dataclass(frozen=True)
class SumPool(Pool):
    """Sum over the objects."""

    kind = "sum"


@block("softmax_pool")
@dataclass(frozen=True)
class SoftmaxPool(Block):
    """Mean over the objects with learnt weights."""

    mask_rule = "Only real objects count; a row of the result has no mask."

    mask: str = "use"
    initialisation: str | None = None

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((reduced(inputs[0]),), linear_count(inputs[0].features, 1, bias=True))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.pooling import SoftmaxPool as Module

        weight = self.initialisation or conventions.weight
        return Module(inputs[0].features, weight, conventions.bias, use_mask=self.mask == "use")
