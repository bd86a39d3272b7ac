"""Jets of Pythia's events with flavour, heavy hadrons, vertices and tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.simulate.anti_kt import find_jets
from engine.simulate.jet_truth import (
    BEAUTY,
    CHARM,
    FROM_B,
    FROM_C,
    LIGHT,
    OTHER,
    PRIMARY,
    Hadrons,
    Tracks,
    TruthJets,
    Vertices,
)
from engine.simulate.kinematics import azimuth, pseudorapidity, separation, transverse
from engine.simulate.ndive_branches import is_measured
from engine.simulate.pythia_history import History, Particles, trace
from engine.simulate.vertex_lists import PRIMARY_KEY, Decays, arrange_vertices

RADIUS = 0.4
LOWEST, HIGHEST = 23.0, 200.0
"""GeV, of the jets."""

LARGEST_ETA = 2.5
HADRON_DISTANCE, HADRON_PT = 0.3, 5.0
"""A heavy hadron this near and this hard (GeV) gives its flavour to a jet."""

UNCLEAR = -1
"""Flavour of a jet that is left out."""

_FURTHEST = 3.2  # pseudorapidity; particles beyond it are in no jet that is kept
_TAU = 15


@dataclass(frozen=True)
class _Axes:
    """All jets of the events, of any flavour: event (ascending), momentum (jets, 4)."""

    event: Array
    momentum: Array

    def near(self, particles: Particles, rows: Array) -> tuple[Array, Array, Array]:
        """All pairs of one of these particles and a jet of its event: place in `rows`, jet, distance."""
        counts = np.bincount(self.event, minlength=len(particles.offsets) - 1)
        starts, event = np.cumsum(counts) - counts, particles.event[rows]
        which = np.repeat(np.arange(len(rows)), counts[event])
        first = np.cumsum(counts[event]) - counts[event]
        jet = starts[event][which] + np.arange(len(which)) - first[which]
        one, other = particles.momentum[rows][which], self.momentum[jet]
        apart = separation(pseudorapidity(one), azimuth(one), pseudorapidity(other), azimuth(other))
        return which, jet, apart


def make_jets(particles: Particles) -> TruthJets:
    """Jets of a batch of events: those with a clear flavour and two tracks or more.

    The flavour is that of the b, else c hadrons of more than 5 GeV nearer than 0.3 to the axis, each counted for the
    nearest jet. A c jet has no b hadron at all within R, a light jet neither a heavy hadron nor a tau lepton.
    """
    history = trace(particles)
    owner, axes = _jets(particles)
    jet_of_hadron = _assign(particles, history, axes)
    flavour = _flavours(particles, history, axes, jet_of_hadron)
    hadrons, rows = _hadrons(particles, history, jet_of_hadron)
    tracks, vertices = _tracks(particles, history, owner, hadrons, rows, len(flavour))
    p = axes.momentum
    pt, eta = transverse(p), pseudorapidity(p)
    mass = np.sqrt(np.maximum(p[:, 3] ** 2 - np.sum(p[:, :3] ** 2, axis=1), 0.0))
    found = TruthJets(axes.event, pt, eta, azimuth(p), mass, flavour, vertices, hadrons, tracks)
    good = (pt > LOWEST) & (pt < HIGHEST) & (np.abs(eta) < LARGEST_ETA) & (flavour != UNCLEAR)
    return found.take(np.flatnonzero(good & (np.bincount(tracks.jet, minlength=len(pt)) >= 2)))


def _jets(particles: Particles) -> tuple[Array, _Axes]:
    """The jet of each particle, -1 for none; and the jets."""
    rows = np.flatnonzero(particles.visible & (np.abs(pseudorapidity(particles.momentum)) < _FURTHEST))
    counts = np.bincount(particles.event[rows], minlength=len(particles.offsets) - 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    inside, event, momentum = find_jets(offsets, particles.momentum[rows], RADIUS, LOWEST)
    owner = np.full(len(particles.pdg), -1, dtype=np.int64)
    owner[rows] = inside
    return owner, _Axes(event, momentum)


def _assign(particles: Particles, history: History, axes: _Axes) -> Array:
    """The jet that each heavy hadron belongs to, -1 for none; a c hadron from a b hadron goes with it."""
    jet_of = np.full(len(particles.pdg), -1, dtype=np.int64)
    hard = transverse(particles.momentum) > HADRON_PT
    rows = np.flatnonzero((history.beauty | history.charm) & hard)
    which, jet, apart = axes.near(particles, rows)
    order = np.lexsort((apart, which))
    nearest, first = np.unique(which[order], return_index=True)
    close = apart[order][first] < HADRON_DISTANCE
    jet_of[rows[nearest[close]]] = jet[order][first][close]
    charm = np.flatnonzero(history.charm)
    source = history.source[charm]
    below = (source != PRIMARY_KEY) & history.beauty[source]
    below &= jet_of[source] >= 0
    jet_of[charm[below]] = jet_of[source[below]]
    return jet_of


def _flavours(particles: Particles, history: History, axes: _Axes, jet_of_hadron: Array) -> Array:
    """Flavours of the jets, UNCLEAR for those that are not one or the other."""
    jets = len(axes.event)

    def any_of(jet: Array) -> Array:
        return np.bincount(jet, minlength=jets) > 0

    def any_near(rows: Array) -> Array:
        _, jet, apart = axes.near(particles, np.flatnonzero(rows))
        return any_of(jet[apart < RADIUS])

    held = jet_of_hadron >= 0
    beauty, charm = (any_of(jet_of_hadron[held & kind]) for kind in (history.beauty, history.charm))
    near_beauty = any_near(history.beauty)
    empty = ~near_beauty & ~any_near(history.charm | (np.abs(particles.pdg) == _TAU))
    flavour: Array = np.select([beauty, charm & ~near_beauty, empty & ~charm], [BEAUTY, CHARM, LIGHT], UNCLEAR)
    return flavour


def _hadrons(particles: Particles, history: History, jet_of_hadron: Array) -> tuple[Hadrons, Array]:
    """The heavy hadrons of the jets, and their places among the particles."""
    rows = np.flatnonzero(jet_of_hadron >= 0)
    pt = transverse(particles.momentum[rows])
    rows = rows[np.lexsort((-pt, ~history.beauty[rows], jet_of_hadron[rows]))]
    found = Hadrons(jet_of_hadron[rows], particles.pdg[rows], particles.production[rows], history.decay[rows])
    return found, rows


def _tracks(
    particles: Particles, history: History, owner: Array, hadrons: Hadrons, hadron_rows: Array, jets: int
) -> tuple[Tracks, Vertices]:
    """Tracks and vertices of the jets."""
    rows = np.flatnonzero(particles.visible & (owner >= 0) & (particles.charge != 0))
    momentum, production = particles.momentum[:, :3], particles.production
    rows = rows[is_measured(momentum[rows], particles.charge[rows], production[rows])]
    rows = rows[np.lexsort((-transverse(momentum[rows]), owner[rows]))]
    jet, source = owner[rows], history.source[rows]
    decays = _decays(particles, history, jet, source, hadrons, hadron_rows)
    vertices, place = arrange_vertices(jets, decays, jet, source)
    conditions = [source == PRIMARY_KEY, history.beauty[source], history.charm[source]]
    origin = np.select(conditions, [PRIMARY, FROM_B, FROM_C], OTHER)
    number = rows - particles.offsets[particles.event[rows]]
    own = particles.pdg[rows], particles.charge[rows], momentum[rows], production[rows]
    return Tracks(jet, place, origin, number, *own), vertices


def _decays(
    particles: Particles, history: History, jet: Array, source: Array, hadrons: Hadrons, hadron_rows: Array
) -> Decays:
    """The decays that tracks of the jets come from, and those of the heavy hadrons; each once a jet."""
    secondary = source != PRIMARY_KEY
    jets = np.concatenate([hadrons.jet, jet[secondary]])
    keys = np.concatenate([hadron_rows, source[secondary]])
    _, first = np.unique(np.stack([jets, keys]), axis=1, return_index=True)
    jets, keys = jets[first], keys[first]
    listed = first < len(hadron_rows)
    return Decays(jets, keys, history.source[keys], particles.pdg[keys], history.decay[keys], listed)
