"""Recurrent layers: LSTM and GRU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from engine.graph.blocks.common import need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, TensorType

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Recurrent(Block):
    """What the recurrent blocks share. `return` is a word of Python, so the field has an underscore."""

    shorthand = "units"
    mask_rule = "Steps over padding. A sequence keeps the mask, the last state has none."
    gates: ClassVar[int]

    units: int
    return_: str = field(default="last", metadata={"name": "return"})
    mask: str = "use"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        need_objects(inputs[0])
        value = inputs[0]
        count = self.gates * self.units * (value.features + self.units + self.biases(conventions))
        if self.return_ == "sequence":
            return Outcome((value.with_features(self.units),), count)
        return Outcome((TensorType((self.units,)),), count)

    def biases(self, conventions: Conventions) -> int:
        """How many biases a gate has."""
        return 2


def starts(conventions: Conventions) -> tuple[str, str, str]:
    """Initialisation of the weights of the input, of the state, and of the biases."""
    return conventions.recurrent_input, conventions.recurrent_state, conventions.recurrent_bias


@block("lstm")
@dataclass(frozen=True)
class Lstm(Recurrent):
    """Long short-term memory."""

    gates = 4

    def biases(self, conventions: Conventions) -> int:
        return 1 if conventions.single_bias else 2

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.recurrent import Lstm as Module

        return Module(
            inputs[0].features, self.units, sequence=self.return_ == "sequence", use_mask=self.mask == "use",
            starts=starts(conventions), forget=conventions.forget_bias, single_bias=conventions.single_bias,
        )  # fmt: skip


@block("gru")
@dataclass(frozen=True)
class Gru(Recurrent):
    """Gated recurrent unit."""

    gates = 3

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.recurrent import Gru as Module

        return Module(
            inputs[0].features, self.units, sequence=self.return_ == "sequence", use_mask=self.mask == "use",
            starts=starts(conventions),
        )  # fmt: skip
