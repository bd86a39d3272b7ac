"""Anti-kT jets (arXiv 0802.1189) of many events, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from engine.data.columns import Array


def find_jets(offsets: Array, momenta: Array, radius: float, lowest_pt: float) -> tuple[Array, Array, Array]:
    """Jets of events, with the E scheme; hardest first in each event.

    Args:
        offsets: (events + 1,): event i has the particles from offsets[i] up to offsets[i + 1].
        momenta: (particles, 4) px, py, pz, energy, GeV.
        radius: R of the algorithm.
        lowest_pt: GeV; softer jets are dropped.

    Returns:
        Number of the jet of each particle, -1 for none; the event of each jet; momenta of the jets (jets, 4).
    """
    owner = np.full(len(momenta), -1, dtype=np.int64)
    events, jets = [], []
    first = 0
    for event in range(len(offsets) - 1):
        start, stop = int(offsets[event]), int(offsets[event + 1])
        inside, found = _cluster(momenta[start:stop], radius * radius)
        hard = np.flatnonzero(np.hypot(found[:, 0], found[:, 1]) > lowest_pt)
        hard = hard[np.argsort(-np.hypot(found[hard, 0], found[hard, 1]), kind="stable")]
        number = np.full(len(found), -1, dtype=np.int64)
        number[hard] = first + np.arange(len(hard))
        owner[start:stop] = number[inside]
        first += len(hard)
        events.append(np.full(len(hard), event))
        jets.append(found[hard])
    if not events:
        return owner, np.zeros(0, dtype=np.int64), np.zeros((0, 4))
    return owner, np.concatenate(events), np.concatenate(jets)


def _cluster_event(momenta: Any, radius2: float) -> Any:
    """All jets of one event: the jet of each particle, and their momenta.

    Every object remembers its nearest neighbour in rapidity and azimuth: the smallest anti-kT distance is always that
    of such a pair, or to the beam, so that a step looks at each object once.
    """
    total = len(momenta)
    p = momenta.copy()
    label = np.arange(total)  # the object that each particle is in
    alive = np.arange(total)  # the first `left` of these are the objects that there are
    y, phi, weight = np.empty(total), np.empty(total), np.empty(total)
    near, distance = np.full(total, -1), np.full(total, radius2)
    for i in range(total):
        _place(p, i, y, phi, weight)
    for i in range(total):
        _nearest(i, alive, y, phi, near, distance, radius2)
    jets = np.zeros((total, 4))
    count = 0
    inside = np.full(total, -1)
    for left in range(total, 0, -1):
        slot, best = 0, np.inf
        for s in range(left):
            k = alive[s]
            least = weight[k] if near[k] < 0 else min(weight[k], weight[near[k]])
            if distance[k] * least < best:
                slot, best = s, distance[k] * least
        i = alive[slot]
        j = near[i]
        alive[slot] = alive[left - 1]
        rest = alive[: left - 1]
        for k in range(total):
            if label[k] == i:
                label[k] = j
                if j < 0:
                    inside[k] = count
        if j < 0:
            jets[count] = p[i]
            count += 1
        else:
            p[j] += p[i]
            _place(p, j, y, phi, weight)
        for k in rest:
            if k == j or near[k] == i or (j >= 0 and near[k] == j):
                _nearest(k, rest, y, phi, near, distance, radius2)
            elif j >= 0:
                apart = _apart(k, j, y, phi)
                if apart < distance[k]:
                    distance[k], near[k] = apart, j
    return inside, jets[:count]


def _place_of(p: Any, i: int, y: Any, phi: Any, weight: Any) -> None:
    """Rapidity, azimuth and 1/pT^2 of an object."""
    pt2 = max(p[i, 0] ** 2 + p[i, 1] ** 2, 1e-40)
    mt2 = max(p[i, 3] ** 2 - p[i, 2] ** 2, pt2)
    y[i] = np.sign(p[i, 2]) * np.log((p[i, 3] + abs(p[i, 2])) / np.sqrt(mt2))
    phi[i] = np.arctan2(p[i, 1], p[i, 0])
    weight[i] = 1 / pt2


def _distance(i: int, j: int, y: Any, phi: Any) -> Any:
    """Squared distance of two objects in rapidity and azimuth."""
    turn = abs(phi[i] - phi[j])
    if turn > np.pi:
        turn = 2 * np.pi - turn
    return (y[i] - y[j]) ** 2 + turn * turn


def _nearest_to(i: int, alive: Any, y: Any, phi: Any, near: Any, distance: Any, radius2: float) -> None:
    """The nearest object within the radius, and its squared distance; else the beam, at the radius."""
    near[i], distance[i] = -1, radius2
    for k in alive:
        if k != i:
            apart = _apart(i, k, y, phi)
            if apart < distance[i]:
                near[i], distance[i] = k, apart


_compile = numba.njit(cache=True)
_place = _compile(_place_of)
_apart = _compile(_distance)
_nearest = _compile(_nearest_to)
_cluster = _compile(_cluster_event)
