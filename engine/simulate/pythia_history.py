"""What the particles of Pythia's events came from: the decay that made each of them, and where that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.simulate.jet_truth import is_beauty, is_charm
from engine.simulate.vertex_lists import PRIMARY_KEY

_SHORTEST = 0.02  # mm; nearer than this to where a particle was made (a hard pi0 is) its decay is at the same vertex
_NEUTRINOS = (12, 14, 16)
_POSITIVE, _NEGATIVE = (211, 321, 2212), (11, 13)  # of the particles that live long enough to be tracks


@dataclass(frozen=True)
class Particles:
    """All particles of a batch of events, one event after the other; the arrays have shape (particles,).

    Attributes:
        offsets: (events + 1,).
        pdg: PDG number.
        final: whether it is in the final state.
        mother: place of the first mother in these arrays; its own place where there is none.
        momentum: (particles, 4) px, py, pz, energy, GeV.
        production: (particles, 3), mm.
    """

    offsets: Array
    pdg: Array
    final: Array
    mother: Array
    momentum: Array
    production: Array

    @property
    def event(self) -> Array:
        """Event of each particle."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def charge(self) -> Array:
        """Charge of the particles that make tracks, 0 for all others."""
        number, sign = np.abs(self.pdg), np.sign(self.pdg)
        charge: Array = sign * (np.isin(number, _POSITIVE).astype(np.int64) - np.isin(number, _NEGATIVE))
        return charge

    @property
    def visible(self) -> Array:
        """Which are in the final state and no neutrinos."""
        seen: Array = self.final & ~np.isin(np.abs(self.pdg), _NEUTRINOS)
        return seen


@dataclass(frozen=True)
class History:
    """Decays that make vertices, by the place of the particle that decays.

    Attributes:
        source: of each particle the decay that it comes from, looking through prompt decays; or PRIMARY_KEY.
        decay: where each particle decays, (particles, 3), mm; its production for one that does not.
        beauty: which are weakly decaying b hadrons.
        charm: which are weakly decaying c hadrons.
    """

    source: Array
    decay: Array
    beauty: Array
    charm: Array


def read_batch(batch: Any) -> Particles:
    """The particles of a batch, which Pythia gives as an Awkward array."""
    import awkward as ak

    record = batch.prt
    offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(record.id)))])

    def column(values: Any) -> Array:
        flat: Array = ak.to_numpy(ak.flatten(ak.fill_none(values, 0)))
        return flat

    start = np.repeat(offsets[:-1], np.diff(offsets))
    own, mother = np.arange(offsets[-1]), column(record.mother1).astype(np.int64)
    momentum = np.stack([column(record.p[name]) for name in ("px", "py", "pz", "e")], axis=1)
    production = np.stack([column(record.vProd[name]) for name in ("px", "py", "pz")], axis=1)
    return Particles(
        offsets,
        column(record.id).astype(np.int64),
        column(record.status) > 0,
        np.where(mother > 0, start + mother, own),
        momentum,
        production.astype(np.float64),
    )


def trace(particles: Particles) -> History:
    """Follow all particles back to the decays that they come from.

    A decay makes a vertex of its own where the particle is a weakly decaying b or c hadron, or where it decays 20
    micrometres or more from where it was made. Decays of resonances belong to the vertex before them.
    """
    mother, production = particles.mother, particles.production
    unstable = ((np.abs(particles.pdg) > 100) | (np.abs(particles.pdg) == 15)) & ~particles.final
    child = np.flatnonzero(unstable[mother] & (mother != np.arange(len(mother))))
    decay = production.copy()
    decay[mother[child]] = production[child]
    far = np.linalg.norm(decay - production, axis=1) > _SHORTEST
    beauty, charm = (_weak(kind(particles.pdg), child, mother) & unstable for kind in (is_beauty, is_charm))
    makes_vertex = (far | beauty | charm) & unstable
    source = mother.copy()
    while True:
        passing = unstable[source] & ~makes_vertex[source]
        following = np.where(passing, mother[source], source)
        if np.array_equal(following, source):
            break
        source = following
    return History(np.where(makes_vertex[source], source, PRIMARY_KEY), decay, beauty, charm)


def _weak(carries: Array, child: Array, mother: Array) -> Array:
    """Which hadrons that carry a quark have no daughter that carries it."""
    passes_on = np.zeros(len(carries), dtype=bool)
    passes_on[mother[child[carries[child]]]] = True
    weak: Array = carries & ~passes_on
    return weak
