"""The transforms of an input as flat arrays, one entry an output column: what the compiled implementations read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .transforms import FeatureTransform

DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
"""Storage types; the position of a name is its number in sanitize.h."""


def dtype_code(dtype: np.dtype[Any]) -> int:
    """The number of a storage type in the C interface.

    Raises:
        ValueError: values of this type cannot be read.
    """
    name = "uint8" if dtype == np.bool_ else dtype.name
    if name not in DTYPES or not dtype.isnative:
        raise ValueError(f"values stored as {dtype} cannot be read; use one of {', '.join(DTYPES)}")
    return DTYPES.index(name)


@dataclass(frozen=True)
class Layout:
    """Parameters of every output column; arrays of shape (W,), named and ordered as in EngineColumns of sanitize.h.

    Attributes:
        features: number F of stored features.
        columns: the arrays by name.
    """

    features: int
    columns: dict[str, NDArray[Any]]

    @property
    def width(self) -> int:
        """Number W of output columns."""
        return len(self.columns["source"])

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays in their order."""
        return tuple(self.columns.values())

    @classmethod
    def of(cls, transforms: Sequence[FeatureTransform]) -> Layout:
        """Lay out the transforms of all features of an input."""
        pairs = [
            (source, transform, value)
            for source, transform in enumerate(transforms)
            for value in (transform.one_hot if transform.one_hot is not None else (0.0,))
        ]
        columns: dict[str, NDArray[Any]] = {"source": np.array([source for source, _, _ in pairs], dtype=np.int32)}
        for name in ("absolute", "log1p", "one_hot"):
            flags = [getattr(transform, name) not in (None, False) for _, transform, _ in pairs]
            columns[name] = np.array(flags, dtype=np.uint8)
        for name in ("low", "high", "scale", "offset", "fill"):
            columns[name] = _floats([getattr(transform, name) for _, transform, _ in pairs])
        columns["value"] = _floats([value for _, _, value in pairs])
        return cls(len(transforms), columns)


def _floats(values: Sequence[float]) -> NDArray[np.float32]:
    """As float32; a bound beyond its range becomes an infinite one."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)
