"""Pooling of neighbouring objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType

if TYPE_CHECKING:
    from torch import nn


@block("pool1d")
@dataclass(frozen=True)
class Pool1d(Block):
    """Each window of neighbouring objects becomes one object."""

    shorthand = "size"
    mask_rule = "Only real objects count; a window with a real object is real."

    size: int = 2
    kind: str = "max"
    stride: int | None = None
    mask: str = "use"

    @property
    def describe(self) -> str:
        return f"pool1d {self.kind} {self.size}"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_objects(inputs[0])
        objects, features = inputs[0].shape
        if self.size > objects:
            raise RuleError(f"pools {self.size} objects, but there are only {objects}", "size")
        windows = (objects - self.size) // (self.stride or self.size) + 1
        return Outcome((TensorType((windows, features), inputs[0].masked),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.conv import Pool1d as Module
        from engine.graph.modules.conv import Window

        return Module(Window(self.size, self.stride or self.size), self.kind, use_mask=self.mask == "use")
