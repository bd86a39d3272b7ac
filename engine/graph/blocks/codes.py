"""Blocks that read codes: embedding, one-hot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_features
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError

if TYPE_CHECKING:
    from torch import nn


@block("embedding")
@dataclass(frozen=True)
class Embedding(Block):
    """A vector of free numbers for each code. `share` is taken apart by the planner."""

    size: int
    vocabulary: int | None = None
    share: str | None = None
    initialisation: str | None = None

    def resolved(self, inputs: Types) -> Embedding:
        return self if self.vocabulary is not None else replace(self, vocabulary=inputs[0].vocabulary)

    @property
    def describe(self) -> str:
        return f"embedding {self.vocabulary} x {self.size}"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_features(inputs[0])
        rows, codes = self.resolved(inputs).vocabulary, inputs[0].vocabulary
        if rows is None:
            raise RuleError("needs `vocabulary`, the number of codes: its input has no vocabulary to take it from")
        if codes is not None and rows < codes:
            raise RuleError(f"has {rows} vectors for an input with {codes} codes; leave `vocabulary` out", "vocabulary")
        return Outcome((inputs[0].with_features(inputs[0].features * self.size),), rows * self.size)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.embedding import Embedding as Module

        rows = self.resolved(inputs).vocabulary or 1  # the rule has seen that there is one
        return Module(rows, self.size, self.initialisation or conventions.embedding)


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
