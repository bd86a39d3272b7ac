"""Activation functions as a block of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import WITH_LOGITS, need_features, need_some_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType

if TYPE_CHECKING:
    from torch import nn


@block("activation")
@dataclass(frozen=True)
class Activation(Block):
    """A function of each number, or softmax."""

    shorthand = "function"
    mask_rule = "Keeps the mask; softmax along objects gives padding 0."

    function: str
    slope: float | None = None
    along: str = "features"
    mask: str = "use"

    @property
    def describe(self) -> str:
        return self.function

    @property
    def has_logits(self) -> bool:
        return self.function in WITH_LOGITS and self.along == "features"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        if self.slope is not None and self.function != "leaky_relu":
            raise RuleError(f"has a slope, but `{self.function}` has none; only `leaky_relu` has", "slope")
        if self.along == "objects":
            if self.function != "softmax":
                raise RuleError(f"cannot apply `{self.function}` along objects, only `softmax`", "along")
            need_some_objects(inputs[0])
        if self.function == "softmax":
            need_features(inputs[0])
        return Outcome((TensorType(inputs[0].shape, inputs[0].masked),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.activations import Activation as Module
        from engine.graph.modules.activations import SoftmaxAlongObjects

        if self.along == "objects":
            return SoftmaxAlongObjects(use_mask=self.mask == "use")
        return Module(self.function, conventions.leaky_relu_slope if self.slope is None else self.slope)
