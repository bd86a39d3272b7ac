"""Toy vertices: exact helices, and fits whose pulls and chi2 are those of correct errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.toys import make_toys, perigee_of


def test_the_helix_passes_through_the_vertex() -> None:
    toys = make_toys(500, 5, seed=1)
    d0, z0, phi, theta, rho = np.moveaxis(toys.true_tracks, -1, 0)
    turned = toys.momenta[..., 0] - phi
    turned = (turned + np.pi) % (2 * np.pi) - np.pi
    path = turned / rho
    chord = path * np.sinc(turned / 2 / np.pi)
    x = d0 * np.sin(phi) + chord * np.cos(phi + turned / 2)
    y = -d0 * np.cos(phi) + chord * np.sin(phi + turned / 2)
    z = z0 + path / np.tan(theta)
    assert np.abs(np.stack([x, y, z], axis=-1) - toys.vertex[:, None]).max() < 1e-9


def test_the_same_seed_gives_the_same_toys() -> None:
    assert (make_toys(5, 3, seed=9).tracks == make_toys(5, 3, seed=9).tracks).all()
    assert (make_toys(5, 3, seed=9).tracks != make_toys(5, 3, seed=10).tracks).any()


def test_a_straight_track_has_a_perigee() -> None:
    out = perigee_of(np.array([1.0, 2.0, 3.0]), np.array([0.0, np.pi / 2, 0.0]))
    assert np.allclose(out, [-2.0, 3.0, 0.0, np.pi / 2, 0.0], atol=1e-15)


@pytest.mark.parametrize("tracks", [2, 3, 5, 10])
@pytest.mark.parametrize("weighted", [False, True], ids=["unit-weights", "random-weights"])
def test_pulls_have_width_one(tracks: int, weighted: bool) -> None:
    jets = 4000
    toys = make_toys(jets, tracks, seed=100 + tracks)
    rng = np.random.default_rng(5)
    weights = 1 / (1 + np.exp(-rng.normal(0, 2, (jets, tracks)))) if weighted else np.ones((jets, tracks))
    fit = vertex_fit(*(torch.tensor(array) for array in (toys.tracks, toys.variances, weights)))
    assert (fit.status == 0).float().mean() > 0.995
    good = (fit.status == 0).numpy()
    sd = np.sqrt(np.einsum("bii->bi", fit.covariance.numpy()[good]))
    pulls = (fit.vertex.numpy()[good] - toys.vertex[good]) / sd
    # Two tracks in a narrow cone: the errors along the jet are not Gaussian where they exceed the flight distance.
    core = np.abs(pulls) < 4
    width = np.array([pulls[core[:, axis], axis].std() for axis in range(3)])
    error = 1 / np.sqrt(2 * len(pulls))
    assert np.abs(width - 1).max() < 5 * error + (0.03 if tracks <= 3 else 0.01)
    assert np.abs(np.median(pulls, axis=0)).max() < 5 * 1.25 / np.sqrt(len(pulls))
    if not weighted:
        ndf = 2 * tracks - 3
        ratio = np.minimum(fit.chi2.numpy()[good], 25 * ndf) / ndf
        assert abs(ratio.mean() - 1) < 5 * np.sqrt(2 / ndf / len(ratio)) + 0.01


def test_without_the_sandwich_random_weights_give_wrong_pulls() -> None:
    toys = make_toys(2000, 5, seed=11)
    weights = np.full((2000, 5), 0.05)
    fit = vertex_fit(*(torch.tensor(array) for array in (toys.tracks, toys.variances, weights)), sandwich=False)
    pulls = (fit.vertex.numpy() - toys.vertex) / np.sqrt(np.einsum("bii->bi", fit.covariance.numpy()))
    assert pulls.std() < 0.3
