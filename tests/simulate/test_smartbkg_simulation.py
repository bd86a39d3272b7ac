"""Simulated Upsilon(4S) decays: kinematics, decay strings, the layout of the files, and a label that can be learnt."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.readers.base import open_reader
from engine.simulate.belle_particles import SPECIES, channels, charge, conjugate, lowest_mass
from engine.simulate.decay_trees import ELECTRONS, LIGHT, POSITRONS, PRIMARY, RADIATED, Particles, make_trees
from engine.simulate.phase_space import decay
from engine.simulate.smartbkg import decay_strings, simulate
from engine.simulate.tagging import passes

EVENTS = 2000


@pytest.fixture(scope="module")
def trees() -> Particles:
    return make_trees(EVENTS, np.random.default_rng(2))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("smartbkg"), EVENTS, 1, 1)[0]


@pytest.mark.parametrize("mother", sorted(channels()))
def test_channels_conserve_charge_and_are_open(mother: int) -> None:
    assert sum(fraction for fraction, _ in channels()[mother]) == pytest.approx(1)
    for _, daughters in channels()[mother]:
        assert sum(map(charge, daughters)) == charge(mother)
        top = SPECIES[abs(mother)].mass if mother == 300553 else lowest_mass(mother)
        assert sum(map(lowest_mass, daughters)) < top
        assert all(conjugate(conjugate(code)) == code for code in daughters)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("soft", [False, True])
def test_a_decay_conserves_energy_and_momentum(count: int, soft: bool) -> None:
    rng = np.random.default_rng(count)
    mass, masses = np.full(500, 3.0), rng.uniform(0, 0.5, (500, count))
    masses[:, -1] = 0
    momentum = rng.normal(size=(500, 3)) * 4
    mother = np.concatenate([np.sqrt(mass**2 + (momentum**2).sum(1))[:, None], momentum], axis=1)
    daughters = decay(mother, mass, masses, rng, soft)
    np.testing.assert_allclose(daughters.sum(1), mother, atol=1e-10)
    found = daughters[..., 0] ** 2 - (daughters[..., 1:] ** 2).sum(-1)
    np.testing.assert_allclose(found, masses**2, atol=1e-10)


def test_events_have_the_energy_of_the_beams(trees: Particles) -> None:
    final = np.ones(len(trees), dtype=bool)
    final[trees.mother[trees.mother >= 0]] = False
    total = np.zeros((EVENTS, 4))
    np.add.at(total, trees.event[final], trees.momentum[final])
    np.testing.assert_allclose(
        total, np.tile([ELECTRONS + POSITRONS, 0, 0, ELECTRONS - POSITRONS], (EVENTS, 1)), atol=1e-9
    )


def test_mothers_stand_before_their_daughters_in_the_same_event(trees: Particles) -> None:
    has = trees.mother >= 0
    assert (trees.mother[has] < np.flatnonzero(has)).all()
    assert (trees.event[trees.mother[has]] == trees.event[has]).all()
    assert (np.bincount(trees.event, weights=~has) == 1).all()
    assert set(trees.code[~has]) == {300553}
    assert set(np.unique(trees.status)) == {PRIMARY, RADIATED}
    assert (trees.code[trees.status == RADIATED] == 22).all()


def test_particles_fly_as_far_as_their_lifetime_says(trees: Particles) -> None:
    """Proper flight paths of the mothers, from where they are made to where their daughters are."""
    has = trees.mother >= 0
    mother, vertex = trees.mother[has], trees.vertex[has]
    path = np.linalg.norm(vertex[:, 1:] - trees.vertex[mother, 1:], axis=1)
    momentum = np.linalg.norm(trees.momentum[mother, 1:], axis=1)
    first = np.append(True, np.diff(mother) != 0)
    for code in (511, 421, 310):
        here = first & (np.abs(trees.code[mother]) == code)
        proper = path[here] * trees.mass[mother[here]] / momentum[here]
        flight = SPECIES[code].flight
        assert proper.mean() == pytest.approx(flight, abs=4 * flight / np.sqrt(here.sum()))
        speed = path[here] / (vertex[here, 0] - trees.vertex[mother[here], 0])
        np.testing.assert_allclose(speed, LIGHT * momentum[here] / trees.momentum[mother[here], 0], rtol=1e-5)


def test_decay_strings_are_the_trees(trees: Particles) -> None:
    texts = decay_strings(trees, EVENTS)
    below: dict[int, list[int]] = {}
    for number, mother in enumerate(trees.mother.tolist()):
        below.setdefault(mother, []).append(number)

    def written(number: int) -> str:
        inner = [written(each) for each in below.get(number, []) if trees.status[each] == PRIMARY]
        return f" {trees.code[number]} (-->{''.join(inner)} <--)" if inner else f" {trees.code[number]}"

    for event, root in list(enumerate(below[-1]))[:50]:
        assert texts[event] == written(root)


def test_the_file_has_the_layout_of_the_original(file: Path, reference_data: Path) -> None:
    ours = open_reader(str(file), "pandas_hdf")
    theirs = open_reader(str(reference_data / "smartbkg" / "stand_in_300_events.h5"), "pandas_hdf")
    assert list(ours.branches.items()) == list(theirs.branches.items())
    one, two = ours.read(list(ours.branches), 0, 300), theirs.read(list(theirs.branches), 0, 300)
    for name in one:
        assert getattr(one[name], "values", one[name]).dtype == getattr(two[name], "values", two[name]).dtype


def test_mothers_in_the_file_are_numbers_within_the_event(file: Path) -> None:
    found = open_reader(str(file), "pandas_hdf").read(
        ["PDG", "motherPDG", "motherIndex", "arrayIndex", "nDaughters"], 0, 99
    )
    offsets = found["PDG"].offsets
    for first, last in pairwise(offsets):
        code, mother, index, place, daughters = (each.values[first:last] for each in found.values())
        assert place.tolist() == list(range(1, last - first + 1))
        assert (mother[0], index[0]) == (0, 0)
        assert (code[index[1:] - 1] == mother[1:]).all()
        assert np.bincount(index, minlength=last - first + 1)[1:].tolist() == daughters.tolist()


def test_events_are_a_function_of_the_seed_and_numbered_through(tmp_path: Path, file: Path) -> None:
    again = simulate(tmp_path / "again", EVENTS, 1, 1)[0]
    other = simulate(tmp_path / "other", 50, 2, 1)[0]
    one, two, three = (
        open_reader(str(path), "pandas_hdf").read(["energy", "evtNum", "label"], 0, 50) for path in (file, again, other)
    )
    np.testing.assert_array_equal(one["energy"].values, two["energy"].values)
    assert len(three["energy"].values) != len(one["energy"].values)
    assert one["evtNum"].tolist() == list(range(1, 51))


def test_every_particle_has_a_token(repository: Path) -> None:
    vocabulary = json.loads((repository / "specs" / "vocabularies" / "pdg.json").read_text())["tokens"]
    assert len(vocabulary) == len(set(vocabulary)) == 541
    made = {code for mother, every in channels().items() for _, daughters in every for code in (mother, *daughters)}
    assert {*map(str, made), "0", "(-->", "<--)"} <= set(vocabulary)


def test_the_vocabulary_is_what_its_generator_makes(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("particle")
    pytest.importorskip("decaylanguage")
    from engine.simulate.pdg_vocabulary import write

    write(tmp_path / "pdg.json")
    shipped = repository / "specs" / "vocabularies" / "pdg.json"
    assert (tmp_path / "pdg.json").read_text() == shipped.read_text()


def separation(score: np.ndarray[Any, Any], label: np.ndarray[Any, Any]) -> float:
    """Area under the ROC curve, ties counted half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = label.sum()
    return float((rank[label].sum() - positive * (positive + 1) / 2) / (positive * (len(label) - positive)))


def test_the_label_depends_on_the_decay_but_is_never_sure() -> None:
    """A linear fit on the numbers of each particle is far from guessing and from certainty."""
    rng = np.random.default_rng(5)
    particles = make_trees(8000, rng)
    label = passes(particles, 8000, rng)
    assert 0.05 < label.mean() < 0.3
    codes, place = np.unique(particles.code, return_inverse=True)
    counts = np.zeros((8000, len(codes)))
    np.add.at(counts, (particles.event, place), 1.0)
    counts = np.concatenate([counts, np.ones((8000, 1))], axis=1)
    weights = np.linalg.lstsq(counts[:4000], label[:4000].astype(float), rcond=None)[0]
    assert 0.65 < separation(counts[4000:] @ weights, label[4000:]) < 0.95
