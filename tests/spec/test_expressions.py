"""The expression grammar: what it means, and that no text can do harm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec.constants import constant
from engine.spec.expressions import FUNCTIONS, ExpressionError, parse

NUMPY = {
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "in": lambda value, choices: np.isin(value, choices),
    "abs": np.abs,
    "log1p": np.log1p,
    "clip": np.clip,
    "sum": np.sum,
}
FIELDS = {"pt": np.array([30.0, 45.0, 80.0]), "eta": np.array([0.1, -2.6, 1.5]), "jets.pt": 100.0}


def evaluate(text: str) -> object:
    return parse(text).evaluate(FIELDS.__getitem__, NUMPY)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("7 % 4 - 1", 2),
        ("8 - 3 - 2", 3),
        ("1/500000", 2e-6),
        ("8e-4", 8e-4),
        ("--3", 3),
        ("pi", math.pi),
        ("-inf", -math.inf),
        ("true", 1),
        ("sqrt(16) + min(3, 1, 2)", 5),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("9 ** 9 ** 9", math.inf),
        ("9223372036854775807 * 2", 2.0**64),
        ("exp(1000)", math.inf),
        ("1 < 2 < 3", 1),
        ("3 in [1, 2, 3] and not 4 in [1, 2]", 1),
        ("4 not in [1, 2]", 1),
    ],
)
def test_constants_follow_the_usual_precedence(text: str, value: float) -> None:
    assert constant(text) == value


def test_a_selection_gives_one_truth_value_an_object() -> None:
    np.testing.assert_array_equal(evaluate("pt >= 40 and abs(eta) <= 2.5"), [False, False, True])
    np.testing.assert_array_equal(evaluate("not (pt > 40) or pt in [80, 81]"), [True, False, True])
    np.testing.assert_array_equal(evaluate("40 < pt <= 80"), [False, True, True])
    np.testing.assert_allclose(evaluate("log1p(clip(pt, 0, 50)) * 2"), 2 * np.log1p([30.0, 45.0, 50.0]))
    assert evaluate("sum(pt) / jets.pt") == 1.55


def test_names_and_functions_are_listed_with_their_place() -> None:
    expression = parse("atan2(1, trk_ctgtheta) * jets.pt + clus_pt_{i}")
    assert expression.names == {"trk_ctgtheta", "jets.pt", "clus_pt_{i}"}
    assert expression.functions == {"atan2"}
    assert expression.offsets["jets.pt"] == 25


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "the expression is empty", 0),
        ("pt >", "the expression ends too early; a value is missing", 4),
        ("pt >= and 3", "a value is expected here, found `and`", 6),
        ("absl(pt)", "there is no function `absl`; did you mean `abs`?", 0),
        ("clip(pt, 1)", "`clip` takes 3 values, not 2", 0),
        ("abs()", "`abs` takes 1 value, not 0", 0),
        ("max(pt)", "`max` takes 2 or more values, not 1", 0),
        ("pt eta", "`eta` is not expected here; an operator is missing before it", 3),
        ("pt > 1 & eta < 2", "'&' has no meaning in an expression; write `and`", 7),
        ("pt = 1", "'=' has no meaning in an expression; write `==`", 3),
        ("(pt", "`)` is missing to close the bracket, found the end of the expression", 3),
        ("pt in 3", "`[` is missing after `in`, as in `x in [1, 2]`, found `3`", 6),
        ("1e999", "the number 1e999 is too large; write `inf` for no limit", 0),
        ("__import__(os)", "there is no function `__import__`", 0),
        ("(" * 100, "brackets are nested more than 30 deep", 30),
        ("+".join("a" * 400), "the expression has more than 300 parts", 603),
        ("a" * 5000, "the expression has 5000 letters, more than 4000 are not read", 0),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.offset == offset


def test_a_constant_may_not_use_names() -> None:
    with pytest.raises(ExpressionError, match="`pt` stands where only numbers may be used"):
        constant("1 / pt")
    with pytest.raises(ExpressionError, match="`sum` cannot be used where a plain number is expected"):
        constant("sum(1)")


def test_every_function_has_a_meaning_and_a_possible_number_of_values() -> None:
    for name, function in FUNCTIONS.items():
        assert function.meaning, name
        assert function.arity[0] >= 1
        assert function.arity[1] is None or function.arity[1] >= function.arity[0]
        assert not function.is_reduction or function.arity == (1, 1)


@given(st.text(max_size=80) | st.text("0123456789.e+-*/%()[],<>=! abcin_", max_size=300))
def test_any_text_parses_or_is_refused_with_a_place_inside_it(text: str) -> None:
    constant_value: object = 0
    offset = 0
    try:
        expression = parse(text)
        if not expression.names and not expression.functions:
            constant_value = constant(text)
    except ExpressionError as error:
        offset = error.offset
    assert 0 <= offset <= len(text)
    assert isinstance(constant_value, int | float)


def test_the_deepest_tree_that_parses_can_be_evaluated() -> None:
    text = "a"
    for _ in range(29):
        text = f"({text} + a*a*a*a)"
    assert parse(text).evaluate(lambda name: 1, {}) == 30
