"""Long-lived particles: a Higgs-like boson decays to two of them, and each decays somewhere in the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.simulate.jets_of_events import DISPLACED, LIGHT, EventJets, ordinary, wrap

FRONT, BACK = 1.2, 4.0  # m, where the calorimeters of the barrel start and end
CAP_FRONT, CAP_BACK = 3.5, 6.0  # m, the same along the beam for the end caps
_RECOIL = 75.0  # GeV, mean transverse momentum of the boson; events with less do not pass the triggers


@dataclass(frozen=True)
class LongLived:
    """The particles of a block of events, two an event: those of event i are 2 i and 2 i + 1.

    pt in GeV; transverse and longitudinal decay distances in mm, as in the ntuples; `delay` in ns is what the particle
    loses on the way against light.
    """

    pt: Array
    eta: Array
    phi: Array
    transverse: Array
    longitudinal: Array
    delay: Array


def long_lived(events: int, boson: float, scalar: float, lifetime: float, rng: np.random.Generator) -> LongLived:
    """Decays of a boson to two scalars (masses in GeV, lifetime as c tau in m), back to back in its rest frame."""
    momentum = np.sqrt(boson**2 / 4 - scalar**2)
    cosine, angle = rng.uniform(-1, 1, events), rng.uniform(-np.pi, np.pi, events)
    sine = np.sqrt(1 - cosine**2)
    along = momentum * np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine])
    p = np.concatenate([along, -along], axis=1).reshape(3, 2, events).transpose(0, 2, 1)
    energy = np.full((events, 2), boson / 2)
    kick, direction = rng.exponential(_RECOIL, events), rng.uniform(-np.pi, np.pi, events)
    boost = np.stack([kick * np.cos(direction), kick * np.sin(direction), boson * rng.normal(0, 0.9, events)])
    p, energy = _boosted(p, energy, boost[:, :, None] / np.sqrt((boost**2).sum(axis=0) + boson**2)[:, None])
    px, py, pz = (component.reshape(-1) for component in p)
    total, pt = np.sqrt(px**2 + py**2 + pz**2), np.hypot(px, py)
    flight = total / scalar * rng.exponential(lifetime, 2 * events)  # m
    delay = flight * (energy.reshape(-1) / total - 1) / LIGHT
    return LongLived(
        pt, np.arcsinh(pz / pt), np.arctan2(py, px), 1e3 * flight * pt / total, 1e3 * flight * pz / total, delay
    )


def _boosted(p: Array, energy: Array, beta: Array) -> tuple[Array, Array]:
    """Momenta, (3, events, 2), and energies in the frame in which their mother moves with `beta`, (3, events, 1)."""
    square = (beta**2).sum(axis=0)
    gamma = 1 / np.sqrt(1 - square)
    parallel = (p * beta).sum(axis=0)
    factor = (gamma - 1) * parallel / square + gamma * energy
    return p + factor * beta, gamma * (energy + parallel)


def decay_jets(particles: LongLived, rng: np.random.Generator) -> tuple[Array, EventJets]:
    """Jets of the particles with the event of each: displaced if the decay is in a calorimeter, ordinary if before."""
    radius, distance = particles.transverse / 1e3, np.abs(particles.longitudinal) / 1e3
    central = np.abs(particles.eta) < 1.4
    place = np.where(central, radius, distance)
    front, back = np.where(central, FRONT, CAP_FRONT), np.where(central, BACK, CAP_BACK)
    depth = (place - front) / (back - front)
    visible = (depth < 1) & (np.abs(particles.eta) < 4.5)
    inside = visible & (depth > 0)
    jets = ordinary(
        particles.pt * np.clip(rng.normal(0.9, 0.12, len(depth)), 0.3, 1.3) + 6.0,
        particles.eta + rng.normal(0, 0.03, len(depth)),
        wrap(particles.phi + rng.normal(0, 0.03, len(depth))),
    )
    marked = EventJets(
        jets.counts,
        jets.pt,
        jets.eta,
        jets.phi,
        np.where(inside, DISPLACED, jets.origin),
        np.where(inside, depth, 0.0),
        np.where(inside, np.minimum(particles.delay, 20.0), 0.0),
    )
    event = np.arange(len(depth)) // 2
    kept = np.flatnonzero(visible)
    names = (marked.pt, marked.eta, marked.phi, marked.origin, marked.depth, marked.delay)
    return event[kept], EventJets(np.array([len(kept)]), *(values[kept] for values in names))
