"""Arrow arrays seen as NumPy arrays, and the other way round."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from engine.data.columns import Array


def as_numpy(array: pa.Array) -> Array:
    """A view of an array of numbers; what stands for a null is anything.

    Unlike `pyarrow.Array.to_numpy` it does not import pandas where that is installed, which takes half a second.
    """
    kind = "f" if pa.types.is_floating(array.type) else "u" if pa.types.is_unsigned_integer(array.type) else "i"
    dtype = np.dtype(f"{kind}{array.type.bit_width // 8}")
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, count=len(array), offset=array.offset * dtype.itemsize)


def from_numpy(array: Array) -> pa.Array:
    """An array of numbers, shape (n,), as an Arrow array on the same memory; unlike `pyarrow.array` without pandas."""
    array = np.ascontiguousarray(array)
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])


def is_given(array: pa.Array) -> Array:
    """Which elements are not null, bool."""
    bitmap = array.buffers()[0]
    if bitmap is None:
        return np.ones(len(array), dtype=bool)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(bool)
