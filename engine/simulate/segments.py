"""Segments in the muon spectrometer: punch-through of hard and displaced jets, halo muons, and stray ones."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Column, Jagged
from engine.simulate.jets_of_events import BEAM, DISPLACED, EventJets, wrap
from engine.simulate.tracks import owners

_SHARED = 0.14


def make_segments(jets: EventJets, rng: np.random.Generator) -> dict[str, Column]:
    """Branches of the muon segments (times in ns).

    Those of a halo muon lie at the azimuth of its jet and point along the beam; all others point away from the
    collision.
    """
    events = len(jets.counts)
    mean = np.where(jets.origin == DISPLACED, 0.8 + 5.0 * jets.depth**2, 0.25 + 0.008 * jets.pt)
    counts = rng.poisson(np.where(jets.origin == BEAM, 4.0, mean)) + (jets.origin == BEAM)
    jet = np.repeat(np.arange(len(jets.pt)), counts)
    loose = np.repeat(np.arange(events), 1 + rng.poisson(14, events))
    event = np.concatenate([jets.event[jet], loose])
    mixed = np.lexsort((rng.uniform(size=len(event)), event))
    own = np.concatenate([jet, np.full(len(loose), -1)])[mixed]
    size, inside = len(own), own >= 0
    safe = np.where(inside, own, 0)
    halo = inside & (jets.origin[safe] == BEAM)
    eta = np.where(inside, jets.eta[safe] + rng.normal(0, 0.22, size), rng.uniform(-2.7, 2.7, size))
    phi = np.where(inside, jets.phi[safe] + rng.normal(size=size) * np.where(halo, 0.05, 0.2), _anywhere(size, rng))
    along = rng.choice([-1.0, 1.0], size) * (2.5 + rng.exponential(1.2, size))
    stamped = rng.uniform(size=size) < 0.5  # half of the segments have no time and carry 0
    time = rng.normal(np.where(halo, -8.0, 1.0), 11.0, size)
    columns = {
        "etaPos": np.clip(eta, -2.75, 2.75),
        "phiPos": wrap(phi),
        "etaDir": np.where(halo, along, 1.1 * eta + rng.normal(0, 0.5, size)),
        "phiDir": wrap(phi + rng.normal(0, 0.15, size)),
        "t0": np.where(stamped, time, 0.0).astype(np.float32),
        "chiSquared": rng.lognormal(1.6, 1.3, size).astype(np.float32),
    }
    per_event = np.bincount(event, minlength=events)
    branches: dict[str, Column] = {f"MSeg_{name}": Jagged.from_counts(per_event, v) for name, v in columns.items()}
    branches["MSeg_jetIndex"] = Jagged.from_counts(per_event, owners(jets, own, _SHARED, rng))
    return branches


def _anywhere(size: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Azimuths without a preferred direction."""
    return rng.uniform(-np.pi, np.pi, size)
