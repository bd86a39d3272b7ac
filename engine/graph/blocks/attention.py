"""Multi-head attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import linear_count, need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, plural

if TYPE_CHECKING:
    from torch import nn


@block("attention")
@dataclass(frozen=True)
class Attention(Block):
    """Each object gathers from all others."""

    inputs = (1, 2)
    arguments = ("query", "keys")
    mask_rule = "`mask` says who takes part; the result has the mask of those who ask."

    heads: int = 1
    key_dim: int | None = None
    features: int | None = None
    dropout: float = 0.0
    bias: bool = True
    initialisation: str | None = None
    mask: str = "all"

    @property
    def describe(self) -> str:
        return f"attention {plural(self.heads, 'head')}"

    def sizes(self, inputs: Types) -> tuple[int, int]:
        """Size of a key, and features that come out."""
        query = inputs[0].features
        if self.key_dim is None and query % self.heads:
            raise RuleError(
                f"cannot split {plural(query, 'feature')} into {plural(self.heads, 'head')} of equal size;"
                " give `key_dim`",
                "heads",
            )
        return self.key_dim or query // self.heads, self.features or query

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        for value in inputs:
            need_objects(value)
        query, keys = inputs[0], inputs[-1]
        key_dim, features = self.sizes(inputs)
        width = self.heads * key_dim
        count = linear_count(query.features, width, self.bias) + 2 * linear_count(keys.features, width, self.bias)
        return Outcome((query.with_features(features),), count + linear_count(width, features, self.bias))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.attention import Attention as Module

        key_dim, features = self.sizes(inputs)
        return Module(
            inputs[0].features, inputs[-1].features, self.heads, key_dim, features, self.dropout, self.mask,
            self.initialisation or conventions.weight, conventions.bias if self.bias else None,
            kernel_fans=conventions.name == "keras",
        )  # fmt: skip
