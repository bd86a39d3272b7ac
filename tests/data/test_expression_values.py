"""Expressions over rows and their objects."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.operations import NUMPY_FUNCTIONS
from engine.data.values import FLAT_FUNCTIONS, Grouping, Values, evaluate
from engine.errors import DataError
from engine.spec.expressions import FUNCTIONS, parse

GROUPING = Grouping.from_counts("tracks", np.array([2, 0, 3]))
NAMES = {
    "pt": Values(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), GROUPING),
    "flag": Values(np.array([True, False, True, True, True]), GROUPING),
    "jets.pt": Values(np.array([10.0, 20.0, 30.0])),
    "other": Values(np.array([1.0]), Grouping.from_counts("clusters", np.array([1, 0, 0]))),
}


def value(text):
    result = evaluate(parse(text), NAMES.__getitem__)
    return result.array.tolist() if isinstance(result, Values) else result


def test_every_function_of_the_grammar_is_there():
    assert set(FUNCTIONS) | {"and", "or", "not", "in"} == set(FLAT_FUNCTIONS)
    element_wise = {name for name, function in FUNCTIONS.items() if not function.of_objects}
    assert element_wise | {"and", "or", "not", "in"} == set(NUMPY_FUNCTIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bit(pt, 0)", [1, 0, 1, 0, 1]),
        ("bit(pt, 2) or bit(-pt, 1)", [True, True, False, True, True]),
        ("pt / jets.pt", [0.1, 0.2, 0.1, 4 / 30, 5 / 30]),
        ("sum(pt)", [3, 0, 12]),
        ("sum(pt) / jets.pt", [0.3, 0, 0.4]),
        ("pt / sum(pt)", [1 / 3, 2 / 3, 3 / 12, 4 / 12, 5 / 12]),
        ("mean(pt)", [1.5, 0, 4]),
        ("first(pt)", [1, 0, 3]),
        ("maximum(pt)", [2, 0, 5]),
        ("minimum(pt)", [1, 0, 3]),
        ("count(pt > 1.5)", [1, 0, 3]),
        ("any(pt > 4)", [False, False, True]),
        ("all(pt > 2)", [False, True, True]),
        ("pt in [1, 5]", [True, False, False, False, True]),
        ("1 < pt <= 3 or pt == 5", [False, True, True, False, True]),
        ("(pt > 1) + (pt > 2)", [0, 1, 2, 2, 2]),
        ("-flag", [-1, 0, -1, -1, -1]),
        ("where(pt > 2, jets.pt, -1)", [-1, -1, 30, 30, 30]),
        ("min(pt, 3, jets.pt / 10)", [1, 1, 3, 3, 3]),
        ("clip(pt, 2, 4)", [2, 2, 3, 4, 4]),
        ("delta_phi(3, -3)", 6 - 2 * np.pi),
        ("2 ** 3 * jets.pt", [80, 160, 240]),
        ("sum(pt * jets.pt)", [30, 0, 360]),
    ],
)
def test_value_of_an_expression(text, expected):
    np.testing.assert_allclose(value(text), expected, rtol=1e-15)


def test_angles_within_pi_keep_every_digit():
    small = np.array([1e-12, -3.1, 3.1])
    np.testing.assert_array_equal(NUMPY_FUNCTIONS["delta_phi"](small, 0.0), small)
    far = NUMPY_FUNCTIONS["delta_phi"](np.array([100.0, -7.0]), 0.0)
    np.testing.assert_allclose(far, [100 - 32 * np.pi, -7 + 2 * np.pi], rtol=1e-13)


@pytest.mark.parametrize("text", ["pt + other", "where(pt > 1, other, 0)"])
def test_objects_of_two_collections_cannot_be_mixed(text):
    with pytest.raises(DataError, match=r"mixes objects of (tracks|clusters) and of (tracks|clusters)"):
        value(text)


@pytest.mark.parametrize("text", ["sum(jets.pt)", "first(3)"])
def test_reduction_needs_objects(text):
    with pytest.raises(DataError, match="needs a field of objects"):
        value(text)


@pytest.mark.parametrize("text", ["x % 5", "bit(x, 0)", "1 + x % 2"])
def test_whole_numbers_that_are_not_held_exactly_are_not_taken_apart(text: str) -> None:
    def lookup(largest: int):  # type: ignore[no-untyped-def]
        return lambda _: Values(np.array([3, 2**40 + 1, largest], dtype=np.uint64).astype(np.float64))

    exact = evaluate(parse(text), lookup(2**53 - 1)).array
    assert exact.tolist() == [parsed_by_python(text, each) for each in (3, 2**40 + 1, 2**53 - 1)]
    with pytest.raises(DataError, match=r"of 9\.22337e\+18 would be that of another number.*alone in `columns`"):
        evaluate(parse(text), lookup(2**63 + 1))


def parsed_by_python(text: str, x: int) -> int:
    return {"x % 5": x % 5, "bit(x, 0)": x & 1, "1 + x % 2": 1 + x % 2}[text]
