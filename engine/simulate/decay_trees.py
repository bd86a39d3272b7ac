"""Trees of Upsilon(4S) decays at an asymmetric collider, many events at a time, one generation after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.simulate.belle_particles import SPECIES, channels, charge, lowest_mass
from engine.simulate.phase_space import decay

ELECTRONS, POSITRONS = 7.0, 4.0
"""Energies of the beams in GeV."""

UPSILON, PHOTON = 300553, 22
PRIMARY, RADIATED = 1, 1 + (1 << 7)
"""Status bits: 0 for a particle of the generator, 7 for a photon radiated by its sisters."""

SPOT = (6e-4, 1e-5, 2.5e-2)
"""Spread of the collisions in x, y, z, cm."""

LIGHT = 29.9792458  # cm / ns
_RADIATING = 0.15  # of the decays with an electron, 0.05 of those with a muon


@dataclass(frozen=True)
class Particles:
    """Particles of many events. The daughters of one follow each other.

    Attributes:
        event: event of each, ascending within a generation; (n,).
        code: PDG code.
        mass: GeV.
        momentum: (E, px, py, pz), GeV, (n, 4).
        vertex: where it was made, (t in ns, x, y, z in cm), (n, 4).
        mother: number of its mother, -1 for none.
        status: bits.
    """

    event: Array
    code: Array
    mass: Array
    momentum: Array
    vertex: Array
    mother: Array
    status: Array

    def __len__(self) -> int:
        return len(self.code)

    def take(self, order: Array) -> Particles:
        """The particles with these numbers, with the mothers as they are."""
        return Particles(*(getattr(self, name)[order] for name in self.__dataclass_fields__))


def make_trees(events: int, rng: np.random.Generator) -> Particles:
    """Whole events, those of an event together: the Upsilon first, generation after generation."""
    generations = [_upsilons(events, rng)]
    first = 0
    while len(generations[-1]):
        generations.append(_daughters(generations[-1], first, rng))
        first += len(generations[-2])
    every = _joined(generations)
    order = np.argsort(every.event, kind="stable")
    place = np.empty(len(order) + 1, dtype=np.int64)
    place[order], place[-1] = np.arange(len(order)), -1
    sorted_by_event = every.take(order)
    return Particles(**{**vars(sorted_by_event), "mother": place[sorted_by_event.mother]})


def _upsilons(events: int, rng: np.random.Generator) -> Particles:
    energy, along = ELECTRONS + POSITRONS, ELECTRONS - POSITRONS
    momentum = np.tile([energy, 0.0, 0.0, along], (events, 1))
    vertex = np.concatenate([np.zeros((events, 1)), rng.normal(size=(events, 3)) * SPOT], axis=1)
    mass = np.full(events, np.sqrt(energy**2 - along**2))
    whole = np.ones(events, dtype=np.int64)
    return Particles(np.arange(events), whole * UPSILON, mass, momentum, vertex, -whole, whole * PRIMARY)


def _daughters(mothers: Particles, first: int, rng: np.random.Generator) -> Particles:
    """The next generation; `first` is the number of the first mother among all particles."""
    groups = [
        _of_channels(mothers, np.flatnonzero(mothers.code == code), int(code), rng) for code in np.unique(mothers.code)
    ]
    every = _joined([_none(), *(part for group in groups for part in group)])
    order = np.argsort(every.mother, kind="stable")
    made = every.take(order)
    return Particles(**{**vars(made), "mother": made.mother + first})


def _of_channels(mothers: Particles, rows: Array, code: int, rng: np.random.Generator) -> list[Particles]:
    """Daughters of all mothers of one kind, channel by channel."""
    known = channels().get(code)
    if known is None:
        return []
    edges = np.cumsum([fraction for fraction, _ in known])
    chosen = np.minimum(np.searchsorted(edges, rng.random(len(rows)), side="right"), len(known) - 1)
    parts = []
    for number in np.unique(chosen):
        daughters, here = known[number][1], rows[chosen == number]
        likely = _RADIATING if 11 in map(abs, daughters) else 0.05 if 13 in map(abs, daughters) else 0.0
        radiates = rng.random(len(here)) < likely
        parts.append(_decayed(mothers, here[~radiates], daughters, False, rng))
        if radiates.any():
            parts.append(_decayed(mothers, here[radiates], (*daughters, PHOTON), True, rng))
    return parts


def _decayed(
    mothers: Particles, rows: Array, daughters: tuple[int, ...], radiated: bool, rng: np.random.Generator
) -> Particles:
    """Daughters of the given mothers, those of one after the other; the last one may be a radiated photon."""
    count = len(daughters)
    mass = mothers.mass[rows]
    masses = _masses(daughters, mass, rng)
    momentum = decay(mothers.momentum[rows], mass, masses, rng, soft_last=radiated)
    status = np.full((len(rows), count), PRIMARY)
    if radiated:
        status[:, -1] = RADIATED
    return Particles(
        event=np.repeat(mothers.event[rows], count),
        code=np.tile(daughters, len(rows)),
        mass=masses.reshape(-1),
        momentum=momentum.reshape(-1, 4),
        vertex=np.repeat(_end(mothers, rows, rng), count, axis=0),
        mother=np.repeat(rows, count),
        status=status.reshape(-1),
    )


def _masses(daughters: tuple[int, ...], mother: Array, rng: np.random.Generator) -> Array:
    """Masses of the daughters, (n, k): broad ones after Breit and Wigner, cut off, together below the mother's."""
    masses = np.empty((len(mother), len(daughters)))
    lowest = np.array([lowest_mass(code) for code in daughters])
    for column, code in enumerate(daughters):
        species = SPECIES[abs(code)]
        shift = 0.5 * species.width * np.tan(1.25 * rng.uniform(-1, 1, len(mother)))
        masses[:, column] = np.maximum(species.mass + shift, lowest[column])
    masses[masses.sum(axis=1) >= mother - 1e-3] = lowest
    return masses


def _end(mothers: Particles, rows: Array, rng: np.random.Generator) -> Array:
    """Where and when the mothers decay, (n, 4)."""
    flight = np.array([SPECIES[abs(int(code))].flight for code in mothers.code[rows[:1]]])
    path = rng.exponential(size=len(rows)) * flight
    factor = path / mothers.mass[rows]
    step = mothers.momentum[rows] * factor[:, None]
    step[:, 0] /= LIGHT
    end: Array = mothers.vertex[rows] + step
    return end


def _none() -> Particles:
    whole = np.zeros(0, dtype=np.int64)
    return Particles(whole, whole, np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4)), whole, whole)


def _joined(parts: list[Particles]) -> Particles:
    return Particles(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Particles.__dataclass_fields__)
    )


def charges(code: Array) -> Array:
    """Of each particle, in units of e."""
    known, place = np.unique(code, return_inverse=True)
    return np.array([charge(int(each)) for each in known], dtype=np.float64)[place]
