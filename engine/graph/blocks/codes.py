"""Blocks that read codes: embedding, one-hot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_features
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome

if TYPE_CHECKING:
    from torch import nn


@block("embedding")
@dataclass(frozen=True)
class Embedding(Block):
    """A vector of free numbers for each code. `share` is taken apart by the planner."""

    size: int
    vocabulary: int
    share: str | None = None
    initialisation: str | None = None

    @property
    def describe(self) -> str:
        return f"embedding {self.vocabulary} x {self.size}"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        return Outcome((inputs[0].with_features(inputs[0].features * self.size),), self.vocabulary * self.size)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.embedding import Embedding as Module

        return Module(self.vocabulary, self.size, self.initialisation or conventions.embedding)


@block("one_hot")
@dataclass(frozen=True)
class OneHot(Block):
    """A column for each code."""

    shorthand = "size"

    size: int

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        return Outcome((inputs[0].with_features(inputs[0].features * self.size),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.embedding import OneHot as Module

        return Module(self.size)
