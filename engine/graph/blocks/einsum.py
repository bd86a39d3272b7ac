"""Sums over indices of inputs and free weights, in Einstein's convention."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType, plural, words

if TYPE_CHECKING:
    from torch import nn


@block("einsum")
@dataclass(frozen=True)
class Einsum(Block):
    """A sum over indices of inputs and free weights."""

    shorthand = "equation"
    inputs = (1, None)
    mask_rule = (
        "Padding is set to 0 where objects are summed over or become features. Object letters of the result keep their"
        " masks; a pair is real when both of its objects are."
    )

    equation: str
    parameters: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    initialisation: str | None = None
    mask: str = "use"

    @cached_property
    def terms(self) -> tuple[tuple[str, ...], str]:
        """The letters of the operands, and those of the result."""
        left, arrow, right = self.equation.replace(" ", "").partition("->")
        operands = tuple(left.split(","))
        letters = set("".join((*operands, right)))
        if not arrow or not letters or not letters <= set(string.ascii_letters) or not all(operands):
            raise RuleError(f"cannot read `{self.equation}`; write it like `of, fg -> og`", "equation")
        if any(len(set(term)) < len(term) for term in (*operands, right)):
            raise RuleError(f"has a letter twice in one term of `{self.equation}`", "equation")
        return operands, right

    def letter_sizes(self, inputs: Types) -> dict[str, int]:
        """The size of each letter."""
        operands, result = self.terms
        if len(operands) != len(inputs) + len(self.parameters):
            have = f"{plural(len(inputs), 'input')} and {plural(len(self.parameters), 'free weight')}"
            raise RuleError(f"has {plural(len(operands), 'term')} in `{self.equation}` for {have}", "equation")
        if len(set(self.parameters)) < len(self.parameters):
            raise RuleError("names two free weights alike", "parameters")
        sizes: dict[str, int] = {}
        for term, value in zip(operands, inputs, strict=False):
            if len(term) != len(value.shape):
                raise RuleError(f"has `{term}` for an input of {words(value)}; each axis needs a letter", "equation")
            for letter, size in zip(term, value.shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise RuleError(f"uses `{letter}` for axes of {sizes[letter]} and of {size}", "equation")
        for letter, size in self.sizes.items():
            if sizes.setdefault(letter, size) != size:
                raise RuleError(f"says that `{letter}` is {size}, but an input has {sizes[letter]} there", "sizes")
        for letter in sorted(set("".join((*operands, result))) - set(sizes)):
            raise RuleError(f"does not know the size of `{letter}`; give it as `sizes: {{{letter}: 8}}`", "sizes")
        for letter in result:
            if not any(letter in term for term in operands):
                raise RuleError(f"has `{letter}` in the result but in no operand of `{self.equation}`", "equation")
        return sizes

    def masks(self, inputs: Types) -> dict[int, str]:
        """The inputs whose masks are part of that of the result, with the letters of their objects."""
        operands, result = self.terms
        kept = set(result[:-1])
        return {i: operands[i][:-1] for i, value in enumerate(inputs) if value.masked and kept & set(operands[i][:-1])}

    def zeroed(self, inputs: Types) -> list[bool]:
        """For each input whether its padding must be set to 0: some of its objects are none of the result's."""
        operands, result = self.terms
        kept = set(result[:-1])
        return [
            self.mask == "use" and value.masked and not set(operands[i][:-1]) <= kept for i, value in enumerate(inputs)
        ]

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        sizes = self.letter_sizes(inputs)
        operands, result = self.terms
        count = sum(math.prod(sizes[letter] for letter in term) for term in operands[len(inputs) :])
        return Outcome((TensorType(tuple(sizes[letter] for letter in result), bool(self.masks(inputs))),), count)

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.einsum import Einsum as Module
        from engine.graph.modules.values import Start

        sizes = self.letter_sizes(inputs)
        operands, result = self.terms
        weights = {}
        for name, term in zip(self.parameters, operands[len(inputs) :], strict=True):
            fan_in = math.prod(sizes[letter] for letter in term if letter not in result)
            fan_out = math.prod(sizes[letter] for letter in term if letter in result)
            start = Start(self.initialisation or conventions.weight, fan_in, fan_out)
            weights[name] = (tuple(sizes[letter] for letter in term), start)
        terms = [f"...{term}" for term in operands[: len(inputs)]] + list(operands[len(inputs) :])
        equation = f"{','.join(terms)}->...{result}"
        return Module(equation, weights, self.zeroed(inputs), self.masks(inputs), result[:-1])
