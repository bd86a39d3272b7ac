"""The words of the expression grammar: text to tokens, each with its place."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from engine.errors import EngineError
from engine.spec.syntax import LARGEST_INTEGER

WORDS = ("and", "or", "not", "in")

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_](?:[A-Za-z0-9_]|\{i\})*(?:\.[A-Za-z_0-9](?:[A-Za-z0-9_]|\{i\})*)*)"
    r"|(?P<symbol>\*\*|<=|>=|==|!=|[-+*/%<>()\[\],])"
)
_FOREIGN = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not", "^": "**", "=": "=="}


class ExpressionError(EngineError):
    """The text is no expression: what is wrong, and at which letter (counted from 0)."""

    exit_code = 2

    def __init__(self, message: str, offset: int = 0) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


class Token(NamedTuple):
    kind: str  # number, name, symbol, end
    text: str
    offset: int


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, and one that marks its end.

    Raises:
        ExpressionError: a letter that no token starts with.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(_unknown_symbol(text, position), position)
        kind = match.lastgroup or ""
        if kind == "name" and match.group() in WORDS:
            kind = "word"
        if kind != "space":
            tokens.append(Token(kind, match.group(), position))
        position = match.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _unknown_symbol(text: str, position: int) -> str:
    symbol = text[position : position + 2] if text[position : position + 2] in _FOREIGN else text[position]
    instead = f"; write `{_FOREIGN[symbol]}`" if symbol in _FOREIGN else ""
    return f"{symbol!r} has no meaning in an expression{instead}"


def number(token: Token) -> float | int:
    """The value of a number as written; whole numbers that arrays cannot hold become floats."""
    if token.text.isdigit() and len(token.text) < 20 and int(token.text) <= LARGEST_INTEGER:
        return int(token.text)
    value = float(token.text)
    if math.isinf(value):
        raise ExpressionError(f"the number {token.text[:20]} is too large; write `inf` for no limit", token.offset)
    return value


def shown(token: Token) -> str:
    """How a message names a token."""
    return "the end of the expression" if token.kind == "end" else f"`{token.text[:40]}`"
