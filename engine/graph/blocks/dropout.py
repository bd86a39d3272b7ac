"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome

if TYPE_CHECKING:
    from torch import nn


@block("dropout")
@dataclass(frozen=True)
class Dropout(Block):
    """Sets features to 0 at random while training."""

    shorthand = "rate"

    rate: float

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((inputs[0],))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.dropout import Dropout as Module

        return Module(self.rate)
