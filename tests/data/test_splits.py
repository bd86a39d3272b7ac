"""Splits: a function of identity and seed alone, with the declared fractions."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.split import assign_splits, uniform_hash
from engine.spec.sections.data import SplitSpec

SPEC = SplitSpec(("run", "event"), 0.8, 0.15, 0.05)


def splitmix64(z):
    """The finaliser, in plain integers."""
    mask = 2**64 - 1
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def documented(identity, seed):
    """The hash as the module's text says it."""
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15
    h = splitmix64((seed + golden) & mask)
    for value in identity:
        if isinstance(value, float) and not value.is_integer():
            k = int(np.float64(value).view(np.uint64)) ^ (1 << 63)
        else:
            k = int(value) & mask
        h = splitmix64(((h ^ k) + golden) & mask)
    return (h >> 11) / 2**53


@pytest.mark.parametrize(
    "identity", [(284500, 120961), (0, 0), (-1, 2**63 - 1), (1.5, 7), (3.0, -2.0), (363710, 823061996), (2.0**63, 1)]
)
@pytest.mark.parametrize("seed", [0, 811, 2**63])
def test_hash_is_the_documented_one(identity, seed):
    assert uniform_hash([np.array([value]) for value in identity], seed)[0] == documented(identity, seed)


def test_same_number_in_any_type_is_the_same_identity():
    values = [0, 1, 284500, 2**31 - 1]
    hashes = [uniform_hash([np.array(values, dtype=kind)], 3) for kind in ("u4", "u8", "i8", "f8", "f4")]
    exact = [hashes[0][i] == hashed[i] for hashed in hashes[:4] for i in range(4)]
    assert all(exact)
    assert (hashes[4][:3] == hashes[0][:3]).all()


def test_uint64_beyond_the_digits_of_a_float_stay_apart():
    near = np.array([2**63 + 1, 2**63 + 2, 2**64 - 1], dtype=np.uint64)
    assert len(set(uniform_hash([near], 0))) == 3


def test_fractions_are_those_declared():
    run, event = np.divmod(np.arange(400_000), 1000)
    counts = np.bincount(assign_splits([run, event], SPEC, 811), minlength=3) / len(run)
    np.testing.assert_allclose(counts, [0.8, 0.15, 0.05], atol=4 * np.sqrt(0.25 / len(run)))


def test_rows_keep_their_split_whatever_else_is_there():
    run, event = np.divmod(np.arange(10_000), 100)
    whole = assign_splits([run, event], SPEC, 5)
    order = np.random.default_rng(0).permutation(len(run))
    np.testing.assert_array_equal(assign_splits([run[order], event[order]], SPEC, 5), whole[order])
    np.testing.assert_array_equal(assign_splits([run[:10], event[:10]], SPEC, 5), whole[:10])


def test_another_seed_gives_another_split():
    event = np.arange(1000)
    assert (assign_splits([event], SPEC, 1) != assign_splits([event], SPEC, 2)).mean() > 0.2


def test_split_with_the_fraction_zero_is_empty():
    everything = SplitSpec(("event",), 0.7, 0.3, 0.0)
    assert set(assign_splits([np.arange(100_000)], everything, 1)) == {0, 1}
    assert set(assign_splits([np.arange(1000)], SplitSpec(("event",), 1.0, 0.0, 0.0), 1)) == {0}
