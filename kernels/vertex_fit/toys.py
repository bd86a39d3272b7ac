"""Toy vertices with exact helices: tracks from a known point, measured about the origin with known errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FIELD_CONSTANT = 2.99792458e-4
"""Curvature (1/mm) of a unit charge with a transverse momentum of 1 GeV in 1 T."""


@dataclass(frozen=True)
class Toys:
    """Smeared tracks and the truth.

    Attributes:
        tracks: (B, n, 5) measured d0, z0 (mm), phi, theta (rad), rho (1/mm) about the origin.
        variances: (B, n, 5) of the measurement.
        vertex: (B, 3) true vertex, mm.
        true_tracks: (B, n, 5) the tracks without smearing.
        momenta: (B, n, 3) true phi, theta, rho at the vertex.
    """

    tracks: Array
    variances: Array
    vertex: Array
    true_tracks: Array
    momenta: Array


def perigee_of(point: Array, momentum: Array) -> Array:
    """Perigee parameters (..., 5) about the origin of helices through `point` (..., 3) with `momentum` (..., 3) there.

    No difference of large numbers occurs, so that straight tracks and far points keep their digits.

    Args:
        point: x, y, z, mm.
        momentum: phi, theta (rad), rho (1/mm) at the point; rho > 0 turns counter-clockwise.
    """
    x, y, z = np.moveaxis(point, -1, 0)
    phi, theta, rho = np.moveaxis(momentum, -1, 0)
    c, s = np.cos(phi), np.sin(phi)
    Q, R = x * c + y * s, y * c - x * s
    a, b = rho * Q, 1 + rho * R
    angle = np.arctan2(a, b)
    d0 = -(2 * R + rho * (Q * Q + R * R)) / (1 + np.hypot(a, b))
    curved = np.abs(rho) > 1e-12
    path = np.where(curved, angle / np.where(curved, rho, 1.0), Q)
    values = np.broadcast_arrays(d0, z - path / np.tan(theta), phi - angle, theta, rho)
    return np.stack(values, axis=-1)


def make_toys(
    jets: int,
    tracks: int,
    seed: int = 0,
    field: float = 2.0,
    cone: float = 0.12,
    decay_length: float = 5.0,
    furthest: float = 40.0,
    flight: Array | None = None,
) -> Toys:
    """Decays of particles from the origin: all tracks of a jet come from one displaced vertex.

    Jets point to |eta| < 2.2 with a transverse momentum of 20 to 200 GeV, shared among the tracks by a Dirichlet draw.
    The errors depend on momentum and angle like those of a silicon tracker: tens of micrometres plus multiple
    scattering.

    Args:
        jets: number of jets B.
        tracks: tracks a jet n.
        seed: of the random numbers.
        field: T.
        cone: opening of the jet, rad.
        decay_length: mean, mm; decays beyond `furthest` are drawn again within it.
        flight: (B,) flight distances, mm, instead of random ones.
    """
    rng = np.random.default_rng(seed)
    eta, azimuth = rng.uniform(-2.2, 2.2, jets), rng.uniform(-np.pi, np.pi, jets)
    if flight is None:
        flight = -decay_length * np.log1p(-rng.uniform(size=jets) * -np.expm1(-furthest / decay_length))
    axis_theta = 2 * np.arctan(np.exp(-eta))
    axis = np.stack(
        [np.sin(axis_theta) * np.cos(azimuth), np.sin(axis_theta) * np.sin(azimuth), np.cos(axis_theta)], axis=-1
    )
    vertex = flight[:, None] * axis
    jet_pt = np.exp(rng.uniform(np.log(20), np.log(200), jets))
    pt = np.maximum(rng.dirichlet(np.full(tracks, 2.0), jets) * jet_pt[:, None], 0.5)
    radius, turn = cone * np.sqrt(rng.uniform(size=(jets, tracks))), rng.uniform(-np.pi, np.pi, (jets, tracks))
    theta = 2 * np.arctan(np.exp(-(eta[:, None] + radius * np.sin(turn))))
    rho = FIELD_CONSTANT * field / pt * rng.choice([-1.0, 1.0], size=(jets, tracks))
    momenta = np.stack([azimuth[:, None] + radius * np.cos(turn), theta, rho], axis=-1)
    true = perigee_of(vertex[:, None, :], momenta)
    sigma = measurement_errors(pt, theta, rho)
    return Toys(true + sigma * rng.normal(size=sigma.shape), sigma**2, vertex, true, momenta)


def measurement_errors(pt: Array, theta: Array, rho: Array) -> Array:
    """Standard deviations (..., 5) of d0, z0, phi, theta, rho: those of a silicon tracker, at this momentum (GeV)."""
    scattering = 1 / (pt * np.sqrt(np.sin(theta)))
    return np.stack(
        [
            np.hypot(0.02, 0.09 * scattering),
            np.hypot(0.05, 0.15 * scattering / np.sin(theta)),
            np.hypot(4e-4, 2e-3 * scattering),
            np.hypot(2e-4, 1e-3 * scattering),
            np.abs(rho) * np.hypot(0.01, 3e-4 * pt),
        ],
        axis=-1,
    )
