"""Jets made by Pythia 8: flavours, vertices and lifetimes; skipped where it is not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from engine.errors import UsageError
from engine.simulate import ndive_pythia
from engine.simulate.anti_kt import find_jets
from engine.simulate.jet_truth import BEAUTY, CHARM, FLAVOURS, FROM_B, FROM_C, LIGHT, PRIMARY, TruthJets
from engine.simulate.kinds import simulator
from engine.simulate.ndive_branches import TREE, make_branches
from engine.simulate.ndive_pythia import EDGES, QCD, TOP_PAIRS, Process, _collect, make_sample
from engine.simulate.pythia_history import read_batch, trace

JETS = 100


def needed() -> Any:
    """Pythia's module, or the test is skipped."""
    return pytest.importorskip("pythia8mc", reason="Pythia 8 is not installed: pip install 'engine[simulate]'")


def started(process: Process) -> Any:
    """A generator of one process."""
    generator = needed().Pythia("", False)
    for line in (*ndive_pythia._COMMON, "Random:seed = 3", *process.settings):
        generator.readString(line)
    generator.init()
    return generator


def test_a_missing_pythia_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(UsageError, match=r"pip install 'engine\[simulate\]'"):
        simulator("ndive", "pythia")(tmp_path / "none", 10, 1, 1, None)
    assert not (tmp_path / "none").exists()


@pytest.fixture(scope="module")
def sample() -> TruthJets:
    """JETS jets of each flavour."""
    needed()
    return make_sample(JETS, np.random.default_rng(4))


def hadrons_of(sample: TruthJets, flavour: int) -> np.ndarray:
    """Flights (mm) of the first hadron of each jet of a flavour."""
    jets, first = np.unique(sample.hadrons.jet, return_index=True)
    chosen = first[sample.flavour[jets] == flavour]
    return np.linalg.norm(sample.hadrons.decay[chosen] - sample.hadrons.production[chosen], axis=1)


def test_every_flavour_has_as_many_jets_and_the_same_spectrum(sample: TruthJets) -> None:
    counts = [np.histogram(sample.pt[sample.flavour == flavour], EDGES)[0] for flavour in FLAVOURS]
    assert [count.sum() for count in counts] == [JETS] * 3
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[2])


def test_vertices_are_where_their_tracks_come_from(sample: TruthJets) -> None:
    vertices, tracks = sample.vertices, sample.tracks
    first = np.searchsorted(vertices.jet, np.arange(len(sample)))
    row = first[tracks.jet] + tracks.vertex
    assert np.linalg.norm(vertices.position[row] - tracks.production, axis=1).max() < 0.03
    assert np.array_equal(tracks.origin == PRIMARY, tracks.vertex == 0)
    child = np.flatnonzero(vertices.parent > 0)
    parent = first[vertices.jet[child]] + vertices.parent[child]
    assert np.array_equal(vertices.jet[child], vertices.jet[parent])
    assert len(child) > JETS / 2
    assert set(vertices.pdg[first]) == {0}


def test_heavy_hadrons_are_in_heavy_jets_alone_and_fly_as_far_as_in_nature(sample: TruthJets) -> None:
    hadrons = sample.hadrons
    assert not np.any(sample.flavour[hadrons.jet] == LIGHT)
    assert 2 < np.median(hadrons_of(sample, BEAUTY)) < 9
    assert 1 < np.median(hadrons_of(sample, CHARM)) < 6
    kinds = np.abs(hadrons.pdg)
    assert np.mean(kinds[sample.flavour[hadrons.jet] == CHARM] == 421) == pytest.approx(0.57, abs=0.12)
    below = np.flatnonzero((np.diff(hadrons.jet) == 0) & (sample.flavour[hadrons.jet[1:]] == BEAUTY)) + 1
    together = np.linalg.norm(hadrons.production[below] - hadrons.decay[below - 1], axis=1) < 0.03
    assert np.mean(together) > 0.7
    vertices = {tuple(place) for place in sample.vertices.position}
    assert {tuple(place) for place in hadrons.decay} <= vertices


def test_tracks_of_heavy_decays_are_in_heavy_jets(sample: TruthJets) -> None:
    tracks = sample.tracks
    part = {}
    for flavour in FLAVOURS:
        origins = tracks.origin[sample.flavour[tracks.jet] == flavour]
        part[flavour] = np.bincount(origins, minlength=4) / len(origins)
    assert part[LIGHT][FROM_B] + part[LIGHT][FROM_C] < 0.02
    assert part[LIGHT][PRIMARY] > 0.9
    assert part[CHARM][FROM_C] > 0.2
    assert part[BEAUTY][FROM_B] > 0.2
    assert part[BEAUTY][FROM_C] > 0.2
    assert np.bincount(tracks.jet).min() >= 2
    assert np.all(np.abs(tracks.charge) == 1)


def test_displaced_tracks_tell_the_flavours_apart(sample: TruthJets) -> None:
    branches = make_branches(sample, np.random.default_rng(1))
    d0, error = branches["trk_d0"].values, branches["trk_d0err"].values  # type: ignore[union-attr]
    far = np.bincount(sample.tracks.jet[np.abs(d0 / error) > 3], minlength=len(sample))  # type: ignore[operator]
    part = [np.mean(far[sample.flavour == flavour] >= 2) for flavour in (LIGHT, CHARM, BEAUTY)]
    assert part[0] < 0.08
    assert part[0] < part[1] < 0.4
    assert part[2] > 0.5


def test_the_file_has_the_layout_of_the_toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed()
    monkeypatch.setattr(ndive_pythia, "EVENTS_A_BATCH", 40)
    ours, plain = (
        simulator("ndive", generator)(tmp_path / generator, 2, 3, 1, None)[0] for generator in ("pythia", "toy")
    )
    with uproot.open(ours) as file, uproot.open(plain) as toy:
        assert file[TREE].num_entries == 6
        assert sorted(file[TREE]["jet_flav"].array().tolist()) == [0, 0, 4, 4, 5, 5]
        assert file[TREE].typenames() == toy[TREE].typenames()


def test_the_same_seed_gives_the_same_jets(monkeypatch: pytest.MonkeyPatch) -> None:
    needed()
    monkeypatch.setattr(ndive_pythia, "EVENTS_A_BATCH", 60)
    one, two, other = (_collect(QCD[1], 5, 500, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert set(one.flavour) == {CHARM}
    assert len(one) == 5
    assert one.event.min() >= 500
    assert np.array_equal(one.tracks.momentum, two.tracks.momentum)
    assert np.array_equal(one.vertices.position, two.vertices.position)
    assert not np.array_equal(one.pt, other.pt)


def test_two_halves_of_a_sample_are_from_different_events(sample: TruthJets) -> None:
    """Top pairs come first, then one process of QCD a flavour; each has numbers of its own."""
    halves = np.split(np.arange(len(sample)), np.cumsum([3 * (JETS // 2), JETS - JETS // 2, JETS - JETS // 2]))
    events = [set(sample.event[half]) for half in halves]
    assert sum(map(len, events)) == len(set().union(*events))
    assert [set(sample.flavour[half]) for half in halves[1:]] == [set(process.flavours) for process in QCD]
    assert set(sample.flavour[halves[0]]) == set(TOP_PAIRS.flavours)


@pytest.mark.slow
def test_lifetimes_of_b_hadrons_are_those_of_nature() -> None:
    pythia = needed()
    generator = pythia.Pythia("", False)
    for line in (
        "Print:quiet = on",
        "PartonLevel:MPI = off",
        "Random:setSeed = on",
        "Random:seed = 3",
        *QCD[2].settings,
    ):
        generator.readString(line)
    generator.init()
    particles = read_batch(generator.nextBatch(1000))
    history = trace(particles)
    mesons = history.beauty & np.isin(np.abs(particles.pdg), (511, 521))
    p = particles.momentum[mesons]
    flight = np.linalg.norm(history.decay[mesons] - particles.production[mesons], axis=1)
    proper = flight * 5.28 / np.linalg.norm(p[:, :3], axis=1)
    assert proper.mean() == pytest.approx(0.473, rel=0.08)


def test_jets_are_those_of_slowjet() -> None:
    pythia = needed()
    generator = pythia.Pythia("", False)
    for line in (
        "Print:quiet = on",
        "PartonLevel:MPI = off",
        "Random:setSeed = on",
        "Random:seed = 3",
        *QCD[0].settings,
    ):
        generator.readString(line)
    generator.init()
    slow = needed().SlowJet(-1, 0.4, 15.0, 100.0, 2, 2)
    for _ in range(10):
        particles = read_batch(generator.nextBatch(1))
        slow.analyze(generator.event)
        seen = particles.momentum[particles.visible]
        found = find_jets(np.array([0, len(seen)]), seen, 0.4, 15.0)[2]
        expected = [slow.pT(number) for number in range(slow.sizeJet())]
        assert np.hypot(found[:, 0], found[:, 1]) == pytest.approx(expected, rel=1e-6)
