"""Jets with b and c decays from a few distributions: nothing but NumPy, and thousands a second.

A b jet holds a b hadron that decays to tracks and a c hadron, which flies on; a c jet holds a c hadron; every jet has
tracks of the collision and now and then a K0s or a Lambda. Decays are isotropic in the rest frame with the lifetimes
and masses of nature, so that impact parameters have the right size. Not imitated: momentum balance, neutral particles,
semileptonic decays, gluon splitting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.columns import Array
from engine.simulate import ndive_files
from engine.simulate.jet_truth import BEAUTY, CHARM, FLAVOURS, LIGHT, Hadrons, Tracks, TruthJets
from engine.simulate.kinematics import azimuth, pseudorapidity, separation, transverse
from engine.simulate.ndive_branches import is_measured
from engine.simulate.toy_decays import (
    Charged,
    Flying,
    collision,
    decay,
    heavy_hadrons,
    strange_decays,
    strange_hadrons,
)
from engine.simulate.vertex_lists import PRIMARY_KEY, Decays, arrange_vertices

if TYPE_CHECKING:
    from engine.progress import Progress

LOWEST, HIGHEST = 23.0, 200.0
"""GeV, of the jets."""

LARGEST_ETA = 2.2
RADIUS = 0.4


def simulate(
    directory: Path, events: int, seed: int = 1, workers: int = 1, progress: Progress | None = None
) -> list[Path]:
    """Write files of toy jets; `events` jets of each flavour. See `ndive_files.write_files`."""
    return ndive_files.write_files(__name__, directory, events, seed, workers, progress)


def make_sample(jets: int, rng: np.random.Generator) -> TruthJets:
    """As many jets of each flavour, one flavour after the other; every jet is an event of its own."""
    return TruthJets.join([make_jets(flavour, jets, rng) for flavour in FLAVOURS]).renumbered()


def make_jets(flavour: int, jets: int, rng: np.random.Generator) -> TruthJets:
    """Jets of one flavour with at least two tracks each.

    Args:
        flavour: LIGHT, CHARM or BEAUTY.
        jets: how many.
        rng: where randomness comes from.
    """
    parts: list[TruthJets] = []
    missing = jets
    while missing > 0 or not parts:
        tried = _try_jets(flavour, missing + missing // 8 + 8, rng)
        enough = np.bincount(tried.tracks.jet, minlength=len(tried)) >= 2
        parts.append(tried.take(np.flatnonzero(enough)[:missing]))
        missing -= len(parts[-1])
    return TruthJets.join(parts)


def _try_jets(flavour: int, jets: int, rng: np.random.Generator) -> TruthJets:
    """Jets of one flavour, whatever number of tracks they have."""
    pt = LOWEST / (1 - rng.uniform(size=jets) * (1 - LOWEST / HIGHEST))  # falls with the square
    eta, phi = rng.uniform(-LARGEST_ETA, LARGEST_ETA, jets), rng.uniform(-np.pi, np.pi, jets)
    share = {LIGHT: np.zeros(jets), CHARM: rng.beta(4, 3, jets), BEAUTY: rng.beta(7, 3, jets)}[flavour]
    heavy = heavy_hadrons(flavour, pt * share, eta, phi, rng)
    strange = strange_hadrons(pt * (1 - share), eta, phi, 3 * jets, rng)
    parts = [collision(pt * (1 - share), eta, phi, rng), strange_decays(strange, rng)]
    parts += [decay(flying, rng) for flying in heavy]
    charged = Charged(*(np.concatenate(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True)))
    inside = is_measured(charged.momentum, charged.charge, charged.start)
    axis = eta[charged.jet], phi[charged.jet]
    inside &= separation(pseudorapidity(charged.momentum), azimuth(charged.momentum), *axis) < RADIUS
    order = np.lexsort((-transverse(charged.momentum), charged.jet))
    charged = Charged(*(values[order[inside[order]]] for values in vars(charged).values()))
    return _assembled((pt, eta, phi), flavour, heavy, strange, charged)


def _assembled(
    axis: tuple[Array, Array, Array], flavour: int, heavy: list[Flying], strange: Flying, charged: Charged
) -> TruthJets:
    """The jets with their vertices, hadrons and tracks."""
    jets = len(axis[0])
    vertices, place = arrange_vertices(jets, _decays(heavy, strange), charged.jet, charged.key)
    number = np.arange(len(charged.jet)) - np.searchsorted(charged.jet, charged.jet)
    particles = number, 211 * charged.charge, charged.charge
    tracks = Tracks(charged.jet, place, charged.origin, *particles, charged.momentum, charged.start)
    event, flavours = np.arange(jets), np.full(jets, flavour)
    return TruthJets(event, *axis, _mass(axis[0], tracks), flavours, vertices, _hadrons(heavy), tracks)


def _decays(heavy: list[Flying], strange: Flying) -> Decays:
    """All decays; a c hadron beside a b hadron came from it."""
    parts = []
    for number, part in enumerate([*heavy, strange]):
        parent = heavy[0].key if number == 1 and part is not strange else np.full(len(part.key), PRIMARY_KEY)
        listed = np.full(len(part.key), part is not strange)
        parts.append((part.jet, part.key, parent, part.pdg, part.end, listed))
    return Decays(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _hadrons(heavy: list[Flying]) -> Hadrons:
    """The heavy hadrons, by jet, b before c."""
    if not heavy:
        nothing = np.zeros(0, dtype=np.int64)
        return Hadrons(nothing, nothing, np.zeros((0, 3)), np.zeros((0, 3)))
    parts = zip(*((part.jet, part.pdg, part.start, part.end) for part in heavy), strict=True)
    jet, *rest = (np.concatenate(column) for column in parts)
    order = np.argsort(jet, kind="stable")
    return Hadrons(jet[order], *(column[order] for column in rest))


def _mass(pt: Array, tracks: Tracks) -> Array:
    """Masses of the jets: those of the tracks, made larger by what they lack of the transverse momentum."""
    energy = np.sqrt(np.sum(tracks.momentum**2, axis=1) + 0.1396**2)
    four = np.column_stack([energy, tracks.momentum])
    total = np.stack([np.bincount(tracks.jet, weights=column, minlength=len(pt)) for column in four.T])
    square = total[0] ** 2 - np.sum(total[1:] ** 2, axis=0)
    mass: Array = np.sqrt(np.maximum(square, 0.0)) * pt / np.maximum(np.hypot(total[1], total[2]), 1.0)
    return mass
