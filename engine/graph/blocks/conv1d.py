"""Convolution along the objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType, plural

if TYPE_CHECKING:
    from torch import nn


@block("conv1d")
@dataclass(frozen=True)
class Conv1d(Block):
    """New features of each object from its own and its neighbours'."""

    mask_rule = (
        "Sets padding to 0 first and keeps the mask; where objects come and go, a window with a real object is real."
    )

    filters: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    padding: str = "same"
    activation: str | None = None
    bias: bool = True
    initialisation: str | None = None
    mask: str = "use"

    @property
    def describe(self) -> str:
        return " ".join([f"conv1d {self.filters} x {self.kernel}", *([self.activation] if self.activation else [])])

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_objects(inputs[0])
        features = inputs[0].features
        for name, size in (("filters", self.filters), ("input features", features)):
            if size % self.groups:
                raise RuleError(
                    f"cannot split {size} {name} into {plural(self.groups, 'group')} of equal size", "groups"
                )
        objects = self.objects(inputs[0].objects[0])
        count = (features // self.groups * self.kernel + int(self.bias)) * self.filters
        return Outcome((TensorType((objects, self.filters), inputs[0].masked),), count)

    def objects(self, objects: int) -> int:
        """How many objects come out."""
        if self.padding == "same":
            return -(-objects // self.stride)
        if self.kernel > objects:
            raise RuleError(
                f"looks at {self.kernel} objects at once, but there are only {objects}; use `padding: same`", "kernel"
            )
        return (objects - self.kernel) // self.stride + 1

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.conv import Conv1d as Module
        from engine.graph.modules.conv import Window

        objects, features = inputs[0].shape
        missing = max((self.objects(objects) - 1) * self.stride + self.kernel - objects, 0)
        before = missing // 2 if self.padding == "same" else 0
        after = missing - before if self.padding == "same" else 0
        return Module(
            features, self.filters, Window(self.kernel, self.stride, before, after), self.groups, self.activation,
            conventions.leaky_relu_slope, self.initialisation or conventions.weight,
            conventions.bias if self.bias else None, use_mask=self.mask == "use",
        )  # fmt: skip
