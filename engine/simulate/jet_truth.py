"""Jets as a generator makes them, before the detector: their vertices, heavy hadrons and charged particles, flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from engine.data.columns import Array

LIGHT, CHARM, BEAUTY = 0, 4, 5
"""Flavour of a jet: the quark that its heaviest hadron carries."""

FLAVOURS = (LIGHT, CHARM, BEAUTY)

FROM_B, FROM_C, PRIMARY, OTHER = 0, 1, 2, 3
"""Where a track comes from: the decay of a b hadron, of a c hadron (also below a b), the collision, anything else."""


def is_beauty(pdg: Array) -> Array:
    """Whether the hadrons carry a b quark, quarkonia excepted."""
    return _carries(5, pdg) & ~_is_quarkonium(5, pdg)


def is_charm(pdg: Array) -> Array:
    """Whether the hadrons carry a c quark and no b quark, quarkonia excepted."""
    return _carries(4, pdg) & ~_carries(5, pdg) & ~_is_quarkonium(4, pdg)


def _is_quarkonium(quark: int, pdg: Array) -> Array:
    """Whether they are mesons of this quark and its antiquark."""
    number = np.abs(pdg)
    found: Array = (number // 1000 % 10 == 0) & (number // 100 % 10 == quark) & (number // 10 % 10 == quark)
    return found


def _carries(quark: int, pdg: Array) -> Array:
    """Whether the digits of a meson or baryon name this quark first."""
    number = np.abs(pdg)
    hadron = (number > 100) & (number < 10_000_000)
    found: Array = hadron & (
        (number // 1000 % 10 == quark) | ((number // 1000 % 10 == 0) & (number // 100 % 10 == quark))
    )
    return found


@dataclass(frozen=True)
class Vertices:
    """Places that tracks come from, grouped by jet; the first of every jet is the primary vertex.

    Attributes:
        jet: which jet, ascending.
        pdg: of the particle that decays there; 0 for the primary vertex.
        parent: place, in the jet's list, of the vertex that this particle came from; -1 for the primary vertex.
        position: (vertices, 3), mm.
    """

    jet: Array
    pdg: Array
    parent: Array
    position: Array


@dataclass(frozen=True)
class Hadrons:
    """Weakly decaying heavy hadrons, grouped by jet; b hadrons first, then c hadrons, hardest first in both.

    Attributes:
        jet: which jet, ascending.
        pdg: of the hadron.
        production: (hadrons, 3), mm.
        decay: (hadrons, 3), mm.
    """

    jet: Array
    pdg: Array
    production: Array
    decay: Array


@dataclass(frozen=True)
class Tracks:
    """Charged particles of the jets, grouped by jet, hardest first.

    Attributes:
        jet: which jet, ascending.
        vertex: place of the vertex in the jet's list.
        origin: FROM_B, FROM_C, PRIMARY or OTHER.
        particle: number of the particle in the generator's event.
        pdg: of the particle.
        charge: in units of e.
        momentum: (tracks, 3), GeV, where it is produced.
        production: (tracks, 3), mm.
    """

    jet: Array
    vertex: Array
    origin: Array
    particle: Array
    pdg: Array
    charge: Array
    momentum: Array
    production: Array


@dataclass(frozen=True)
class TruthJets:
    """Jets with everything that belongs to them; the arrays of the jets themselves have shape (jets,).

    Attributes:
        event: number of the event.
        pt: GeV.
        mass: GeV.
        flavour: LIGHT, CHARM or BEAUTY.
    """

    event: Array
    pt: Array
    eta: Array
    phi: Array
    mass: Array
    flavour: Array
    vertices: Vertices
    hadrons: Hadrons
    tracks: Tracks

    def __len__(self) -> int:
        return len(self.pt)

    def take(self, jets: Array) -> TruthJets:
        """These jets, in this order."""
        own = {name: getattr(self, name)[jets] for name in _OWN}
        return TruthJets(
            vertices=_take(self.vertices, jets, len(self)),
            hadrons=_take(self.hadrons, jets, len(self)),
            tracks=_take(self.tracks, jets, len(self)),
            **own,
        )

    def renumbered(self) -> TruthJets:
        """The same jets, each an event of its own."""
        return replace(self, event=np.arange(len(self)))

    @staticmethod
    def join(parts: Sequence[TruthJets]) -> TruthJets:
        """All jets, one part after the other."""
        first = np.cumsum([0] + [len(part) for part in parts])
        own = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OWN}
        return TruthJets(
            vertices=_join([part.vertices for part in parts], first),
            hadrons=_join([part.hadrons for part in parts], first),
            tracks=_join([part.tracks for part in parts], first),
            **own,
        )


_OWN = ("event", "pt", "eta", "phi", "mass", "flavour")
Part = TypeVar("Part", Vertices, Hadrons, Tracks)


def _take(part: Part, jets: Array, total: int) -> Part:
    """What belongs to these jets, numbered as these jets are."""
    counts = np.bincount(part.jet, minlength=total)
    starts, chosen = np.cumsum(counts) - counts, counts[jets]
    owner = np.repeat(np.arange(len(jets)), chosen)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    place = starts[jets][owner] + within
    rest = (getattr(part, field.name)[place] for field in fields(part)[1:])
    return type(part)(owner, *rest)


def _join(parts: Sequence[Part], first: Array) -> Part:
    """All that belongs to jets of which part i begins with number first[i]."""
    owner = np.concatenate([part.jet + first[number] for number, part in enumerate(parts)])
    rest = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(parts[0])[1:])
    return type(parts[0])(owner, *rest)
