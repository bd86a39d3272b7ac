"""Where the options of metrics and plots hold expressions of a row's columns, outputs, targets and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.errors import Path
from engine.spec.expressions import ExpressionError, parse

PLAIN = ("selection", "cut", "cut_weight", "probability")
GROUPS = ("columns", "outputs", "targets", "weights")


def expression_options(options: Mapping[str, Any], weights: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Place below the options, and text, of each expression.

    Args:
        options: of a metric or plot.
        weights: names of weights; a `weight` that is one of them is no expression.
    """
    for key in PLAIN:
        if isinstance(options.get(key), str):
            yield (key,), options[key]
    weight = options.get("weight")
    if isinstance(weight, str) and weight not in {*weights, "none"}:
        yield ("weight",), weight
    for index, variable in enumerate(options.get("variables") or ()):
        if isinstance(variable, str):
            yield ("variables", index), variable
        elif isinstance(variable, Mapping) and "column" in variable:
            yield ("variables", index, "column"), str(variable["column"])
    reweight = options.get("reweight")
    if isinstance(reweight, Mapping) and "of" in reweight:
        yield ("reweight", "of"), str(reweight["of"])


def names_of(text: str) -> frozenset[str]:
    """The names in an expression; none where it cannot be read."""
    try:
        return parse(text).names
    except ExpressionError:
        return frozenset()


def longest(name: str, known: Mapping[str, object]) -> str | None:
    """The longest of the known names that a dotted name is or begins with."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        if (candidate := ".".join(parts[:size])) in known:
            return candidate
    return None
