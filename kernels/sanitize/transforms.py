"""What is done to the value of a feature before a network sees it, and the NumPy form that defines it.

All arithmetic is float32. Every other implementation (numba, C++, CUDA, the torch module of the export) agrees with
`apply` bit for bit, except for features with `log1p`, where the implementations may differ by `LOG1P_ULP` units in the
last place of the logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOG1P_ULP = 4
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class FeatureTransform:
    """From one stored value to the network's input: one column, or one column a value of `one_hot`.

    A value that is not finite becomes `fill`. A finite one goes through `absolute`, then `log1p`, then the clip to
    [`low`, `high`], then `* scale + offset`; if the result is not finite (an overflow, the logarithm of a number below
    -1) it becomes `fill` too.

    With `one_hot` the other parameters are not used: column i is 1 where the value equals `one_hot[i]` and 0 elsewhere.

    Raises:
        ValueError: a parameter is not a number within the range of float32 (`low` and `high` may lie beyond it),
            `low > high`, or `one_hot` is empty or repeats a value.
    """

    absolute: bool = False
    log1p: bool = False
    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    offset: float = 0.0
    one_hot: tuple[float, ...] | None = None
    fill: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "offset", "fill"):
            if not abs(getattr(self, name)) <= _LARGEST:
                raise ValueError(f"{name} must be a number within the range of float32, not {getattr(self, name)}")
        if not self.low <= self.high:
            raise ValueError(f"the clip needs low <= high, not low = {self.low} and high = {self.high}")
        if self.one_hot is not None:
            self._check_one_hot(self.one_hot)

    @staticmethod
    def _check_one_hot(values: tuple[float, ...]) -> None:
        if not values or not all(abs(value) <= _LARGEST for value in values):
            raise ValueError(
                f"one_hot needs at least one value, all of them within the range of float32, not {list(values)}"
            )
        if len({float(np.float32(value)) for value in values}) != len(values):
            raise ValueError(f"one_hot needs values that differ in float32, not {list(values)}")

    @property
    def width(self) -> int:
        """Number of columns that come out."""
        return 1 if self.one_hot is None else len(self.one_hot)

    @property
    def is_identity(self) -> bool:
        """True where finite values stay as they are."""
        return self == FeatureTransform(fill=self.fill)

    def to_dict(self) -> dict[str, Any]:
        """The parameters that differ from their defaults, for strict JSON: infinities are "inf" and "-inf"."""
        chosen: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                chosen[field.name] = list(value) if field.name == "one_hot" else _without_infinity(value)
        return chosen

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> FeatureTransform:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown, or a value is out of its range.
        """
        unknown = sorted(set(parameters) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"a feature transform has no parameter {', '.join(unknown)}")
        values: dict[str, Any] = {}
        for name, value in parameters.items():
            if name in ("absolute", "log1p"):
                values[name] = bool(value)
            elif name == "one_hot":
                values[name] = None if value is None else tuple(float(item) for item in value)
            else:
                values[name] = float(value)
        return cls(**values)


def _without_infinity(value: float | bool) -> float | bool | str:
    """Strict JSON has no infinity; `float` reads the words back."""
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def total_width(transforms: Sequence[FeatureTransform]) -> int:
    """Number of columns that the features give together."""
    return sum(transform.width for transform in transforms)


def apply(values: NDArray[Any], transforms: Sequence[FeatureTransform]) -> NDArray[np.float32]:
    """The network's input for stored values: the definition that every other implementation is tested against.

    Args:
        values: stored features, shape (N, F), float16, float32, float64 or integers (read as float32).
        transforms: one for each of the F features.

    Returns:
        float32, shape (N, W) with W = `total_width(transforms)`; columns in the order of the features.

    Raises:
        ValueError: the number of columns of `values` is not the number of transforms.
    """
    if values.ndim != 2 or values.shape[1] != len(transforms):
        raise ValueError(f"the values have shape {values.shape}, but there are {len(transforms)} transforms")
    result = np.empty((len(values), total_width(transforms)), dtype=np.float32)
    column = 0
    for index, transform in enumerate(transforms):
        with np.errstate(
            all="ignore"
        ):  # an overflow of float16, float64 or an integer to float32 is a non-finite value like any other
            value = values[:, index].astype(np.float32)
            _apply_one(value, transform, result[:, column : column + transform.width])
        column += transform.width
    return result


def _apply_one(value: NDArray[np.float32], transform: FeatureTransform, result: NDArray[np.float32]) -> None:
    """One feature, shape (N,), into its columns, shape (N, width)."""
    if transform.one_hot is not None:
        result[:] = value[:, None] == np.asarray(transform.one_hot, dtype=np.float32)
        return
    finite = np.isfinite(value)
    if transform.absolute:
        value = np.abs(value)
    if transform.log1p:
        value = np.log1p(value)
    value = np.minimum(np.maximum(value, np.float32(transform.low)), np.float32(transform.high))
    value = value * np.float32(transform.scale) + np.float32(transform.offset)
    result[:, 0] = np.where(finite & np.isfinite(value), value, np.float32(transform.fill))
