"""Blocks from which new layers are made: expression, parameter, gradient_reversal, detach."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from engine.graph.blocks.merging import element_wise
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType
from engine.spec.expressions import FUNCTIONS, Expression, ExpressionError, parse
from engine.spec.suggest import hint

if TYPE_CHECKING:
    from torch import nn


@block("expression")
@dataclass(frozen=True)
class Formula(Block):
    """A formula applied number by number; its inputs are `x`, or what their sources are called."""

    shorthand = "formula"
    inputs = (1, None)
    free_arguments = True
    merges = True
    mask_rule = "Keeps the mask; an object is real when it is in all inputs that have a mask."

    formula: str
    names: tuple[str, ...] = field(default=(), metadata={"name": None})  # set by the planner from the sources

    @cached_property
    def parsed(self) -> Expression:
        """The formula as a tree.

        Raises:
            RuleError: it is not an expression of the grammar.
        """
        try:
            return parse(self.formula)
        except ExpressionError as error:
            raise RuleError(f"cannot read `{self.formula}`: {error}", "formula") from None

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        names = self.known(len(inputs))
        for name in sorted(self.parsed.names):
            if name not in names:
                raise RuleError(f"does not know `{name}` in `{self.formula}`{hint(name, names)}", "formula")
        if not self.parsed.names:
            raise RuleError(f"has a formula without an input; `{self.formula}` needs {' or '.join(names)}", "formula")
        for function in sorted(self.parsed.functions):
            if FUNCTIONS[function].is_ranking:
                raise RuleError(f"works number by number; `{function}` is for features of the data", "formula")
            if FUNCTIONS[function].is_reduction:
                raise RuleError(
                    f"works number by number and cannot reduce objects with `{function}`; use a pool", "formula"
                )
        if not inputs[0].shape and len(inputs) == 1:
            return Outcome((inputs[0],))
        return Outcome((element_wise(inputs, "combine"),))

    def known(self, count: int) -> tuple[str, ...]:
        """What the inputs are called in the formula."""
        if self.names:
            return self.names
        if count > 1:
            raise RuleError("has several inputs; give them names with `from: {a: one, b: other}`")
        return ("x",)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.formulas import Formula as Module

        return Module(self.parsed, self.known(len(inputs)))


@block("parameter")
@dataclass(frozen=True)
class Parameter(Block):
    """A tensor that is learnt and depends on nothing."""

    shorthand = "shape"
    inputs = (0, 0)
    mask_rule = "Has none."

    shape: tuple[int, ...]
    initialisation: str = "zeros"
    trainable: bool = True

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        size = math.prod(self.shape)
        return Outcome((TensorType(self.shape),), size if self.trainable else 0, 0 if self.trainable else size)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.formulas import FreeTensor
        from engine.graph.modules.values import Start

        start = Start(self.initialisation, self.shape[0], self.shape[-1])
        return FreeTensor(self.shape, start, trainable=self.trainable)


@block("gradient_reversal")
@dataclass(frozen=True)
class GradientReversal(Block):
    """The same values, reversed gradients."""

    shorthand = "strength"

    strength: float = 1.0

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((inputs[0],))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.formulas import GradientReversal as Module

        return Module(self.strength)


@block("detach")
@dataclass(frozen=True)
class Detach(Block):
    """The same values, no gradients."""

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((inputs[0],))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.formulas import Detach as Module

        return Module()
