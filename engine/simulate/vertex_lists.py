"""Which vertices a jet has, in which order, and which of them each track comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.simulate.jet_truth import Vertices

PRIMARY_KEY = -1
"""Stands for the primary vertex where a decay is named by its key."""


@dataclass(frozen=True)
class Decays:
    """Decays in jets, in any order; a key names a decay, and no key occurs twice in a jet.

    Attributes:
        jet: which jet.
        key: >= 0.
        parent: key of the decay that the particle came from, or PRIMARY_KEY.
        pdg: of the particle.
        position: (decays, 3), mm.
        listed: whether the vertex is listed even without tracks.
    """

    jet: Array
    key: Array
    parent: Array
    pdg: Array
    position: Array
    listed: Array


def arrange_vertices(jets: int, decays: Decays, track_jet: Array, track_key: Array) -> tuple[Vertices, Array]:
    """The vertices of each jet, primary first, then by distance; and the place of each track's vertex in this list.

    Decays without tracks are left out unless `listed`. A particle from a decay that is not in the list counts as
    coming from the primary vertex.

    Args:
        jets: number of jets.
        decays: what may become a vertex; holds the decay of every track.
        track_jet: jet of each track.
        track_key: its decay, or PRIMARY_KEY.
    """
    span = 2 + max(int(decays.key.max(initial=0)), int(decays.parent.max(initial=0)))
    used = np.isin(decays.jet * span + decays.key, track_jet * span + track_key) | decays.listed
    jet = np.concatenate([np.arange(jets), decays.jet[used]])
    key = np.concatenate([np.full(jets, PRIMARY_KEY), decays.key[used]])
    position = np.concatenate([np.zeros((jets, 3)), decays.position[used]])
    order = np.lexsort((np.linalg.norm(position, axis=1), key != PRIMARY_KEY, jet))
    jet, key, position = jet[order], key[order], position[order]
    pdg = np.concatenate([np.zeros(jets, dtype=np.int64), decays.pdg[used]])[order]
    parent_key = np.concatenate([np.full(jets, PRIMARY_KEY), decays.parent[used]])[order]

    def place(of_jet: Array, of_key: Array) -> Array:
        """Place in the jet's list; 0 for what is not listed."""
        names = jet * span + key + 1
        sorted_by_name = np.argsort(names)
        wanted = of_jet * span + of_key + 1
        found = np.minimum(np.searchsorted(names, wanted, sorter=sorted_by_name), len(names) - 1)
        row = sorted_by_name[found]
        return np.where(names[row] == wanted, row - np.searchsorted(jet, of_jet), 0)

    parent = np.where(key == PRIMARY_KEY, -1, place(jet, parent_key))
    return Vertices(jet, pdg, parent, position), place(track_jet, track_key)
