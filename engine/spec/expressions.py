"""The expression grammar of the spec: text such as `pt >= 40 and abs(eta) < 2.5` to a tree that runs on any arrays.

Precedence, from loose to tight: `or`, `and`, `not`, comparisons and `in`, `+ -`, `* / %`, unary `-`, `**`. Nothing of
Python is evaluated, and length and depth are limited, so any text is safe to parse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.spec.functions import FUNCTIONS, Function
from engine.spec.suggest import hint
from engine.spec.syntax import (
    Arithmetic,
    Call,
    Comparison,
    Membership,
    Name,
    Negative,
    Node,
    Number,
)
from engine.spec.tokens import ExpressionError, Token, number, shown, tokenize

__all__ = ["CONSTANTS", "FUNCTIONS", "Expression", "ExpressionError", "Function", "parse"]

CONSTANTS: dict[str, float | bool] = {"pi": math.pi, "inf": math.inf, "true": True, "false": False}
LONGEST_TEXT = 4000  # letters
DEEPEST = 30  # brackets within brackets, and powers of powers
MOST_PARTS = 300  # operators and list members; bounds the depth of the tree too

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: as written.
        root: the tree.
        names: the names it uses, such as `jets.pt`; without functions and constants.
        functions: the functions it calls, without `and`, `or`, `not`, `in`.
        offsets: where each name stands first in the text.
    """

    text: str
    root: Node
    names: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    offsets: Mapping[str, int] = field(default_factory=dict, compare=False, hash=False, repr=False)

    def evaluate(self, lookup: Callable[[str], Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
        """The value, from the values of the names.

        Args:
            lookup: gives the value of a name; numbers, or arrays that can be computed with.
            functions: what each function means, with the keys `and`, `or`, `not` (of values) and `in` (of a value and
                a tuple of choices) beside those of FUNCTIONS.

        Example:
            >>> parse("2 * pt + 1").evaluate({"pt": 20.0}.__getitem__, {})
            41.0
        """
        return self.root.evaluate(lookup, functions)

    def __str__(self) -> str:
        return self.text


def parse(text: str | float | int | bool) -> Expression:
    """Parse an expression; a number stands for itself.

    Raises:
        ExpressionError: what is wrong with the text, and where in it.
    """
    if not isinstance(text, str):
        return Expression(str(text).lower() if isinstance(text, bool) else str(text), Number(text))
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(f"the expression has {len(text)} letters, more than {LONGEST_TEXT} are not read", 0)
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.depth = 0
        self.parts = 0
        self.offsets: dict[str, int] = {}
        self.called: set[str] = set()

    def parse(self) -> Expression:
        if self.next.kind == "end":
            raise ExpressionError("the expression is empty", 0)
        root = self.disjunction()
        if self.next.kind != "end":
            raise ExpressionError(f"{shown(self.next)} is not expected here{self._advice()}", self.next.offset)
        return Expression(self.text, root, frozenset(self.offsets), frozenset(self.called), dict(self.offsets))

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self, *texts: str) -> str | None:
        """Step over the next token when it is one of these symbols or words, and return it."""
        if self.next.kind in ("symbol", "word") and self.next.text in texts:
            self.position += 1
            return self.tokens[self.position - 1].text
        return None

    def expect(self, symbol: str, after: str) -> None:
        if self.take(symbol) is None:
            raise ExpressionError(f"`{symbol}` is missing {after}, found {shown(self.next)}", self.next.offset)

    def _advice(self) -> str:
        if self.next.text == "[":
            return "; a list stands after `in`, as in `x in [1, 2]`"
        return "; an operator is missing before it" if self.next.kind in ("name", "number") else ""

    def disjunction(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"brackets are nested more than {DEEPEST} deep", self.next.offset)
        node = self._chain(self.conjunction, ("or",), lambda word, left, right: Call(word, (left, right)))
        self.depth -= 1
        return node

    def conjunction(self) -> Node:
        return self._chain(self.negation, ("and",), lambda word, left, right: Call(word, (left, right)))

    def negation(self) -> Node:
        count = 0
        while self.take("not"):
            count += 1
        node = self.comparison()
        return Call("not", (node,)) if count % 2 else node

    def comparison(self) -> Node:
        operands = [self.sum()]
        symbols: list[str] = []
        while True:
            if self.take("in"):
                return self._membership(operands, symbols)
            if self.next.text == "not" and self.tokens[self.position + 1].text == "in":
                self.position += 2
                return Call("not", (self._membership(operands, symbols),))
            symbol = self.take(*_COMPARISONS)
            if symbol is None:
                break
            symbols.append(symbol)
            operands.append(self.sum())
            self._count()
        return Comparison(tuple(operands), tuple(symbols)) if symbols else operands[0]

    def _membership(self, operands: list[Node], symbols: list[str]) -> Node:
        if symbols:
            raise ExpressionError(
                "`in` cannot follow another comparison; put brackets around one of them", self.next.offset
            )
        self.expect("[", "after `in`, as in `x in [1, 2]`")
        return Membership(operands[0], self._values("]"))

    def sum(self) -> Node:
        return self._chain(self.product, ("+", "-"), Arithmetic)

    def product(self) -> Node:
        return self._chain(self.sign, ("*", "/", "%"), Arithmetic)

    def sign(self) -> Node:
        negative = False
        while symbol := self.take("-", "+"):
            negative ^= symbol == "-"
        node = self.power()
        if negative and isinstance(node, Number) and not isinstance(node.value, bool):
            return Number(-node.value)
        return Negative(node) if negative else node

    def power(self) -> Node:
        base = self.atom()
        if not self.take("**"):
            return base
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"powers are nested more than {DEEPEST} deep", self.next.offset)
        exponent = self.sign()
        self.depth -= 1
        return Arithmetic("**", base, exponent)

    def atom(self) -> Node:
        token = self.next
        self.position += 1
        if token.kind == "number":
            return Number(number(token))
        if token.kind == "name":
            return self._call(token) if self.take("(") else self._name(token)
        if token.text == "(":
            node = self.disjunction()
            self.expect(")", "to close the bracket")
            return node
        self.position -= 1
        if token.kind == "end":
            raise ExpressionError("the expression ends too early; a value is missing", token.offset)
        raise ExpressionError(f"a value is expected here, found {shown(token)}", token.offset)

    def _name(self, token: Token) -> Node:
        if token.text in CONSTANTS:
            return Number(CONSTANTS[token.text])
        self.offsets.setdefault(token.text, token.offset)
        return Name(token.text)

    def _call(self, token: Token) -> Node:
        function = FUNCTIONS.get(token.text)
        if function is None:
            raise ExpressionError(f"there is no function `{token.text}`{hint(token.text, FUNCTIONS)}", token.offset)
        arguments = self._values(")")
        least, most = function.arity
        if len(arguments) < least or (most is not None and len(arguments) > most):
            wanted = f"{least}" if most == least else f"{least} or more"
            plural = "" if wanted == "1" else "s"
            raise ExpressionError(f"`{token.text}` takes {wanted} value{plural}, not {len(arguments)}", token.offset)
        self.called.add(token.text)
        return Call(token.text, arguments)

    def _values(self, closing: str) -> tuple[Node, ...]:
        """Values separated by commas up to the closing bracket."""
        values: list[Node] = []
        if self.take(closing):
            return ()
        while True:
            values.append(self.disjunction())
            self._count()
            if self.take(closing):
                return tuple(values)
            self.expect(",", f"or `{closing}` after a value")

    def _chain(
        self, part: Callable[[], Node], symbols: tuple[str, ...], join: Callable[[str, Node, Node], Node]
    ) -> Node:
        """Parts joined from left to right by operators of one precedence."""
        node = part()
        while symbol := self.take(*symbols):
            node = join(symbol, node, part())
            self._count()
        return node

    def _count(self) -> None:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise ExpressionError(f"the expression has more than {MOST_PARTS} parts", self.next.offset)
