"""Every implementation of sanitize against the NumPy definition, on values as hostile as files hold."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from engine_kernels import backends
from engine_kernels.sanitize.api import Sanitizer
from engine_kernels.sanitize.reference import Sanitize
from engine_kernels.sanitize.transforms import LOG1P_ULP, FeatureTransform, apply, total_width
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NATIVE = backends.native()[0] is not None
IMPLEMENTATIONS = [
    pytest.param("native", marks=pytest.mark.skipif(not NATIVE, reason="no compiled module")),
    "numba",
    "reference",
]
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-100, 100, width=32)


@st.composite
def transforms(draw: st.DrawFn) -> FeatureTransform:
    if draw(st.integers(0, 4)) == 0:
        return FeatureTransform(
            one_hot=tuple(draw(st.lists(st.integers(-3, 300), min_size=1, max_size=4, unique=True)))
        )
    low, high = sorted([draw(MODERATE), draw(MODERATE)])
    return FeatureTransform(
        absolute=draw(st.booleans()),
        log1p=draw(st.booleans()),
        low=draw(st.sampled_from([low, -math.inf])),
        high=draw(st.sampled_from([high, math.inf])),
        scale=draw(FLOAT32),
        offset=draw(MODERATE),
        fill=draw(FLOAT32),
    )


@st.composite
def stored(draw: st.DrawFn, features: int) -> np.ndarray:
    dtype = draw(
        st.sampled_from(["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "uint64", "bool"])
    )
    shape = (draw(st.integers(0, 70)), features)
    return draw(hnp.arrays(dtype, shape))


def assert_same(result: np.ndarray, expected: np.ndarray, chosen: list[FeatureTransform], raw: np.ndarray) -> None:
    """Equal bit for bit, and within LOG1P_ULP of the logarithm where there is one."""
    assert result.dtype == np.float32
    assert result.shape == expected.shape
    column = 0
    for index, transform in enumerate(chosen):
        part = slice(column, column + transform.width)
        column += transform.width
        if not transform.log1p or transform.one_hot:
            np.testing.assert_array_equal(result[:, part], expected[:, part])
            continue
        with np.errstate(all="ignore"):
            logarithm = np.log1p(np.abs(raw[:, index].astype(np.float32).astype(np.float64)))
            magnitude = np.abs(logarithm) * abs(transform.scale) + abs(transform.offset)
            ulp = np.spacing(np.abs(logarithm).astype(np.float32)).astype(np.float64) * abs(transform.scale)
            ulp = np.maximum(ulp, np.spacing(np.minimum(magnitude, 3e38).astype(np.float32)).astype(np.float64))
            tolerance = LOG1P_ULP * ulp
        tolerance[~np.isfinite(tolerance)] = 0
        difference = np.abs(result[:, column - 1].astype(np.float64) - expected[:, column - 1])
        overflow = magnitude > 3.3e38  # either side may be the one that overflows to `fill`
        assert (difference[~overflow] <= tolerance[~overflow]).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_value_and_any_transform_gives_what_the_definition_says(implementation: str, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(transforms(), min_size=1, max_size=12))
    values = data.draw(stored(len(chosen)))
    result = Sanitizer(chosen, implementation)(values)
    assert np.isfinite(result).all()
    assert_same(result, apply(values, chosen), chosen, values)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_torch_module_agrees_with_the_definition(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(transforms(), min_size=1, max_size=6))
    values = data.draw(hnp.arrays("float32", (data.draw(st.integers(0, 20)), len(chosen))))
    module = Sanitize(chosen)
    assert_same(module(torch.from_numpy(values)).numpy(), apply(values, chosen), chosen, values)


def test_the_torch_module_clears_padding_and_keeps_the_objects_axis() -> None:
    module = Sanitize([FeatureTransform(offset=3.0), FeatureTransform(one_hot=(0.0, 1.0))])
    mask = torch.tensor([[True, False], [False, False]])
    result = module(torch.zeros(2, 2, 2), mask)
    assert result.shape == (2, 2, 3)
    assert result[0, 0].tolist() == [3.0, 1.0, 0.0]
    assert result[~mask].abs().max() == 0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("features", [1, 7, 16, 33, 743, 5000])
def test_rows_of_any_width_with_logarithms_together_or_apart(implementation: str, features: int) -> None:
    random = np.random.default_rng(features)
    values = (10 ** random.uniform(-20, 20, (70, features)) * random.choice([-1, 1], (70, features))).astype(np.float32)
    for chosen in (
        [FeatureTransform(absolute=True, log1p=i % 4 == 0, scale=0.5, offset=0.1) for i in range(features)],
        [FeatureTransform(absolute=True, log1p=i < features // 2, high=9.0) for i in range(features)],
    ):
        assert_same(Sanitizer(chosen, implementation)(values), apply(values, chosen), chosen, values)


@pytest.mark.skipif(not NATIVE, reason="no compiled module")
def test_the_logarithm_of_the_compiled_kernel_is_exact_to_an_ulp() -> None:
    x = np.concatenate(
        [
            np.float32(10) ** np.linspace(-37, 38, 100_000, dtype=np.float32),
            -np.linspace(1e-6, 0.999999, 50_000, dtype=np.float32),
        ]
    )
    result = Sanitizer([FeatureTransform(log1p=True)], "native")(x[:, None])[:, 0].astype(np.float64)
    exact = np.log1p(x.astype(np.float64))
    assert (np.abs(result - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() < 1.0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_half_precision_number_is_read_exactly(implementation: str) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    result = Sanitizer([FeatureTransform(fill=-7.0)], implementation)(halves[:, None])[:, 0]
    expected = np.where(np.isfinite(halves), halves.astype(np.float32), np.float32(-7))
    np.testing.assert_array_equal(result, expected)


def test_edges_of_the_definition() -> None:
    values = np.array([[-1.0], [-2.0], [np.inf], [np.nan], [3e38]], dtype=np.float32)
    result = apply(values, [FeatureTransform(log1p=True, low=-5.0, scale=2.0, fill=9.0)])[:, 0]
    assert result.tolist() == [-10.0, 9.0, 9.0, 9.0, 2 * np.log1p(np.float32(3e38))]
    assert apply(values, [FeatureTransform(scale=10.0, fill=1.0)])[-1, 0] == 1.0  # the product overflows


@given(transforms())
def test_transforms_survive_strict_json(transform: FeatureTransform) -> None:
    text = json.dumps(transform.to_dict(), allow_nan=False)
    assert FeatureTransform.from_dict(json.loads(text)) == transform


@pytest.mark.parametrize(
    "parameters",
    [
        {"scale": math.nan},
        {"offset": math.inf},
        {"fill": 1e39},
        {"low": 2.0, "high": 1.0},
        {"low": math.nan},
        {"one_hot": ()},
        {"one_hot": (1.0, 1.0)},
        {"one_hot": (math.nan,)},
        {"one_hot": (0.0, 1e300)},  # as float32 it would be infinite, and equal to a value that is
    ],
)
def test_senseless_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs"):
        FeatureTransform(**parameters)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="no parameter lwo"):
        FeatureTransform.from_dict({"lwo": 1})


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_copy_and_a_pickle_do_the_same(implementation: str) -> None:
    chosen = [FeatureTransform(log1p=True), FeatureTransform(one_hot=(0.0, 2.0))]
    values = np.array([[1.5, 2.0], [0.5, 0.0]], np.float32)
    sanitizer = Sanitizer(chosen, implementation)
    for made in (pickle.loads(pickle.dumps(sanitizer)), copy.deepcopy(sanitizer), copy.copy(sanitizer)):
        assert made.choice == sanitizer.choice
        np.testing.assert_array_equal(made(values), sanitizer(values))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_wrong_shapes_and_types_are_refused(implementation: str) -> None:
    sanitizer = Sanitizer([FeatureTransform()], implementation)
    with pytest.raises(ValueError, match="shape"):
        sanitizer(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="complex64"):
        sanitizer(np.zeros((3, 1), np.complex64))


def test_one_hot_columns_stand_where_their_feature_stood() -> None:
    chosen = [FeatureTransform(), FeatureTransform(one_hot=(0.0, 5.0)), FeatureTransform(scale=2.0)]
    assert total_width(chosen) == 4
    result = Sanitizer(chosen)(np.array([[1, 5, 3], [2, np.inf, 4]], dtype=np.float32))
    assert result.tolist() == [[1, 0, 1, 6], [2, 0, 0, 8]]
