"""Tracks of the inner detector: those in jets, and the many that belong to none."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.simulate.jets_of_events import DISPLACED, ORDINARY, EventJets, wrap

_ACCEPTANCE = 2.5
_SHARED = 0.02  # fraction of tracks in jets that are in the cone of a second one


def make_tracks(jets: EventJets, excess: float, rng: np.random.Generator) -> dict[str, Column]:
    """Branches of the tracks (pT in GeV, impact parameters in mm).

    Args:
        jets: ordinary jets have tracks, displaced and beam jets hardly any.
        excess: factor on the number of tracks in jets, by which data differ from simulation.
        rng: where randomness comes from.
    """
    events = len(jets.counts)
    mean = np.where(jets.origin == ORDINARY, 0.45 * jets.pt**0.56 * excess, 0.6)
    mean = np.where(jets.origin == DISPLACED, 0.9 * excess, mean) * (np.abs(jets.eta) < _ACCEPTANCE)
    jet = np.repeat(np.arange(len(jets.pt)), rng.poisson(mean))
    loose = np.repeat(np.arange(events), 10 + rng.poisson(36, events))
    event = np.concatenate([jets.event[jet], loose])
    mixed = np.lexsort((rng.uniform(size=len(event)), event))  # the file's order says nothing
    own = np.concatenate([jet, np.full(len(loose), -1)])[mixed]
    counts = np.bincount(event, minlength=events)
    columns = _values(jets, own, event[mixed], rng)
    branches: dict[str, Column] = {f"track_{name}": Jagged.from_counts(counts, v) for name, v in columns.items()}
    branches["track_jetIndex"] = Jagged.from_counts(counts, owners(jets, own, _SHARED, rng))
    return branches


def owners(jets: EventJets, own: Array, shared: float, rng: np.random.Generator) -> Jagged:
    """For each object the places of its jets in the event: [-1] for none, sometimes a second jet after the first.

    Args:
        jets: jets of the events.
        own: flat index of the object's jet, -1 for none, shape (objects,).
        shared: fraction of objects with a jet that also belong to another one of the event.
        rng: where randomness comes from.
    """
    inside = own >= 0
    safe = np.where(inside, own, 0)
    first = np.where(inside, jets.index[safe], -1) if len(jets.pt) else np.full(len(own), -1)
    total = np.where(inside, jets.counts[jets.event[safe]], 0) if len(jets.pt) else np.zeros(len(own), dtype=np.int64)
    second = (rng.uniform(size=len(own)) < shared) & (total > 1)
    other = (first + 1 + rng.integers(0, np.maximum(total - 1, 1))) % np.maximum(total, 1)
    counts = 1 + second
    values = np.empty(int(counts.sum()), dtype=np.int32)
    starts = np.cumsum(counts) - counts
    values[starts] = first
    values[starts[second] + 1] = other[second]
    return Jagged.from_counts(counts, values)


def _values(jets: EventJets, own: Array, event: Array, rng: np.random.Generator) -> dict[str, Array]:
    """All branches but the owners, flat."""
    size, inside = len(own), own >= 0
    safe = np.where(inside, own, 0)
    jet_pt, jet_eta, jet_phi = (values[safe] for values in (jets.pt, jets.eta, jets.phi))
    soft = 0.5 * rng.uniform(size=size) ** (-1 / 1.9)
    pt = np.where(inside, 0.5 + rng.exponential(0.07 * jet_pt), np.minimum(soft, 60.0))
    eta = np.where(inside, jet_eta + rng.normal(0, 0.13, size), rng.uniform(-_ACCEPTANCE, _ACCEPTANCE, size))
    phi = np.where(inside, jet_phi + rng.normal(0, 0.13, size), rng.uniform(-np.pi, np.pi, size))
    events = len(jets.counts)
    vertex, multiplicity = rng.normal(0, 40, events), np.clip(rng.normal(55, 22, events), 3, 130).round()
    primary = rng.uniform(size=size) < np.where(inside, 0.85, 0.4)
    displaced = jets.origin[safe] == DISPLACED
    far = rng.uniform(size=size) < np.where(inside & displaced, 0.4, 0.08)
    lost = rng.uniform(size=size) < 0.12
    return {
        "pT": pt,
        "eta": np.clip(eta, -_ACCEPTANCE, _ACCEPTANCE),
        "phi": wrap(phi),
        "d0": rng.normal(size=size) * np.where(far, 4.0, 0.07),
        "z0": np.where(primary, vertex[event] + rng.normal(0, 0.4, size), rng.normal(0, 48, size)),
        "vertex_nParticles": np.where(lost, -1.0, np.where(primary, multiplicity[event], rng.integers(5, 80, size))),
        "chiSquared": rng.gamma(3.8, 10.2, size).astype(np.float32),
        "PixelHits": np.clip(rng.normal(4, 1.3, size), 0, 9).round(),
        "PixelHoles": rng.binomial(1, 0.045, size).astype(np.float64),
        "PixelShared": rng.binomial(1, 0.01, size).astype(np.float64),
        "SCTHits": np.clip(rng.normal(7.9, 2.1, size), 0, 15).round(),
        "SCTHoles": rng.binomial(2, 0.08, size).astype(np.float64),
        "SCTShared": rng.binomial(3, 0.03, size).astype(np.float64),
    }
