"""Every implementation of gather against the NumPy definition: hostile values, empty segments, indices out of range."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from engine_kernels import backends
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform, apply
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NATIVE = backends.native()[0] is not None
COMPILED = [pytest.param("native", marks=pytest.mark.skipif(not NATIVE, reason="no compiled module")), "numba"]
ALL = [*COMPILED, "reference"]
TRANSFORMS = [
    FeatureTransform(low=-3.0, high=3.0, scale=0.5, offset=1.0),
    FeatureTransform(one_hot=(0.0, 1.0, 4.0)),
    FeatureTransform(absolute=True, fill=-1.0),
]
GUARD = 64


@st.composite
def jagged_segment(draw: st.DrawFn, dtype: str, most: int = 64) -> tuple[np.ndarray, np.ndarray]:
    counts = draw(st.lists(st.integers(0, most), max_size=12))
    before = draw(st.integers(0, 3))  # a slice of a larger column does not start at object 0
    offsets = before + np.concatenate(([0], np.cumsum(np.array(counts, dtype=np.int64)))).astype(np.int64)
    return offsets, draw(hnp.arrays(dtype, (int(offsets[-1]), len(TRANSFORMS))))


@st.composite
def jagged_case(draw: st.DrawFn) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
    dtype = draw(st.sampled_from(["float16", "float32", "int32", "uint8"]))
    segments = draw(st.lists(jagged_segment(dtype), min_size=1, max_size=4))
    names = [(i, row) for i, (offsets, _) in enumerate(segments) for row in range(len(offsets) - 1)]
    chosen = draw(st.lists(st.sampled_from(names), max_size=150)) if names else []
    pairs = np.array(chosen, dtype=np.int64).reshape(-1, 2)
    return segments, pairs[:, 0].astype(np.int32), pairs[:, 1].copy()


def guarded(shape: tuple[int, ...], dtype: type, value: float) -> tuple[np.ndarray, np.ndarray]:
    """An array inside a larger one whose margins must stay as they are."""
    size = int(np.prod(shape))
    whole = np.full(size + 2 * GUARD, value, dtype=dtype)
    return whole, whole[GUARD : GUARD + size].reshape(shape)


@pytest.mark.parametrize("implementation", COMPILED)
@settings(max_examples=80, deadline=None)
@given(case=jagged_case(), keep=st.integers(1, 70))
def test_jagged_rows_agree_with_the_definition_and_nothing_else_is_written(
    implementation: str, case: tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray], keep: int
) -> None:
    segments, segment, row = case
    expected, expected_mask = Gather(segments, TRANSFORMS, keep, "reference")(segment, row)
    gather = Gather(segments, TRANSFORMS, keep, implementation)
    whole, out = guarded(gather.shape(len(row)), np.float32, 123.0)
    whole_mask, mask = guarded(expected.shape[:2], np.bool_, True)
    gather.into(segment, row, out, mask)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(mask, expected_mask)
    assert (whole[:GUARD] == 123).all()
    assert (whole[-GUARD:] == 123).all()
    assert whole_mask[:GUARD].all()
    assert whole_mask[-GUARD:].all()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("implementation", COMPILED)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_dense_rows_agree_with_the_definition(implementation: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64", "int16", "int64"]))
    sizes = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    values = [data.draw(hnp.arrays(dtype, (size, len(TRANSFORMS)))) for size in sizes]
    names = [(i, row) for i, size in enumerate(sizes) for row in range(size)]
    chosen = data.draw(st.lists(st.sampled_from(names), max_size=150)) if names else []
    pairs = np.array(chosen, dtype=np.int64).reshape(-1, 2)
    gather = Gather([(None, part) for part in values], TRANSFORMS, implementation=implementation)
    whole, out = guarded(gather.shape(len(pairs)), np.float32, 123.0)
    gather.into(pairs[:, 0].astype(np.int32), pairs[:, 1].copy(), out)
    rows = np.stack([values[i][row] for i, row in chosen]) if chosen else values[0][:0]
    np.testing.assert_array_equal(out, apply(rows, TRANSFORMS))
    assert (whole[:GUARD] == 123).all()
    assert (whole[-GUARD:] == 123).all()


@pytest.mark.parametrize("implementation", ALL)
def test_wide_rows_in_batches_of_several_tiles(implementation: str) -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(300, 743)).astype(np.float32)
    chosen = [FeatureTransform(low=-1.0, high=1.0, scale=3.0) for _ in range(743)]
    row = random.permutation(300)
    out, mask = Gather([(None, values)], chosen, implementation=implementation)(np.zeros(300, np.int32), row)
    assert mask is None
    np.testing.assert_array_equal(out, apply(values[row], chosen))


@pytest.mark.parametrize("implementation", ALL)
def test_keep_takes_the_first_objects_and_marks_them(implementation: str) -> None:
    offsets, values = np.array([0, 0, 1, 4]), np.array([[1.0], [2.0], [3.0], [4.0]], dtype=np.float32)
    gather = Gather([(offsets, values)], [FeatureTransform(offset=10.0)], 2, implementation)
    out, mask = gather(np.zeros(3, np.int32), np.array([2, 0, 1]))
    assert out[:, :, 0].tolist() == [[12, 13], [0, 0], [11, 0]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize(
    ("segment", "row", "message"),
    [(1, 0, "no segment 1"), (-1, 0, "no segment -1"), (0, 3, "no row 3"), (0, -1, "no row -1"), (0, 2**62, "no row")],
)
def test_an_index_out_of_range_is_refused(implementation: str, segment: int, row: int, message: str) -> None:
    offsets, values = np.array([0, 0, 1, 4]), np.zeros((4, 1), np.float32)
    indices = np.array([0, segment], dtype=np.int32), np.array([0, row], dtype=np.int64)
    with pytest.raises(ValueError, match=message):
        Gather([(offsets, values)], [FeatureTransform()], 2, implementation)(*indices)
    with pytest.raises(ValueError, match=message):
        Gather([(None, values[:3])], [FeatureTransform()], None, implementation)(*indices)


@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("offsets", [[0, 5], [-1, 2], [3, 1]])
def test_damaged_offsets_are_refused(implementation: str, offsets: list[int]) -> None:
    gather = Gather([(np.array(offsets), np.zeros((4, 1), np.float32))], [FeatureTransform()], 2, implementation)
    with pytest.raises(ValueError, match="offsets of row 0"):
        gather(np.zeros(1, np.int32), np.zeros(1, np.int64))


def test_arrays_that_do_not_fit_are_refused() -> None:
    values = np.zeros((4, 2), np.float32)
    one, two = [FeatureTransform()], [FeatureTransform()] * 2
    with pytest.raises(ValueError, match="1 transforms"):
        Gather([(None, values)], one)
    with pytest.raises(ValueError, match="need keep"):
        Gather([(np.array([0, 4]), values)], two)
    with pytest.raises(ValueError, match="same type"):
        Gather([(None, values), (None, values.astype(np.float16))], two)
    with pytest.raises(ValueError, match="at least 1"):
        Gather([(np.array([0, 4]), values)], two, 0)
    gather = Gather([(None, values)], two)
    index = np.zeros(2, np.int32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        gather.into(*index, np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="int32"):
        gather.into(np.zeros(2, np.int64), index[1], np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="mask"):
        gather.into(*index, np.zeros((2, 2), np.float32), np.zeros((2, 1), np.bool_))


@pytest.mark.parametrize("implementation", ALL)
def test_indices_need_not_be_contiguous(implementation: str) -> None:
    gather = Gather([(None, np.arange(8, dtype=np.float32)[:, None])], [FeatureTransform()], None, implementation)
    row = np.arange(8)[::-2]
    row.flags.writeable = False
    assert gather(np.zeros(8, np.int32)[::2], row)[0].tolist() == [[7], [5], [3], [1]]
    packed = np.zeros(3, dtype=[("segment", np.int32), ("row", np.int64)])  # its rows are not aligned
    packed["row"] = 2
    assert gather(packed["segment"], packed["row"])[0].tolist() == [[2], [2], [2]]


@pytest.mark.parametrize("implementation", ALL)
def test_a_batch_that_may_not_be_written_is_refused(implementation: str) -> None:
    offsets, values = np.array([0, 1]), np.ones((1, 1), np.float32)
    gather, index = Gather([(offsets, values)], [FeatureTransform()], 1, implementation), np.zeros(1, np.int64)
    for name in ("batch", "mask"):
        out, mask = np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.bool_)
        (out if name == "batch" else mask).flags.writeable = False
        with pytest.raises(ValueError, match=f"the {name} must be writeable"):
            gather.into(index.astype(np.int32), index, out, mask)


@pytest.mark.parametrize("implementation", ALL)
def test_a_copy_reads_the_same_segments_and_a_pickle_its_own(implementation: str) -> None:
    offsets, values = np.array([0, 0, 1, 4]), np.arange(4, dtype=np.float32)[:, None]
    gather = Gather([(offsets, values)], [FeatureTransform(offset=10.0)], 2, implementation)
    index = np.zeros(3, np.int32), np.array([2, 0, 1])
    expected, expected_mask = gather(*index)
    for made in (pickle.loads(pickle.dumps(gather)), copy.deepcopy(gather), copy.copy(gather)):
        out, mask = made(*index)
        assert made.choice == gather.choice
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(mask, expected_mask)
    assert np.shares_memory(copy.deepcopy(gather).segments[0][1], values)


def test_views_that_are_not_contiguous_are_read_rightly() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2]
    out, _ = Gather([(None, values)], [FeatureTransform()] * 3)(np.zeros(1, np.int32), np.array([2]))
    assert out.tolist() == [[12, 14, 16]]
