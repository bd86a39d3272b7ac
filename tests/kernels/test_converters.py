"""Conversions between track conventions: closure, signs from points on the helix, Jacobians from differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit.converters import CONVENTIONS, from_engine, to_engine
from engine_kernels.vertex_fit.toys import make_toys

FIELD = 3.8


def some_tracks() -> torch.Tensor:
    return torch.tensor(make_toys(20, 6, seed=2, field=FIELD).tracks)


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_there_and_back_is_the_identity(name: str) -> None:
    tracks = some_tracks()
    scale = torch.rand(20, 6, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e-3
    covariance = scale @ scale.mT
    there, moved = from_engine(name, tracks, FIELD, covariance)
    back, returned = to_engine(name, there, FIELD, moved)
    assert torch.allclose(back, tracks, rtol=1e-13, atol=1e-13)
    assert torch.allclose(returned, covariance, rtol=1e-9, atol=1e-22)


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_covariances_follow_small_shifts(name: str) -> None:
    tracks = from_engine(name, some_tracks(), FIELD)[0][0, 0]
    _, covariance = to_engine(name, tracks, FIELD, torch.eye(5, dtype=torch.float64))
    columns = []
    for index in range(5):
        shift = torch.zeros(5, dtype=torch.float64)
        shift[index] = 1e-6
        up, down = to_engine(name, tracks + shift, FIELD)[0], to_engine(name, tracks - shift, FIELD)[0]
        columns.append((up - down) / 2e-6)
    jacobian = torch.stack(columns, dim=-1)
    assert torch.allclose(covariance, jacobian @ jacobian.mT, rtol=1e-6, atol=1e-12)


def particle(charge: float) -> tuple[np.ndarray, np.ndarray]:
    """Position (mm) and momentum (GeV) at the point of closest approach of a track to the z axis."""
    phi, pt, d = 0.7, 4.0, 1.5
    position = np.array([d * np.sin(phi), -d * np.cos(phi), 20.0])
    return position, np.array([pt * np.cos(phi), pt * np.sin(phi), 3.0])


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_each_convention_describes_the_same_particle(charge: float) -> None:
    position, momentum = particle(charge)
    pt, p = np.hypot(*momentum[:2]), np.linalg.norm(momentum)
    phi, theta, dip = np.arctan2(momentum[1], momentum[0]), np.arctan2(pt, momentum[2]), np.arctan2(momentum[2], pt)
    x, y, z = position
    given = {
        "atlas": [-x * np.sin(phi) + y * np.cos(phi), z, phi, theta, charge / p],
        "cms": [charge / p, dip, phi, 0.1 * (-x * np.sin(phi) + y * np.cos(phi)), 0.1 * z * np.cos(dip)],
        "belle2": [0.1 * 1.5, phi, 10 * charge * 2.99792458e-4 * FIELD / pt, 0.1 * z, momentum[2] / pt],
        "delphes": [(x * momentum[1] - y * momentum[0]) / pt, z, phi, momentum[2] / pt, charge / pt],
    }
    # The Lorentz force of a field along +z turns a positive particle clockwise: rho < 0.
    expected = torch.tensor([1.5, z, phi, theta, -charge * 2.99792458e-4 * FIELD / pt], dtype=torch.float64)
    for name, values in given.items():
        found, _ = to_engine(name, torch.tensor(values, dtype=torch.float64), FIELD)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15), name


def test_the_opposite_field_turns_tracks_the_other_way() -> None:
    track = torch.tensor([0.1, 2.0, 0.5, 1.2, 0.4], dtype=torch.float64)
    one, other = to_engine("atlas", track, 2.0)[0], to_engine("atlas", track, -2.0)[0]
    assert one[4] == -other[4]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="choose one of atlas, acts, cms, belle2, delphes"):
        to_engine("alice", torch.zeros(5), 1.0)
    with pytest.raises(ValueError, match="0 T bends no track"):
        to_engine("atlas", torch.zeros(5), 0.0)
    tracks = torch.zeros(3, 5)
    for width in (4, 6):
        with pytest.raises(ValueError, match=rf"tracks must have the shape \(\.\.\., 5\), not \[3, {width}\]"):
            to_engine("atlas", torch.zeros(3, width), 2.0)
    with pytest.raises(ValueError, match=r"tracks must be float32 or float64, not torch\.int64"):
        to_engine("atlas", tracks.long(), 2.0)
    with pytest.raises(ValueError, match=r"covariance must have the shape \[3, 5\] or one more 5, not \[3, 4\]"):
        to_engine("atlas", tracks, 2.0, torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"covariance must be torch\.float32 as the tracks are, not torch\.float64"):
        to_engine("atlas", tracks, 2.0, torch.zeros(3, 5, dtype=torch.float64))


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)], ids=str)
def test_no_tracks_have_no_covariances(name: str, shape: tuple[int, ...]) -> None:
    none = torch.zeros(shape)
    for covariance in (none, torch.zeros(*shape, 5)):
        tracks, matrices = to_engine(name, none, FIELD, covariance)
        assert tracks.shape == shape
        assert matrices is not None
        assert matrices.shape == (*shape, 5)
