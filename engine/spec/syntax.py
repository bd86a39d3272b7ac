"""The parts of a parsed expression, and how each is evaluated."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Lookup = Callable[[str], Any]
Functions = Mapping[str, Callable[..., Any]]

LARGEST_INTEGER = 2**63 - 1  # beyond it a whole number becomes a float: arrays hold no larger ones


def _power(left: Any, right: Any) -> Any:
    """`left ** right`; of two plain numbers as floats, since whole numbers would grow without limit."""
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return left**right
    result = float(left) ** float(right)
    if isinstance(result, complex):
        return math.nan
    whole = isinstance(left, int) and isinstance(right, int) and right >= 0 and abs(result) < 2**53
    return int(result) if whole else result


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "**": _power,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def apply(symbol: str, left: Any, right: Any) -> Any:
    """An operator on two values; plain numbers follow the rules of arrays: 1/0 is inf, 0/0 is NaN, too large is inf."""
    try:
        result = OPERATORS[symbol](left, right)
    except ZeroDivisionError:
        result = math.inf if symbol == "**" else _ratio_to_zero(symbol, float(left))
    except OverflowError:
        result = math.inf
    if type(result) is int and abs(result) > LARGEST_INTEGER:
        return float(result)
    return result


def _ratio_to_zero(symbol: str, numerator: float) -> float:
    if symbol == "%" or numerator == 0 or math.isnan(numerator):
        return math.nan
    return math.copysign(math.inf, numerator)


class Node:
    """A part of an expression."""

    __slots__ = ()

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        """The value of this part; `lookup` gives the value of a name, `functions` the meaning of a function."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number, `pi`, `inf`, `true` or `false`."""

    value: float | int | bool

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name such as `pt` or `jets.pt`."""

    name: str

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        return lookup(self.name)


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-x`."""

    operand: Node

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        value = self.operand.evaluate(lookup, functions)
        return -int(value) if isinstance(value, bool) else -value


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left <symbol> right` with one of + - * / % **."""

    symbol: str
    left: Node
    right: Node

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        return apply(self.symbol, self.left.evaluate(lookup, functions), self.right.evaluate(lookup, functions))


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """`a < b`, or a chain of them: `a < b <= c` is `a < b and b <= c`."""

    operands: tuple[Node, ...]
    symbols: tuple[str, ...]

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        values = [operand.evaluate(lookup, functions) for operand in self.operands]
        result = apply(self.symbols[0], values[0], values[1])
        for i, symbol in enumerate(self.symbols[1:], start=1):
            result = functions["and"](result, apply(symbol, values[i], values[i + 1]))
        return result


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of values; `and`, `or`, `not` are calls too."""

    function: str
    arguments: tuple[Node, ...]

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        return functions[self.function](*(argument.evaluate(lookup, functions) for argument in self.arguments))


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`x in [1, 2, 3]`: `functions["in"]` gets the value and the tuple of choices."""

    operand: Node
    choices: tuple[Node, ...]

    def evaluate(self, lookup: Lookup, functions: Functions) -> Any:
        choices = tuple(choice.evaluate(lookup, functions) for choice in self.choices)
        return functions["in"](self.operand.evaluate(lookup, functions), choices)
