"""The closed-form extrapolation against reference numbers, closure and finite differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kernels.extrapolate.api import extrapolate
from engine_kernels.vertex_fit.toys import make_toys, perigee_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
def test_agrees_with_the_reference_numbers(
    reference_data: Path, implementation: str, dtype: torch.dtype, limit: float
) -> None:
    data = np.load(reference_data / "vertex" / "ref_extrapolation.npz")
    tracks = torch.tensor(data["tracks18"][..., 1:6], dtype=dtype)
    real = data["tracks18"][..., 5] != 1.0
    found = extrapolate(tracks, torch.tensor(data["vertex"], dtype=dtype)).double().cpu().numpy()
    assert np.abs(found - data["exact_perigee_about_vertex"])[real].max() < limit


def test_there_and_back_gives_the_track_again(implementation: str) -> None:
    toys = make_toys(200, 8, seed=3)
    tracks, vertex = torch.tensor(toys.tracks), torch.tensor(toys.vertex)
    about = extrapolate(tracks, vertex)
    # The origin seen from the vertex is at -vertex, in coordinates counted from the vertex.
    assert torch.allclose(extrapolate(about, -vertex), tracks, rtol=0, atol=1e-11)


def test_a_track_from_the_vertex_passes_through_it(implementation: str) -> None:
    toys = make_toys(200, 8, seed=4)
    about = extrapolate(torch.tensor(toys.true_tracks), torch.tensor(toys.vertex))
    assert about[..., :2].abs().max() < 1e-11
    turned = torch.remainder(about[..., 2] - torch.tensor(toys.momenta[..., 0]) + np.pi, 2 * np.pi) - np.pi
    assert turned.abs().max() < 1e-12


def test_a_straight_track_is_the_limit_of_a_curved_one(implementation: str) -> None:
    point = torch.tensor([[3.0, -7.0, 11.0]], dtype=torch.float64)
    curvatures = torch.tensor([0.0, 1e-15, 1e-12, 1e-9, 1e-6], dtype=torch.float64)
    tracks = torch.tensor([0.4, -2.0, 0.7, 1.1, 0.0], dtype=torch.float64).repeat(1, 5, 1)
    tracks[..., 4] = curvatures
    out = extrapolate(tracks, point)
    assert torch.isfinite(out).all()
    assert torch.all((out[0, 1:, :3] - out[0, :1, :3]).abs() <= 100 * curvatures[1:, None] + 1e-15)


def test_gradients_are_those_of_finite_differences(implementation: str) -> None:
    toys = make_toys(3, 4, seed=5)
    tracks = torch.tensor(toys.tracks)
    tracks[0, :3, 4] = torch.tensor([0.0, 1e-9, 0.2], dtype=torch.float64)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2] = False
    leaves = (tracks.requires_grad_(), torch.tensor(toys.vertex).requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: extrapolate(a, b, mask), leaves, eps=1e-7, atol=1e-5, rtol=1e-6)


def test_ragged_tracks_give_what_padded_ones_give(implementation: str) -> None:
    toys = make_toys(4, 5, seed=6)
    tracks, vertex = torch.tensor(toys.tracks), torch.tensor(toys.vertex)
    keep = torch.rand(4, 5, generator=torch.Generator(torch.get_default_device()).manual_seed(1)) < 0.6
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), keep.sum(1).cumsum(0)])
    flat, points = tracks[keep].requires_grad_(), vertex.clone().requires_grad_()
    padded, same = tracks.clone().requires_grad_(), vertex.clone().requires_grad_()
    ragged, dense = extrapolate(flat, points, offsets=offsets), extrapolate(padded, same, keep)
    assert torch.equal(ragged, dense[keep])
    assert (dense[~keep] == 0).all()
    (ragged**2).sum().backward()
    (dense**2).sum().backward()
    assert torch.equal(flat.grad, padded.grad[keep])
    assert torch.allclose(points.grad, same.grad, rtol=1e-14)


@SETTINGS
@given(tracks=arrays(np.float64, (2, 3, 5)), points=arrays(np.float64, (2, 3)), mask=arrays(np.bool_, (2, 3)))
def test_no_input_makes_nan(implementation: str, tracks: np.ndarray, points: np.ndarray, mask: np.ndarray) -> None:
    leaves = [torch.tensor(tracks).requires_grad_(), torch.tensor(points).requires_grad_()]
    out = extrapolate(leaves[0], leaves[1], torch.tensor(mask))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert (out[~torch.tensor(mask)] == 0).all()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


@SETTINGS
@given(
    st.floats(-0.3, 0.3),
    st.floats(-np.pi, np.pi),
    st.floats(0.05, np.pi - 0.05),
    arrays(np.float64, 3, elements=st.floats(-50, 50)),
)
def test_the_toys_formula_is_the_same(rho: float, phi: float, theta: float, point: np.ndarray) -> None:
    perigee = perigee_of(point, np.array([phi, theta, rho]))
    if not 1 + rho * (point[1] * np.cos(phi) - point[0] * np.sin(phi)) > 0.2 or abs(rho) < 1e-12:
        return
    about = extrapolate(torch.tensor(perigee).reshape(1, 1, 5), torch.tensor(point).reshape(1, 3))[0, 0].cpu().numpy()
    assert np.abs(about[:2]).max() < 1e-9 * (1 + abs(1 / np.tan(theta)))


def test_operator_is_registered_completely(native: str) -> None:
    toys = make_toys(3, 4, seed=7)
    arguments = (torch.tensor(toys.tracks).requires_grad_(), torch.tensor(toys.vertex).requires_grad_(), None, None)
    torch.library.opcheck(torch.ops.engine_kernels.extrapolate.default, arguments)


def test_half_precision_is_widened(native: str) -> None:
    toys = make_toys(2, 3, seed=8)
    tracks, vertex = torch.tensor(toys.tracks), torch.tensor(toys.vertex)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = extrapolate(tracks.float(), vertex.bfloat16())
    assert out.dtype == torch.float32


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"points must have the shape \[2, 3\]"):
        extrapolate(torch.zeros(2, 3, 5), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="must lie on one device, not on cpu and meta"):
        extrapolate(torch.zeros(2, 3, 5), torch.zeros(2, 3, device="meta"))
    with pytest.raises(ValueError, match="offsets must rise from 0"):
        extrapolate(torch.zeros(4, 5), torch.zeros(2, 3), offsets=torch.tensor([0, 9, 4]))


@pytest.mark.parametrize("kind", [torch.int16, torch.int32, torch.float64])
def test_offsets_that_are_not_int64_are_never_read(implementation: str, kind: torch.dtype) -> None:
    tracks, points, offsets = torch.rand(30, 5), torch.rand(6, 3), torch.arange(0, 31, 5)
    with pytest.raises(ValueError, match=rf"offsets must be int64 of shape \(B \+ 1,\), not {kind} of \[7\]"):
        extrapolate(tracks, points, offsets=offsets.to(kind))
    with pytest.raises(ValueError, match="offsets must be int64"):
        torch.ops.engine_kernels.extrapolate(tracks, points, None, offsets.to(kind))


def test_offsets_of_another_shape_are_named() -> None:
    tracks, points = torch.zeros(4, 5), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"offsets must be int64 of shape .*, not torch.int64 of \[3, 1\]"):
        extrapolate(tracks, points, offsets=torch.tensor([[0], [2], [4]]))
    with pytest.raises(ValueError, match=r"offsets must be int64 of shape .*, not torch.int64 of \[0\]"):
        extrapolate(tracks, points[:0], offsets=torch.zeros(0, dtype=torch.int64))


def test_tensors_without_numbers_give_the_shape() -> None:
    out = extrapolate(torch.zeros(2, 3, 5, device="meta"), torch.zeros(2, 3, device="meta"))
    assert out.shape == (2, 3, 5)
    assert out.is_meta
