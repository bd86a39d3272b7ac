"""What the functions of expressions do to NumPy arrays, element by element."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.errors import DataError

LARGEST_WHOLE = 2.0**53
"""Up to here all whole numbers are float64."""


def wrap_angle(angle: Any) -> Any:
    """An angle in rad brought to -pi .. pi; angles that lie there already keep every digit."""
    return angle - 2 * np.pi * np.rint(angle / (2 * np.pi))


def delta_phi(a: Any, b: Any) -> Any:
    """Difference a - b of two angles in rad, wrapped to -pi .. pi."""
    return wrap_angle(np.subtract(a, b))


def delta_r(eta1: Any, phi1: Any, eta2: Any, phi2: Any) -> Any:
    """Distance in eta and phi."""
    return np.hypot(np.subtract(eta1, eta2), delta_phi(phi1, phi2))


def clip(value: Any, low: Any, high: Any) -> Any:
    """The value limited to a range; NaN stays NaN."""
    return np.minimum(np.maximum(value, low), high)


def is_in(value: Any, choices: tuple[Any, ...]) -> Any:
    """Whether the value is one of the choices."""
    found = [np.equal(value, choice) for choice in choices]
    return functools.reduce(np.logical_or, found, np.zeros(np.shape(value), dtype=bool))


def refuse_rounded(operation: str, value: Any) -> None:
    """Refuse to take whole numbers apart that are too large to be held exactly, such as identities of 64 bits.

    Raises:
        DataError: a number is above 2**53.
    """
    array = np.asarray(value)
    finite = array[np.isfinite(array)]
    if finite.size and (largest := np.abs(finite).max()) > LARGEST_WHOLE:
        raise DataError(
            f"{operation} of {largest:.6g} would be that of another number: expressions hold whole numbers up to 2**53 "
            "(9.0e15) exactly; larger ones can stand alone in `columns`"
        )


def remainder(value: Any, divisor: Any) -> Any:
    """What is left of a value divided by another one, with the sign of the divisor."""
    refuse_rounded("the remainder", value)
    return np.remainder(value, divisor)


def bit(value: Any, number: Any) -> Any:
    """1 where this bit (0 is the lowest) of a whole number is set, else 0; exact up to 2**53."""
    refuse_rounded("a bit", value)
    shifted = np.floor(np.divide(value, np.exp2(number)))
    return shifted - 2 * np.floor(shifted / 2)


def _smallest(*values: Any) -> Any:
    return functools.reduce(np.minimum, values)


def _largest(*values: Any) -> Any:
    return functools.reduce(np.maximum, values)


NUMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "min": _smallest,
    "max": _largest,
    "clip": clip,
    "where": np.where,
    "sign": np.sign,
    "floor": np.floor,
    "round": np.rint,
    "is_finite": np.isfinite,
    "bit": bit,
    "delta_phi": delta_phi,
    "delta_r": delta_r,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "in": is_in,
}
"""Every element-wise function of the expression grammar; `in` takes a value and a tuple of choices."""
