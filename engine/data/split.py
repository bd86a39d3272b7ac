"""Which split a row belongs to: a function of its identity and the seed alone, so that no row ever moves.

The identity is the columns named by `split: {by: [...]}`. Each value becomes a 64-bit number k: a whole number (of any
integer type, or a float that holds one) the number itself modulo 2**64, any other float the bits of its float64 with
the top bit flipped. With mix() the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", 2014) and all arithmetic modulo 2**64,

    h = mix(seed + GOLDEN);  for each k:  h = mix((h ^ k) + GOLDEN);  u = (h >> 11) / 2**53

and a row goes to train where u < train, to validation where u < train + validation, else to test; a split with the
fraction 0 gets no row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.data.columns import Array
from engine.spec.sections.data import SplitSpec

SPLITS = ("train", "validation", "test")
"""Names of the splits in the order of their stored numbers."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def assign_splits(identity: Sequence[Array], spec: SplitSpec, seed: int) -> Array:
    """The split of each row.

    Args:
        identity: the columns of the identity, numbers, each of shape (rows,).
        spec: the fractions.
        seed: the experiment's seed; another one gives another split.

    Returns:
        uint8, shape (rows,): 0 train, 1 validation, 2 test.
    """
    uniform = uniform_hash(identity, seed)
    split = np.zeros(len(uniform), dtype=np.uint8)
    if spec.validation > 0:
        split[uniform >= spec.train] = 1
    if spec.test > 0:
        split[uniform >= spec.train + spec.validation] = 2
    return split


def uniform_hash(identity: Sequence[Array], seed: int) -> Array:
    """A number in [0, 1) for each row that depends on its identity and the seed; float64, shape (rows,)."""
    rows = len(identity[0]) if identity else 0
    with np.errstate(over="ignore"):
        state = _mix(np.full(rows, seed % 2**64, dtype=np.uint64) + _GOLDEN)
        for column in identity:
            state = _mix((state ^ _as_bits(column)) + _GOLDEN)
    uniform: Array = (state >> np.uint64(11)).astype(np.float64) / 2.0**53
    return uniform


def _mix(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def _as_bits(column: Array) -> Array:
    """The 64-bit number that stands for each value."""
    if column.dtype.kind in "bi":
        return column.astype(np.int64).view(np.uint64)
    if column.dtype.kind == "u":
        return column.astype(np.uint64)
    value = column.astype(np.float64)
    whole = (value == np.floor(value)) & (value >= -(2.0**63)) & (value < 2.0**64)
    bits = value.view(np.uint64) ^ np.uint64(1 << 63)
    negative = np.where(whole & (value < 0), value, 0.0).astype(np.int64).view(np.uint64)
    positive = np.where(whole & (value >= 0), value, 0.0).astype(np.uint64)
    return np.where(whole, np.where(value < 0, negative, positive), bits)
