"""Momenta and flights of simulated particles; natural units, GeV and mm."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array


def momentum_of(pt: Array, eta: Array, phi: Array) -> Array:
    """px, py, pz, shape (particles, 3)."""
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


def transverse(momentum: Array) -> Array:
    """Transverse momenta."""
    pt: Array = np.hypot(momentum[..., 0], momentum[..., 1])
    return pt


def pseudorapidity(momentum: Array) -> Array:
    """Pseudorapidities."""
    eta: Array = np.arcsinh(momentum[..., 2] / np.maximum(transverse(momentum), 1e-12))
    return eta


def azimuth(momentum: Array) -> Array:
    """Angles about the beam, in [-pi, pi]."""
    phi: Array = np.arctan2(momentum[..., 1], momentum[..., 0])
    return phi


def separation(eta: Array, phi: Array, other_eta: Array, other_phi: Array) -> Array:
    """Distances in eta and phi."""
    turn = (phi - other_phi + np.pi) % (2 * np.pi) - np.pi
    distance: Array = np.hypot(eta - other_eta, turn)
    return distance


def isotropic(size: int, rng: np.random.Generator) -> Array:
    """Unit vectors (size, 3) in all directions alike."""
    z, phi = rng.uniform(-1, 1, size), rng.uniform(-np.pi, np.pi, size)
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(phi), radius * np.sin(phi), z], axis=-1)


def boost(momentum: Array, mass: Array | float, parent: Array, parent_mass: Array) -> Array:
    """Momenta (particles, 3) in the laboratory of particles that have `momentum` where their parent is at rest."""
    energy = np.sqrt(np.sum(momentum**2, axis=-1) + np.square(mass))
    parent_energy = np.sqrt(np.sum(parent**2, axis=-1) + np.square(parent_mass))
    along = np.sum(momentum * parent, axis=-1)
    factor = (along / (parent_energy + parent_mass) + energy) / parent_mass
    boosted: Array = momentum + factor[..., None] * parent
    return boosted


def fly(start: Array, momentum: Array, mass: Array, ctau: Array, rng: np.random.Generator) -> Array:
    """Where particles decay, (particles, 3): a straight path with an exponential proper time.

    Args:
        start: (particles, 3), mm.
        momentum: (particles, 3), GeV.
        mass: GeV.
        ctau: mean proper time, mm.
        rng: where randomness comes from.
    """
    proper = rng.exponential(size=len(mass)) * ctau
    end: Array = start + (proper / mass)[:, None] * momentum
    return end
