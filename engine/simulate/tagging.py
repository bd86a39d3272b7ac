"""A selection of the kind that skims are: events in which one B meson can be put together from all that it decays to.

Tracks and photons have to fly into the detector and to be found, and no neutrino, K_L or neutron may be among the
decay products. A network that sees the generator's particles can tell likely events, but never be sure.
"""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array
from engine.simulate.decay_trees import Particles

B_MESONS = (511, 521)
TRACKS = (11, 13, 211, 321, 2212)
PHOTON = 22
ANGLES = (np.deg2rad(17.0), np.deg2rad(150.0))
"""Polar angles that the detector covers."""

TRACK_EFFICIENCY, PHOTON_EFFICIENCY = 0.96, 0.9
SOFTEST_TRACK, SOFTEST_PHOTON = 0.06, 0.03
"""Smallest transverse momentum of a track and energy of a photon, GeV."""

FARTHEST = 60.0
"""Tracks that begin farther from the beam are not found, cm."""

WRONG = 0.02
"""Events that pass by an accident."""


def passes(particles: Particles, events: int, rng: np.random.Generator) -> Array:
    """Which events the selection accepts, bool, shape (events,)."""
    owner = _b_meson(particles)
    is_mother = np.zeros(len(particles), dtype=bool)
    is_mother[particles.mother[particles.mother >= 0]] = True
    counted = (owner >= 0) & ~is_mother & (particles.status == 1)
    found = rng.random(len(particles)) < _efficiency(particles)
    lost = np.zeros(len(particles), dtype=bool)
    lost[owner[counted & ~found]] = True
    tags = np.isin(np.abs(particles.code), B_MESONS) & ~lost
    accepted = np.zeros(events, dtype=bool)
    accepted[particles.event[tags]] = True
    accepted |= rng.random(events) < WRONG
    return accepted


def _b_meson(particles: Particles) -> Array:
    """The number of the B meson that each particle comes from, -1 for none; mothers stand before their daughters."""
    owner = np.full(len(particles), -1)
    mesons = np.flatnonzero(np.isin(np.abs(particles.code), B_MESONS))
    owner[mesons] = mesons
    while True:
        mother = particles.mother
        inherited = np.where((owner < 0) & (mother >= 0), owner[mother], owner)
        if np.array_equal(inherited, owner):
            return owner
        owner = inherited


def _efficiency(particles: Particles) -> Array:
    """How likely each particle is found."""
    code, momentum = np.abs(particles.code), particles.momentum
    transverse = np.hypot(momentum[:, 1], momentum[:, 2])
    angle = np.arctan2(transverse, momentum[:, 3])
    seen = (angle > ANGLES[0]) & (angle < ANGLES[1])
    near = np.hypot(particles.vertex[:, 1], particles.vertex[:, 2]) < FARTHEST
    track = np.isin(code, TRACKS) & (transverse > SOFTEST_TRACK) & near
    photon = (code == PHOTON) & (momentum[:, 0] > SOFTEST_PHOTON)
    efficiency: Array = seen * (track * TRACK_EFFICIENCY + photon * PHOTON_EFFICIENCY)
    return efficiency
