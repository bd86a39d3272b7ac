"""Calorimeter clusters of the jets: how many, where, when, and in which of the eight layers their energy is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array, Column
from engine.simulate.jets_of_events import BEAM, DISPLACED, ORDINARY, EventJets, wrap

LAYERS = ("l1ecal", "l2ecal", "l3ecal", "l4ecal", "l1hcal", "l2hcal", "l3hcal", "l4hcal")
_ELECTROMAGNETIC = np.array([0.35, 1.7, 1.3, 0.3, 0.02, 0.04, 0.02, 0.01])
_HADRONIC = np.array([0.04, 0.3, 0.5, 0.15, 0.6, 0.8, 0.35, 0.2])
_SHALLOW = np.array([0.01, 0.1, 0.5, 0.4, 1.5, 1.2, 0.3, 0.1])
_DEEP = np.array([0.01, 0.03, 0.05, 0.05, 0.5, 1.3, 1.2, 0.7])
"""Parameters of the Dirichlet distributions that layer fractions are drawn from."""
_NOISE = 90.0  # MeV a layer
_EMPTY = 0.004  # fraction of jets without a cluster


@dataclass(frozen=True)
class Calibration:
    """What differs between data and simulation in the calorimeter.

    Attributes:
        time: ns added to every cluster.
        presampler: factor on the first electromagnetic layer.
        hadronic: factor on the hadronic layers.
    """

    time: float = 0.0
    presampler: float = 1.0
    hadronic: float = 1.0


SIMULATION = Calibration()


def make_clusters(jets: EventJets, calibration: Calibration, rng: np.random.Generator) -> dict[str, Column]:
    """Branches of the clusters (energies in MeV, times in ns), grouped by jet but not sorted within it."""
    counts = _counts(jets, rng)
    jet = np.repeat(np.arange(len(counts)), counts)
    displaced, beam = jets.origin[jet] == DISPLACED, jets.origin[jet] == BEAM
    eta, phi = _positions(jets, jet, displaced, beam, rng)
    share = rng.exponential(size=len(jet)) ** np.where(displaced | beam, 2.2, 1.4)
    share /= np.maximum(np.bincount(jet, weights=share, minlength=len(counts)), 1e-12)[jet]
    response = np.clip(rng.normal(0.62, 0.09, len(counts)), 0.3, 1.0)
    energy = 1e3 * (jets.pt * response)[jet] * share * np.cosh(eta) + 30.0
    layers = _layers(jets, jet, energy, calibration, rng)
    per_event = np.bincount(jets.event[jet], minlength=len(jets.counts))
    group = EventJets(per_event, *(jets.pt,) * 6)
    branches: dict[str, Column] = {
        "cluster_jetIndex": group.jagged(jets.index[jet].astype(np.int32)),
        "clus_pt": group.jagged(layers.sum(axis=1) / np.cosh(eta)),
        "clus_eta": group.jagged(eta),
        "clus_phi": group.jagged(phi),
        "clus_time": group.jagged(_times(jets, jet, displaced, beam, calibration, rng).astype(np.float32)),
    }
    return branches | {f"clus_{name}": group.jagged(layers[:, i]) for i, name in enumerate(LAYERS)}


def _counts(jets: EventJets, rng: np.random.Generator) -> Array:
    """Clusters of each jet: more in harder jets, fewer in displaced and beam jets, in a few jets none."""
    mean = np.where(jets.origin == ORDINARY, 5.0 + 2.2 * np.log(np.maximum(jets.pt, 6.0) / 5.0), 8.0)
    mean = np.where(jets.origin == BEAM, 4.0, mean)
    counts = np.clip(1 + rng.poisson(mean), 1, 40)
    counts[rng.uniform(size=len(counts)) < _EMPTY] = 0
    return counts


def _positions(
    jets: EventJets, jet: Array, displaced: Array, beam: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """eta and phi: wide in ordinary jets, narrow in displaced ones, a stripe along the beam in beam jets."""
    width = np.where(displaced, 0.07, 0.16)
    eta = jets.eta[jet] + rng.normal(size=len(jet)) * np.where(beam, 0.13, width)
    phi = jets.phi[jet] + rng.normal(size=len(jet)) * np.where(beam, 0.03, width)
    return np.clip(eta, -4.9, 4.9), wrap(phi)


def _layers(jets: EventJets, jet: Array, energy: Array, calibration: Calibration, rng: np.random.Generator) -> Array:
    """Energy in each layer, shape (clusters, 8): fractions of the cluster's energy, and noise where there is any."""
    origin, depth = jets.origin[jet], jets.depth[jet][:, None]
    hadronic = rng.uniform(size=len(jet)) < 0.18
    shape = np.where(hadronic[:, None], _HADRONIC, _ELECTROMAGNETIC)
    deep = rng.uniform(size=len(jet)) < 0.85
    shape = np.where(((origin == DISPLACED) & deep)[:, None], (1 - depth) * _SHALLOW + depth * _DEEP, shape)
    in_tiles = rng.uniform(size=len(jets.pt)) < 0.5  # a halo muon radiates in one place: all clusters of the jet agree
    shape = np.where((origin == BEAM)[:, None], np.where(in_tiles[jet][:, None], _DEEP, _ELECTROMAGNETIC), shape)
    draws = rng.standard_gamma(shape) + 1e-12
    fractions = draws / draws.sum(axis=1, keepdims=True)
    fractions[fractions < 0.01] = 0.0
    response = np.array([calibration.presampler, 1, 1, 1] + 4 * [calibration.hadronic])
    layers = fractions * energy[:, None] * response
    noisy = layers + rng.normal(0.0, _NOISE, layers.shape) * (fractions > 0)
    kept: Array = np.where(noisy.sum(axis=1, keepdims=True) > 1.0, noisy, layers)
    return kept


def _times(
    jets: EventJets,
    jet: Array,
    displaced: Array,
    beam: Array,
    calibration: Calibration,
    rng: np.random.Generator,
) -> Array:
    """Times with the tails that soft clusters have; late in displaced jets, early in beam jets."""
    narrow = np.where(displaced | beam, 1.2, 1.0)
    tail = rng.uniform(size=len(jet)) < np.where(displaced | beam, 0.08, 0.3)
    spread: Array = rng.normal(size=len(jet)) * np.where(tail, 14.0, narrow)
    times: Array = jets.delay[jet] + spread + calibration.time
    return times
