"""Particles of the plain toy: what flies out of a jet, and what it decays to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.simulate.jet_truth import BEAUTY, FROM_B, FROM_C, LIGHT, OTHER, PRIMARY, is_beauty
from engine.simulate.kinematics import boost, fly, isotropic, momentum_of
from engine.simulate.vertex_lists import PRIMARY_KEY

_PION = 0.1396
_PROTON = 0.9383
_C_PRONGS = [0.08, 0.22, 0.38, 0.22, 0.10]  # how often a c hadron has 0, 1, .. tracks


@dataclass(frozen=True)
class Species:
    """Hadrons of one kind, one array entry each: PDG number, mass (GeV), mean c tau (mm), how often."""

    pdg: Array
    mass: Array
    ctau: Array
    share: Array

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """PDG numbers of either sign, masses and c tau."""
        which = rng.choice(len(self.pdg), size, p=self.share)
        return self.pdg[which] * rng.choice([-1, 1], size), self.mass[which], self.ctau[which]


B_HADRONS = Species(
    np.array([511, 521, 531, 5122]),
    np.array([5.280, 5.279, 5.367, 5.620]),
    np.array([0.4554, 0.4911, 0.4557, 0.4410]),
    np.array([0.40, 0.40, 0.10, 0.10]),
)
C_HADRONS = Species(
    np.array([421, 411, 431, 4122]),
    np.array([1.865, 1.870, 1.968, 2.286]),
    np.array([0.1229, 0.3118, 0.1511, 0.0607]),
    np.array([0.56, 0.26, 0.10, 0.08]),
)
STRANGE = Species(np.array([310, 3122]), np.array([0.4976, 1.1157]), np.array([26.84, 78.9]), np.array([0.75, 0.25]))


@dataclass(frozen=True)
class Flying:
    """Unstable particles, flat: jet, number of the decay, momentum (GeV), where they start and end (mm)."""

    jet: Array
    key: Array
    pdg: Array
    mass: Array
    momentum: Array
    start: Array
    end: Array


@dataclass(frozen=True)
class Charged:
    """Charged particles, flat: jet, decay that they come from, momentum (GeV), start (mm), charge, origin."""

    jet: Array
    key: Array
    momentum: Array
    start: Array
    charge: Array
    origin: Array


def collision(pt: Array, eta: Array, phi: Array, rng: np.random.Generator) -> Charged:
    """Tracks of the collision, which share a part of the jet's transverse momentum."""
    counts = rng.poisson(1.5 + 3.0 * np.log1p(pt / 4))
    jet = np.repeat(np.arange(len(pt)), counts)
    share = rng.exponential(size=len(jet)) ** 1.3
    share *= 0.62 / np.maximum(np.bincount(jet, weights=share, minlength=len(pt)), 1e-9)[jet]
    momentum = _around(share * pt[jet], eta[jet], phi[jet], rng)
    size = len(jet)
    key, origin = np.full(size, PRIMARY_KEY), np.full(size, PRIMARY)
    return Charged(jet, key, momentum, np.zeros((size, 3)), rng.choice([-1, 1], size), origin)


def _around(pt: Array, eta: Array, phi: Array, rng: np.random.Generator) -> Array:
    """Momenta about a direction, with a momentum across it of half a GeV, as hadronisation makes them."""
    across = rng.normal(0, 0.4, (2, len(pt))) / np.maximum(pt, 0.2)
    return momentum_of(pt, eta + across[0], phi + across[1])


def heavy_hadrons(flavour: int, pt: Array, eta: Array, phi: Array, rng: np.random.Generator) -> list[Flying]:
    """The b hadrons and the c hadrons, one of each kind a jet; keys 3 jet and 3 jet + 1."""
    if flavour == LIGHT:
        return []
    jet, momentum = np.arange(len(pt)), _around(np.maximum(pt, 1.0), eta, phi, rng)
    start = np.zeros((len(pt), 3))
    found: list[Flying] = []
    if flavour == BEAUTY:
        pdg, mass, ctau = B_HADRONS.draw(len(pt), rng)
        end = fly(start, momentum, mass, ctau, rng)
        found.append(Flying(jet, 3 * jet, pdg, mass, momentum, start, end))
    pdg, mass, ctau = C_HADRONS.draw(len(pt), rng)
    if flavour == BEAUTY:
        inner = isotropic(len(pt), rng) * np.clip(rng.normal(1.7, 0.4, len(pt)), 0.2, 2.3)[:, None]
        momentum, start = boost(inner, mass, momentum, found[0].mass), found[0].end
    end = fly(start, momentum, mass, ctau, rng)
    return [*found, Flying(jet, 3 * jet + 1, pdg, mass, momentum, start, end)]


def decay(parent: Flying, rng: np.random.Generator) -> Charged:
    """Tracks of heavy hadrons, without the c hadron of a b hadron."""
    beauty = bool(np.all(is_beauty(parent.pdg)))
    low, scale = (2.2, 0.40) if beauty else (2.5, 0.22)
    counts = 1 + rng.poisson(1.8, len(parent.jet)) if beauty else rng.choice(5, len(parent.jet), p=_C_PRONGS)
    row = np.repeat(np.arange(len(parent.jet)), counts)
    inner = isotropic(len(row), rng) * rng.gamma(low, scale, len(row))[:, None]
    momentum = boost(inner, _PION, parent.momentum[row], parent.mass[row])
    origin = np.full(len(row), FROM_B if beauty else FROM_C)
    return Charged(parent.jet[row], parent.key[row], momentum, parent.end[row], rng.choice([-1, 1], len(row)), origin)


def strange_hadrons(pt: Array, eta: Array, phi: Array, first: int, rng: np.random.Generator) -> Flying:
    """A few K0s and Lambda, from the collision; keys from `first` on."""
    jet = np.repeat(np.arange(len(pt)), rng.poisson(0.5, len(pt)))
    pdg, mass, ctau = STRANGE.draw(len(jet), rng)
    momentum = _around(0.3 * rng.uniform(0.1, 1.0, len(jet)) * pt[jet], eta[jet], phi[jet], rng)
    start = np.zeros((len(jet), 3))
    end = fly(start, momentum, mass, ctau, rng)
    return Flying(jet, first + np.arange(len(jet)), pdg, mass, momentum, start, end)


def strange_decays(parent: Flying, rng: np.random.Generator) -> Charged:
    """Two tracks of each, back to back where it is at rest."""
    baryon = np.abs(parent.pdg) == 3122
    inner = isotropic(len(parent.jet), rng) * np.where(baryon, 0.1006, 0.2060)[:, None]
    first = boost(inner, np.where(baryon, _PROTON, _PION), parent.momentum, parent.mass)
    second = boost(-inner, _PION, parent.momentum, parent.mass)
    charge = np.sign(parent.pdg)
    return Charged(
        np.tile(parent.jet, 2),
        np.tile(parent.key, 2),
        np.concatenate([first, second]),
        np.tile(parent.end, (2, 1)),
        np.concatenate([charge, -charge]),
        np.full(2 * len(parent.jet), OTHER),
    )
