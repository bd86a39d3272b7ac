"""The jets of simulated events: where they are, how hard, and what made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.data.columns import Array, Jagged

ORDINARY, DISPLACED, BEAM = 0, 1, 2
"""What made a jet: a parton of the collision or of pile-up, a decay in the calorimeter, a muon of the beam's halo."""

CALORIMETER_RADIUS = 2.0  # m, where the electromagnetic calorimeter ends and the hadronic one starts
LIGHT = 0.299792458  # m/ns
LARGEST_ETA = 4.6


@dataclass(frozen=True)
class EventJets:
    """Jets of a block of events, flat; the arrays have shape (jets,).

    Attributes:
        counts: jets of each event, shape (events,).
        pt: GeV.
        origin: ORDINARY, DISPLACED or BEAM.
        depth: for displaced jets how far into the calorimeter the decay was, 0 (its front) to 1 (its back).
        delay: ns that the whole jet is late (displaced) or early (beam).
    """

    counts: Array
    pt: Array
    eta: Array
    phi: Array
    origin: Array
    depth: Array
    delay: Array

    @property
    def event(self) -> Array:
        """Event of each jet."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def index(self) -> Array:
        """Place of each jet in its event."""
        starts = np.cumsum(self.counts) - self.counts
        index: Array = np.arange(len(self.pt)) - np.repeat(starts, self.counts)
        return index

    def jagged(self, values: Array) -> Jagged:
        """Values of the jets as one list an event."""
        return Jagged.from_counts(self.counts, values)

    def take(self, order: Array) -> EventJets:
        """The jets at these places, of the same events."""
        names = ("pt", "eta", "phi", "origin", "depth", "delay")
        event = self.event[order]
        taken: dict[str, Any] = {name: getattr(self, name)[order] for name in names}
        return replace(self, counts=np.bincount(event, minlength=len(self.counts)), **taken)


def wrap(phi: Array) -> Array:
    """Angles in [-pi, pi)."""
    wrapped: Array = (phi + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def join(events: int, *parts: tuple[Array, EventJets]) -> EventJets:
    """All jets of the events, each part with the event of each of its jets; hardest first in every event."""
    event = np.concatenate([part[0] for part in parts])
    jets = [part[1] for part in parts]
    pt = np.concatenate([jet.pt for jet in jets])
    order = np.lexsort((-pt, event))
    columns = {
        name: np.concatenate([getattr(jet, name) for jet in jets])[order]
        for name in ("pt", "eta", "phi", "origin", "depth", "delay")
    }
    return EventJets(counts=np.bincount(event, minlength=events), **columns)


def ordinary(pt: Array, eta: Array, phi: Array) -> EventJets:
    """Jets of the collision."""
    nothing = np.zeros(len(pt))
    origin = np.full(len(pt), ORDINARY)
    return EventJets(
        np.array([len(pt)]), pt, np.clip(eta, -LARGEST_ETA, LARGEST_ETA), wrap(phi), origin, nothing, nothing
    )


def soft_jets(events: int, mean: float, rng: np.random.Generator) -> tuple[Array, EventJets]:
    """Pile-up and radiation: a few jets of 7 to 60 GeV in every event, at least one."""
    counts = 1 + rng.poisson(mean, events)
    event = np.repeat(np.arange(events), counts)
    total = len(event)
    pt = 7.0 + rng.exponential(9.0, total) + rng.exponential(3.0, total)
    return event, ordinary(pt, rng.normal(0.0, 1.9, total), rng.uniform(-np.pi, np.pi, total))


def dijets(events: int, low: Array, high: Array, rng: np.random.Generator) -> tuple[Array, EventJets]:
    """Two balanced hard jets an event with a spectrum falling as pt^-5 between the limits, shape (events,) in GeV."""
    u = rng.uniform(size=events)
    lead = (low**-4.0 + u * (high**-4.0 - low**-4.0)) ** -0.25
    second = lead * np.clip(rng.normal(0.85, 0.12, events), 0.3, 1.0)
    phi = rng.uniform(-np.pi, np.pi, events)
    event = np.concatenate([np.arange(events)] * 2)
    away = phi + np.pi + rng.normal(0.0, 0.15, events)
    eta = rng.normal(0.0, 1.2, 2 * events)
    return event, ordinary(np.concatenate([lead, second]), eta, np.concatenate([phi, away]))


def beam_jet(events: int, rng: np.random.Generator) -> tuple[Array, EventJets]:
    """One jet an event that a halo muon radiated: in the accelerator's plane, and too early.

    Halo particles fly along the beam line with a bunch, so at (R, z) they are (|z| -+ z - sqrt(R^2 + z^2)) / c off a
    particle that comes from the collision: up to twice the flight time early upstream, less downstream.
    """
    pt = 42.0 + rng.exponential(35.0, events)
    eta = np.clip(rng.normal(0.0, 0.9, events), -2.4, 2.4)
    phi = wrap(rng.choice([0.0, np.pi], events) + rng.normal(0.0, 0.12, events))
    z = CALORIMETER_RADIUS * np.sinh(eta) * rng.choice([-1.0, 1.0], events)
    delay = (z - np.hypot(CALORIMETER_RADIUS, z)) / LIGHT
    jets = EventJets(np.array([events]), pt, eta, phi, np.full(events, BEAM), np.zeros(events), delay)
    return np.arange(events), jets
