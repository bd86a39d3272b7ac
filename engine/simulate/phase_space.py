"""Decays into any number of particles that conserve energy and momentum, for many mothers of one kind at once.

The daughters come out of a chain of two-body decays, isotropic each, whose intermediate masses are sorted uniform
numbers (as in the program GENBOD, without its weights: not exactly uniform in phase space).
"""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array


def decay(mother: Array, mass: Array, masses: Array, rng: np.random.Generator, soft_last: bool = False) -> Array:
    """Momenta of the daughters.

    Args:
        mother: four-momenta (E, px, py, pz), GeV, shape (n, 4).
        mass: of the mothers, (n,).
        masses: of the daughters, (n, k), k >= 2; together below that of the mother.
        rng: where randomness comes from.
        soft_last: the last daughter takes little energy, as a radiated photon does.

    Returns:
        Shape (n, k, 4).
    """
    rows, count = masses.shape
    sums = np.cumsum(masses, axis=1)
    uniform = np.sort(rng.random((rows, count - 2)), axis=1)
    if soft_last and count > 2:
        uniform[:, -1] = 1 - 0.5 * rng.random(rows) ** 8
        uniform[:, :-1] *= uniform[:, -1:]
    between = sums[:, 1:-1] + uniform * (mass - sums[:, -1])[:, None]
    chain = np.concatenate([masses[:, :1], between, mass[:, None]], axis=1)
    result = np.zeros((rows, count, 4))
    result[:, 0, 0] = masses[:, 0]
    for last in range(1, count):
        momentum = _momentum(chain[:, last], chain[:, last - 1], masses[:, last])
        direction = _isotropic(rows, rng) * momentum[:, None]
        system = np.concatenate([np.hypot(momentum, chain[:, last - 1])[:, None], direction], axis=1)
        result[:, :last] = boost(result[:, :last], system, chain[:, last - 1])
        result[:, last, 0] = np.hypot(momentum, masses[:, last])
        result[:, last, 1:] = -direction
    return boost(result, mother, mass)


def boost(vectors: Array, system: Array, mass: Array) -> Array:
    """Four-vectors (n, k, 4) from the rest frame of systems of momentum `system` (n, 4) and mass (n,) to outside.

    Systems of mass 0 have only one member, at rest: it takes their momentum.
    """
    if vectors.shape[1] == 1 and not np.any(vectors[..., 1:]):
        return system[:, None, :].copy()
    gamma_beta = system[:, None, 1:] / mass[:, None, None]
    along = (vectors[..., 1:] * gamma_beta).sum(-1)
    gamma = system[:, None, 0] / mass[:, None]
    energy = gamma * vectors[..., 0] + along
    factor = along / (gamma + 1) + vectors[..., 0]
    return np.concatenate([energy[..., None], vectors[..., 1:] + factor[..., None] * gamma_beta], axis=-1)


def _momentum(mass: Array, first: Array, second: Array) -> Array:
    """Of the two daughters of a mass at rest."""
    squared = (mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)
    momentum: Array = np.sqrt(np.maximum(squared, 0)) / (2 * mass)
    return momentum


def _isotropic(rows: int, rng: np.random.Generator) -> Array:
    """Unit vectors, (rows, 3)."""
    cosine, phi = rng.uniform(-1, 1, rows), rng.uniform(-np.pi, np.pi, rows)
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
