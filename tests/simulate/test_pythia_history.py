"""Decays and flavours found in made-up events, without Pythia."""

from __future__ import annotations

import numpy as np
import pytest

from engine.simulate.jet_truth import is_beauty, is_charm
from engine.simulate.pythia_history import Particles, trace
from engine.simulate.vertex_lists import PRIMARY_KEY, Decays, arrange_vertices


@pytest.mark.parametrize(
    ("pdg", "beauty", "charm"),
    [
        *((number, True, False) for number in (511, -521, 531, 541, 513, 5122, -5232, 10531)),
        *((number, False, True) for number in (411, -421, 431, 413, 4122, -4232, 10421)),
        *((number, False, False) for number in (553, 443, 100443, 211, 2212, 310, 3122, 5, 4, 21, 333, 0)),
    ],
)
def test_hadrons_are_sorted_by_their_quarks(pdg: int, beauty: bool, charm: bool) -> None:
    number = np.array([pdg])
    assert (is_beauty(number)[0], is_charm(number)[0]) == (beauty, charm)


def event() -> Particles:
    """g -> B*+ -> B+ (2 mm) -> [D*+ -> D0 (3 mm) -> K- K0s (20 mm) -> pi+ pi-] and pi0 -> e+, and a pion beside it."""
    rows = [  # pdg, final, mother, distance where it was made
        (90, False, 0, 0.0),
        (21, False, 0, 0.0),
        (523, False, 1, 0.0),
        (521, False, 2, 0.0),
        (413, False, 3, 2.0),
        (421, False, 4, 2.0),
        (-321, True, 5, 3.0),
        (310, False, 5, 3.0),
        (211, True, 7, 20.0),
        (-211, True, 7, 20.0),
        (111, False, 3, 2.0),
        (-11, True, 10, 2.001),
        (211, True, 1, 0.0),
        (22, True, 2, 0.0),
    ]
    pdg, final, mother, distance = (np.array(column) for column in zip(*rows, strict=True))
    production = np.outer(distance, [0.6, 0.0, 0.8])
    return Particles(np.array([0, len(rows)]), pdg, final, mother, np.ones((len(rows), 4)), production)


def test_tracks_are_traced_to_the_last_decay_that_flew() -> None:
    history = trace(event())
    assert history.source[[6, 8, 9, 11, 12, 13]].tolist() == [5, 7, 7, 3, PRIMARY_KEY, PRIMARY_KEY]
    assert history.source[[5, 7, 3]].tolist() == [3, 5, PRIMARY_KEY]
    assert np.flatnonzero(history.beauty).tolist() == [3]
    assert np.flatnonzero(history.charm).tolist() == [5]
    assert np.linalg.norm(history.decay[[3, 5, 7]], axis=1) == pytest.approx([2, 3, 20])


def test_the_charge_is_that_of_particles_that_make_tracks() -> None:
    pdg = np.array([211, -321, 2212, 11, -13, 22, 310, -2212])
    nothing = np.zeros((8, 4))
    particles = Particles(np.array([0, 8]), pdg, pdg > 0, np.arange(8), nothing, nothing[:, :3])
    assert particles.charge.tolist() == [1, -1, 1, -1, 1, 0, 0, -1]


def test_vertices_are_in_order_and_the_unused_are_left_out() -> None:
    """Jet 1 has tracks of keys 7 (4 mm) and 3 (1 mm, from 7); 5 is unused, and listed in jet 0 alone."""
    decays = Decays(
        jet=np.array([1, 1, 1, 0]),
        key=np.array([7, 3, 5, 5]),
        parent=np.array([PRIMARY_KEY, 7, PRIMARY_KEY, 99]),
        pdg=np.array([511, 421, 310, 411]),
        position=np.array([[4.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0]]),
        listed=np.array([False, False, False, True]),
    )
    track_jet, track_key = np.array([0, 1, 1, 1]), np.array([PRIMARY_KEY, 3, 7, PRIMARY_KEY])
    vertices, place = arrange_vertices(3, decays, track_jet, track_key)
    assert vertices.jet.tolist() == [0, 0, 1, 1, 1, 2]
    assert vertices.pdg.tolist() == [0, 411, 0, 421, 511, 0]
    assert vertices.parent.tolist() == [-1, 0, -1, 2, 0, -1]
    assert vertices.position[:, 0].tolist() == [0, 3, 0, 1, 4, 0]
    assert place.tolist() == [0, 1, 2, 0]
