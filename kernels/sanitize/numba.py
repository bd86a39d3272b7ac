"""sanitize compiled by numba, for machines without the compiled module.

Nothing is cached on disk: numba's cache does not notice changes of an inlined function in another file.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .layout import Layout


@numba.njit(nogil=True, error_model="numpy", inline="always")
def transform_value(x: Any, column: int, columns: Any) -> Any:
    """One output element; `columns` are the arrays of a Layout, the definition is `transforms.apply`."""
    _, absolute, logarithm, one_hot, low, high, scale, offset, fill, value = columns
    if one_hot[column]:
        return np.float32(1.0) if x == value[column] else np.float32(0.0)
    if not math.isfinite(x):
        return fill[column]
    if absolute[column]:
        x = abs(x)
    if logarithm[column]:
        x = np.log1p(x)
    if x < low[column]:
        x = low[column]
    if x > high[column]:
        x = high[column]
    y = np.float32(np.float32(x * scale[column]) + offset[column])
    return y if math.isfinite(y) else fill[column]


@numba.njit(nogil=True, error_model="numpy")
def _sanitize(values: Any, out: Any, columns: Any) -> None:
    source = columns[0]
    for i in range(len(values)):
        for column in range(len(source)):
            out[i, column] = transform_value(np.float32(values[i, source[column]]), column, columns)


def sanitize(values: NDArray[Any], layout: Layout, out: NDArray[np.float32]) -> None:
    """Stored values, shape (N, F), into `out`, shape (N, W)."""
    _sanitize(readable(values), out, layout.arrays)


def readable(values: NDArray[Any]) -> NDArray[Any]:
    """numba's processor code knows no float16: read as float32, a copy."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
