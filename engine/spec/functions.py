"""The functions that expressions may call: how many values each takes, what it means, whether it reduces objects."""

from __future__ import annotations

from typing import NamedTuple


class Function(NamedTuple):
    """A function of the expression grammar.

    Attributes:
        arity: smallest and largest number of values it takes; None for no upper limit.
        meaning: one line for the manual.
        is_reduction: whether it makes one value a row of the values of the row's objects.
        is_ranking: whether it makes a value an object that depends on the other objects of the row.
    """

    arity: tuple[int, int | None]
    meaning: str
    is_reduction: bool = False
    is_ranking: bool = False

    @property
    def of_objects(self) -> bool:
        """Whether it acts on the objects of a row together, so that it needs values of objects."""
        return self.is_reduction or self.is_ranking


FUNCTIONS: dict[str, Function] = {
    "abs": Function((1, 1), "absolute value"),
    "sqrt": Function((1, 1), "square root"),
    "exp": Function((1, 1), "e to the power of the value"),
    "log": Function((1, 1), "natural logarithm"),
    "log1p": Function((1, 1), "natural logarithm of 1 + the value"),
    "log10": Function((1, 1), "logarithm to base 10"),
    "sin": Function((1, 1), "sine of an angle in rad"),
    "cos": Function((1, 1), "cosine of an angle in rad"),
    "tan": Function((1, 1), "tangent of an angle in rad"),
    "atan": Function((1, 1), "inverse tangent, in rad"),
    "atan2": Function((2, 2), "angle in rad of the point (x, y), called as atan2(y, x)"),
    "sinh": Function((1, 1), "hyperbolic sine"),
    "cosh": Function((1, 1), "hyperbolic cosine"),
    "tanh": Function((1, 1), "hyperbolic tangent"),
    "asinh": Function((1, 1), "inverse hyperbolic sine"),
    "min": Function((2, None), "smallest of the values, element by element"),
    "max": Function((2, None), "largest of the values, element by element"),
    "clip": Function((3, 3), "the value limited to a range, called as clip(x, low, high)"),
    "where": Function((3, 3), "one of two values, called as where(condition, if true, if false)"),
    "sign": Function((1, 1), "-1, 0 or 1"),
    "floor": Function((1, 1), "largest whole number that is not above the value"),
    "round": Function((1, 1), "nearest whole number; halves go to the even one"),
    "is_finite": Function((1, 1), "true where the value is neither NaN nor infinite"),
    "bit": Function((2, 2), "1 where a bit of a whole number is set, called as bit(x, n); n = 0 is the lowest"),
    "delta_phi": Function((2, 2), "difference a - b of two angles in rad, wrapped to -pi .. pi"),
    "delta_r": Function((4, 4), "distance in eta and phi, called as delta_r(eta1, phi1, eta2, phi2)"),
    "sum": Function((1, 1), "sum over the objects of the row; 0 without objects", True),
    "mean": Function((1, 1), "mean over the objects of the row; 0 without objects", True),
    "count": Function((1, 1), "number of objects of the row for which the value is true (not 0)", True),
    "first": Function((1, 1), "the value of the row's first object; 0 without objects", True),
    "any": Function((1, 1), "true where the value is true for any object of the row", True),
    "all": Function((1, 1), "true where the value is true for all objects of the row", True),
    "maximum": Function((1, 1), "largest value among the objects of the row; 0 without objects", True),
    "minimum": Function((1, 1), "smallest value among the objects of the row; 0 without objects", True),
    "rank": Function((1, 1), "place of the object in ascending order of the value, from 0; NaN last", False, True),
}
