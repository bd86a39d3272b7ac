"""Expressions without names: the numbers of a spec, such as `1/500000` or `inf`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.spec.expressions import ExpressionError, parse


def constant(text: str | float | int | bool) -> float | int:
    """The number that an expression without names stands for, such as `1/500000`.

    Raises:
        ExpressionError: it is no expression, uses a name, or calls a function.
    """
    expression = parse(text)
    if expression.names:
        name = min(expression.names, key=lambda each: expression.offsets.get(each, 0))
        raise ExpressionError(f"`{name}` stands where only numbers may be used", expression.offsets.get(name, 0))
    for name in sorted(expression.functions - _OF_NUMBERS.keys()):
        raise ExpressionError(f"`{name}` cannot be used where a plain number is expected")
    value: float | int = expression.evaluate(dict[str, float]().__getitem__, _OF_NUMBERS)
    return int(value) if isinstance(value, bool) else value


def _guarded(function: Callable[..., float]) -> Callable[..., float]:
    """The function with the results of arrays in place of errors: NaN out of its domain, inf where too large."""

    def call(*values: float) -> float:
        try:
            return function(*values)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    return call


_PLAIN = ("sqrt", "exp", "log", "log1p", "log10", "sin", "cos", "tan", "atan", "atan2", "sinh", "cosh", "tanh", "asinh")
_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    **{name: _guarded(getattr(math, name)) for name in _PLAIN},
    **{"abs": abs, "min": min, "max": max, "round": _guarded(round), "floor": _guarded(math.floor)},
    **{"and": lambda a, b: bool(a and b), "or": lambda a, b: bool(a or b)},
    **{"not": lambda a: not a, "in": lambda value, choices: value in choices},
}
