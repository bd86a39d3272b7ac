"""What a plain word of YAML means, by the core schema of YAML 1.2: `8e-4` is a number, `on` and `yes` are text."""

from __future__ import annotations

import math
import re

from engine.spec.nodes import Scalar

LARGEST = 2**63  # whole numbers must fit in 64 bits

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
NOT_A_NUMBER = frozenset((".nan", ".NaN", ".NAN"))


def resolve(text: str) -> Scalar:
    """The value that a plain scalar stands for.

    Raises:
        ValueError: a number that no computer number can hold; the message is a sentence.

    Example:
        >>> resolve("8e-4"), resolve("on"), resolve("0x10"), resolve("~")
        (0.0008, 'on', 16, None)
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in "-+.0123456789":
        return text
    if INTEGER.fullmatch(text):
        return _integer(text)
    if FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError(f"the number {text[:30]} is too large; write `inf` for no limit")
        return value
    if INFINITE.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    if text in NOT_A_NUMBER:
        raise ValueError("NaN is not a number that a spec can use")
    return text


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    digits = text[2:] if base != 10 else text
    value = int(digits, base) if len(digits) <= 40 else LARGEST
    if abs(value) >= LARGEST:
        raise ValueError(f"the whole number {text[:30]} is too large: it does not fit in 64 bits")
    return value
