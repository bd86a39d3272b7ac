"""Anti-kT jets against the definition of the algorithm."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.columns import Array
from engine.simulate.anti_kt import find_jets

RADIUS = 0.4


def particles(size: int, rng: np.random.Generator) -> Array:
    """Momenta (size, 4): a few narrow sprays and soft ones everywhere."""
    pt = rng.exponential(3.0, size) + 0.05
    eta, phi = rng.uniform(-2, 2, size), rng.uniform(-np.pi, np.pi, size)
    spray = rng.integers(0, 3, size)
    inside = rng.uniform(size=size) < 0.6
    eta = np.where(inside, np.array([0.3, -1.2, 1.0])[spray] + rng.normal(0, 0.25, size), eta)
    phi = np.where(inside, np.array([3.1, 0.0, -1.0])[spray] + rng.normal(0, 0.25, size), phi)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + 0.02)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1)


def by_definition(momenta: Array) -> list[tuple[Array, list[int]]]:
    """Jets found by looking at all pairs in every step."""
    objects = [(p, [i]) for i, p in enumerate(momenta)]
    jets = []
    while objects:
        p = np.array([item[0] for item in objects])
        weight = 1 / (p[:, 0] ** 2 + p[:, 1] ** 2)
        y, phi = np.arctanh(p[:, 2] / p[:, 3]), np.arctan2(p[:, 1], p[:, 0])
        turn = (phi[:, None] - phi + np.pi) % (2 * np.pi) - np.pi
        distance = np.minimum(weight[:, None], weight) * ((y[:, None] - y) ** 2 + turn**2) / RADIUS**2
        np.fill_diagonal(distance, weight)
        i, j = sorted(np.unravel_index(np.argmin(distance), distance.shape))
        if i == j:
            jets.append(objects.pop(i))
        else:
            second, first = objects.pop(j), objects.pop(i)
            objects.append((first[0] + second[0], first[1] + second[1]))
    return jets


@pytest.mark.parametrize("seed", range(6))
def test_jets_are_those_of_the_definition(seed: int) -> None:
    momenta = particles(60, np.random.default_rng(seed))
    owner, event, jets = find_jets(np.array([0, 60]), momenta, RADIUS, 5.0)
    expected = [jet for jet in by_definition(momenta) if np.hypot(*jet[0][:2]) > 5.0]
    expected.sort(key=lambda jet: -np.hypot(*jet[0][:2]))
    assert len(expected) >= 3
    assert event.tolist() == [0] * len(expected)
    for number, (momentum, members) in enumerate(expected):
        assert jets[number] == pytest.approx(momentum, rel=1e-9)
        assert np.flatnonzero(owner == number).tolist() == sorted(members)
    assert np.sum(owner == -1) == 60 - sum(len(members) for _, members in expected)


def test_events_are_clustered_one_by_one() -> None:
    rng = np.random.default_rng(3)
    events = [particles(size, rng) for size in (40, 0, 1, 30)]
    offsets = np.cumsum([0] + [len(event) for event in events])
    owner, event, jets = find_jets(offsets, np.concatenate(events), RADIUS, 4.0)
    alone = [find_jets(np.array([0, len(p)]), p, RADIUS, 4.0)[2] for p in events]
    assert np.array_equal(jets, np.concatenate(alone))
    assert np.bincount(event, minlength=4).tolist() == [len(found) for found in alone]
    for number in range(len(jets)):
        inside = np.flatnonzero(owner == number)
        assert np.all((inside >= offsets[event[number]]) & (inside < offsets[event[number] + 1]))
        assert np.concatenate(events)[inside].sum(axis=0) == pytest.approx(jets[number])


def test_no_event_has_no_jets() -> None:
    owner, event, jets = find_jets(np.array([0]), np.zeros((0, 4)), RADIUS, 4.0)
    assert (owner.shape, event.shape, jets.shape) == ((0,), (0,), (0, 4))
