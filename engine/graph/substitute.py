"""Puts values in for `$name`, `input.channels` and arithmetic of them (`$layers - 1`)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from engine.graph.types import RuleError, TensorType
from engine.spec.expressions import ExpressionError, parse
from engine.spec.suggest import hint

DOLLAR = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
SIZE = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]*)\.(channels|objects)\b")


class UnknownTypeError(Exception):
    """A size is asked for of an input whose type is not known because of another mistake."""


class Substitution:
    """What `$names` and sizes of inputs stand for at one place of a graph.

    Args:
        values: what each `$name` stands for.
        inputs: the inputs of the block written in YAML that we are in; None for an input of unknown type.
    """

    def __init__(self, values: Mapping[str, Any], inputs: Mapping[str, TensorType | None]) -> None:
        self.values = values
        self.inputs = inputs

    def within(self, values: Mapping[str, Any]) -> Substitution:
        """The same with further names, which hide those of the same name."""
        return Substitution({**self.values, **values}, self.inputs)

    def resolve(self, raw: Any, *, text: bool = False) -> Any:
        """A value with everything put in; lists and mappings are gone through.

        Args:
            raw: as written.
            text: the value is a text of its own (a formula), in which `$name` is replaced letter by letter.

        Raises:
            RuleError: an unknown name, or arithmetic that cannot be done.
            UnknownTypeError: it depends on a type that is not known.
        """
        if isinstance(raw, str):
            return self.in_text(raw) if text else self.in_value(raw)
        if isinstance(raw, list | tuple):
            return tuple(self.resolve(item, text=text) for item in raw)
        if isinstance(raw, Mapping):
            return {key: self.resolve(item, text=text) for key, item in raw.items()}
        return raw

    def in_text(self, text: str) -> str:
        """`$name` within a text, numbers in brackets so that a minus sign does no harm."""

        def value(match: re.Match[str]) -> str:
            found = self.named(match[1])
            return f"({found})" if isinstance(found, int | float) and match[0] != text and found < 0 else str(found)

        return DOLLAR.sub(value, text)

    def in_value(self, text: str) -> Any:
        """The value of `$name`, or of arithmetic with names and sizes; any other text stands for itself."""
        whole = DOLLAR.fullmatch(text)
        if whole:
            return self.named(whole[1])
        if not DOLLAR.search(text) and not SIZE.search(text):
            return text
        try:
            expression = parse(DOLLAR.sub(r"\1", text))
            value = expression.evaluate(self.number, {"min": min, "max": max, "floor": math.floor, "round": round})
        except ExpressionError as error:
            raise RuleError(f"cannot work out `{text}`: {error}") from None
        except KeyError as error:
            raise RuleError(f"cannot use {error} in `{text}`; only + - * / % **, min, max, floor and round") from None
        except (OverflowError, ValueError):
            raise RuleError(f"cannot work out `{text}`: the result is not a finite number") from None
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def named(self, name: str) -> Any:
        """What `$name` stands for."""
        if name not in self.values:
            names = [f"${known}" for known in self.values]
            raise RuleError(f"uses `${name}`, which nothing here defines{hint(f'${name}', names)}")
        return self.values[name]

    def number(self, name: str) -> float:
        """A name in arithmetic: a size or a `$name` that stands for a number."""
        if "." in name:
            return self.size(*name.split(".", 1))
        value = self.named(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RuleError(f"cannot calculate with `${name}`, which is {value!r}")
        return value

    def size(self, name: str, what: str) -> int:
        """`input.channels` or `input.objects`."""
        if what not in ("channels", "objects"):
            raise RuleError(f"does not know `{name}.{what}`; there are `{name}.channels` and `{name}.objects`")
        if name not in self.inputs:
            advice = hint(name, self.inputs) if self.inputs else "; sizes of inputs are known inside of `blocks:` only"
            raise RuleError(f"does not know the input `{name}` of `{name}.{what}`{advice}")
        value = self.inputs[name]
        if value is None:
            raise UnknownTypeError
        if what == "channels":
            return value.features
        if len(value.objects) != 1:
            raise RuleError(f"cannot tell `{name}.objects` of {value}")
        return value.objects[0]
