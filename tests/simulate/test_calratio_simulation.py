"""Simulated ntuples: the layout of the real files, and physics that separates the classes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import uproot

from engine.data.columns import Array, Column, Jagged
from engine.data.readers.base import Reader, open_reader
from engine.simulate.calratio import EVENTS_A_FILE, KINDS, TREE, _files, simulate
from engine.simulate.clusters import LAYERS
from engine.simulate.jets import make_jets, write_jets

EVENTS = 600


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind."""
    folder = tmp_path_factory.mktemp("calratio")
    simulate(folder, EVENTS, seed=4)
    return folder


def opened(folder: Path, kind: str) -> Reader:
    """A simulated file."""
    return open_reader(str(folder / f"{kind}.root"), tree=TREE)


def flat(column: Column) -> Array:
    """Values of a jagged column."""
    assert isinstance(column, Jagged)
    assert not isinstance(column.values, Jagged)
    return column.values


class Jets:
    """The jets of a file with quantities of each, flat."""

    def __init__(self, folder: Path, kind: str) -> None:
        reader = opened(folder, kind)
        names = [name for name in reader.branches if name.startswith(("jet_", "clus", "track", "MSeg", "llp", "HLT"))]
        self.columns = reader.read(names, 0, reader.entries)
        self.first = self.columns["jet_pT"].offsets  # type: ignore[union-attr]
        self.pt, self.eta, self.phi = (flat(self.columns[f"jet_{name}"]) for name in ("pT", "eta", "phi"))
        owner = self.columns["cluster_jetIndex"]
        assert isinstance(owner, Jagged)
        self.cluster_jet = self.first[owner.parents] + flat(owner)
        self.clusters = np.bincount(self.cluster_jet, minlength=len(self.pt))

    def clusters_of(self, name: str, jets: Array) -> Array:
        """Values of a cluster branch in the chosen jets (bool, one a jet)."""
        chosen: Array = flat(self.columns[f"clus_{name}"])[jets[self.cluster_jet]]
        return chosen

    def hadronic(self, jets: Array) -> float:
        """Part of the energy that is in the hadronic calorimeter."""
        energy = {layer: self.clusters_of(layer, jets).sum() for layer in LAYERS}
        return float(sum(energy[layer] for layer in LAYERS if "hcal" in layer) / sum(energy.values()))

    def counts_of(self, branch: str) -> Array:
        """Objects of a nested owner branch that belong to each jet."""
        owner = self.columns[branch]
        assert isinstance(owner, Jagged)
        assert isinstance(owner.values, Jagged)
        entry = np.repeat(owner.parents, owner.values.counts)
        places = flat(owner.values)
        inside = places >= 0
        return np.bincount(self.first[entry[inside]] + places[inside], minlength=len(self.pt))


def test_branches_have_the_names_and_types_of_the_real_files(simulated: Path, reference_data: Path) -> None:
    for kind, name in {"signal_125_55": "sig_311314_bad_object_small", "bib": "bib"}.items():
        with (
            uproot.open(simulated / f"{kind}.root") as ours,
            uproot.open(reference_data / "calratio" / f"{name}.root") as theirs,
        ):
            types, real = ours[TREE].typenames(), theirs[TREE].typenames()
            assert {branch: real.get(branch) for branch in types} == types


def test_data_have_no_weight_and_only_signal_has_decays(simulated: Path) -> None:
    for name, kind in KINDS.items():
        branches = opened(simulated, name).branches
        assert ("mcEventWeight" in branches) is not kind.data
        assert ("llp_Lxy" in branches) is name.startswith("signal")
        assert ("HLT_jet_isBIB" in branches) is (name == "bib")


def test_objects_fit_together(simulated: Path) -> None:
    for kind in KINDS:
        jets = Jets(simulated, kind)
        counts = np.diff(jets.first)
        assert counts.min() >= 1
        sorted_pairs = np.diff(jets.pt) <= 0
        sorted_pairs[jets.first[1:-1] - 1] = True
        assert sorted_pairs.all()
        assert np.all(np.abs(jets.phi) <= np.pi + 1e-6)
        assert flat(jets.columns["clus_pt"]).min() > 0
        for branch in ("track_jetIndex", "MSeg_jetIndex"):
            owner = jets.columns[branch]
            assert isinstance(owner, Jagged)
            assert isinstance(owner.values, Jagged)
            assert owner.values.counts.min() == 1
            assert owner.values.counts.max() == 2
            assert flat(owner.values).min() == -1
            entry = np.repeat(owner.parents, owner.values.counts)
            assert np.all(flat(owner.values) < counts[entry])
        assert 0 < (jets.clusters == 0).mean() < 0.02
        numbers = opened(simulated, kind).read(["eventNumber"], 0, EVENTS)["eventNumber"]
        assert len(np.unique(numbers)) == EVENTS


def test_multiplicities_and_spectra_are_near_the_real_ones(simulated: Path, reference_data: Path) -> None:
    real_reader = open_reader(str(reference_data / "calratio" / "sig_311314_bad_object_small.root"), tree=TREE)
    names = ["jet_pT", "clus_pt", "track_pT", "track_d0", "track_chiSquared", "track_SCTHits", "llp_pT", "clus_time"]
    real = real_reader.read(names, 0, 100)
    ours = opened(simulated, "signal_125_55").read(names, 0, EVENTS)
    for name in ("jet_pT", "clus_pt", "track_pT"):
        mine, theirs = ours[name], real[name]
        assert isinstance(mine, Jagged)
        assert isinstance(theirs, Jagged)
        assert mine.counts.mean() == pytest.approx(theirs.counts.mean(), rel=0.3)
        assert np.median(flat(mine)) == pytest.approx(np.median(flat(theirs)), rel=0.3)
    for name in ("track_chiSquared", "track_SCTHits", "llp_pT"):
        assert flat(ours[name]).mean() == pytest.approx(flat(real[name]).mean(), rel=0.3)
    for name in ("clus_time", "track_d0"):
        spread = [np.subtract(*np.percentile(flat(file[name]), [75, 25])) for file in (ours, real)]
        assert spread[0] == pytest.approx(spread[1], rel=0.4)


def displaced(jets: Jets) -> Array:
    """Jets within 0.2 of a particle that decayed in the barrel's calorimeters."""
    particles = {name: jets.columns[f"llp_{name}"] for name in ("eta", "phi", "Lxy")}
    eta, phi, radius = (flat(column).reshape(-1, 2) for column in particles.values())
    event = np.repeat(np.arange(len(jets.first) - 1), np.diff(jets.first))
    inside = (np.abs(eta) < 1.2) & (radius > 2000) & (radius < 3600)
    dphi = (jets.phi[:, None] - phi[event] + np.pi) % (2 * np.pi) - np.pi
    near = np.hypot(jets.eta[:, None] - eta[event], dphi) < 0.2
    chosen: Array = np.any(near & inside[event], axis=1) & (jets.pt > 30)
    return chosen


def spread(jets: Jets, chosen: Array) -> float:
    """Standard deviation of eta of the clusters around the axis of their jet."""
    inside = chosen[jets.cluster_jet]
    return float(np.std(flat(jets.columns["clus_eta"])[inside] - jets.eta[jets.cluster_jet[inside]]))


def test_displaced_jets_are_narrow_trackless_hadronic_and_late(simulated: Path) -> None:
    signal, multijets = Jets(simulated, "signal_600_150"), Jets(simulated, "qcd")
    late, usual = displaced(signal), (multijets.pt > 30) & (multijets.pt < 200) & (np.abs(multijets.eta) < 1.2)
    assert late.sum() > 30
    assert signal.hadronic(late) > 0.6
    assert multijets.hadronic(usual) < 0.35
    assert np.median(signal.clusters_of("time", late)) > np.median(multijets.clusters_of("time", usual)) + 0.4
    assert signal.counts_of("track_jetIndex")[late].mean() < 0.5 * multijets.counts_of("track_jetIndex")[usual].mean()
    width = [spread(signal, late), spread(multijets, usual)]
    assert width[0] < 0.7 * width[1]
    assert signal.clusters[late].mean() < multijets.clusters[usual].mean()


def test_halo_jets_are_horizontal_early_and_have_aligned_segments(simulated: Path) -> None:
    jets = Jets(simulated, "bib")
    tagged = flat(jets.columns["HLT_jet_isBIB"]) == 1
    assert 0.6 < tagged.mean() < 0.95
    phi = flat(jets.columns["HLT_jet_phi"])[tagged]
    assert np.mean(np.abs(np.sin(phi)) < 0.3) > 0.95
    trigger = jets.columns["HLT_jet_pT"]
    assert isinstance(trigger, Jagged)
    event = trigger.parents[tagged]
    owner = np.repeat(np.arange(len(jets.first) - 1), np.diff(jets.first))
    halo = np.zeros(len(jets.pt), dtype=bool)
    for place, angle, eta in zip(event, phi, flat(jets.columns["HLT_jet_eta"])[tagged], strict=True):
        distance = np.hypot((jets.phi - angle + np.pi) % (2 * np.pi) - np.pi, jets.eta - eta)
        halo |= (owner == place) & (distance < 0.1)
    assert halo.sum() == pytest.approx(len(event), rel=0.1)
    assert np.median(jets.clusters_of("time", halo)) < -4
    assert jets.counts_of("track_jetIndex")[halo].mean() < 1
    assert jets.counts_of("MSeg_jetIndex")[halo].mean() > 3 * jets.counts_of("MSeg_jetIndex")[~halo].mean()


def test_data_of_the_control_region_differ_from_simulation(simulated: Path) -> None:
    data, simulation = (Jets(simulated, kind) for kind in ("control_data", "control_mc"))
    times, tracks, spectra = [], [], []
    for jets in (data, simulation):
        hard = (jets.pt > 45) & (np.abs(jets.eta) < 2.4)
        times.append(np.median(jets.clusters_of("time", jets.pt > 0)))
        tracks.append(jets.counts_of("track_jetIndex")[hard].mean())
        spectra.append(np.median(jets.pt[hard]))
    assert times[0] - times[1] == pytest.approx(0.6, abs=0.1)
    assert tracks[0] / tracks[1] == pytest.approx(1.15, abs=0.08)
    assert spectra[0] == pytest.approx(spectra[1], rel=0.05)


def test_weights_of_multijets_fall_with_their_momentum(simulated: Path) -> None:
    reader = opened(simulated, "qcd")
    found = reader.read(["mcEventWeight", "jet_pT"], 0, EVENTS)
    jets = found["jet_pT"]
    assert isinstance(jets, Jagged)
    hardest = flat(jets)[jets.offsets[:-1]]
    weight = np.asarray(found["mcEventWeight"])
    assert weight[hardest > 400].mean() < 1e-3 * weight[hardest < 60].mean()


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    one = simulate(tmp_path / "one", 12, seed=9)
    two = simulate(tmp_path / "two", 12, seed=9, workers=2)
    other = simulate(tmp_path / "other", 12, seed=10)
    assert [path.name for path in one] == sorted(f"{kind}.root" for kind in KINDS)
    for first, second, third in zip(one, two, other, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes() != third.read_bytes()


def test_fifty_events_of_every_kind_take_less_than_a_second(tmp_path: Path) -> None:
    start = time.process_time()
    simulate(tmp_path, 50)
    assert time.process_time() - start < 1.0


def test_many_events_go_to_several_files_and_none_to_an_empty_one(tmp_path: Path) -> None:
    files = _files("qcd", 2 * EVENTS_A_FILE + 1)
    assert [name for name, _ in files] == ["qcd_000.root", "qcd_001.root", "qcd_002.root"]
    assert sum(events for _, events in files) == 2 * EVENTS_A_FILE + 1
    simulate(tmp_path, 0)
    assert opened(tmp_path, "bib").entries == 0


def test_the_plain_jets_have_the_promised_shape(tmp_path: Path) -> None:
    path = write_jets(tmp_path / "jets.parquet", 3000)
    reader = open_reader(str(path))
    found = reader.read(list(reader.branches), 0, 3000)
    constituents = [column for name, column in found.items() if name.startswith("constituent_")]
    assert len(constituents) == 8
    assert all(isinstance(column, Jagged) for column in constituents)
    assert constituents[0].counts.mean() == pytest.approx(17, abs=0.5)  # type: ignore[union-attr]
    assert constituents[0].counts.max() == 40  # type: ignore[union-attr]
    assert len([name for name in found if name.startswith("jet_")]) == 5 + 2
    columns, _ = make_jets(3000, np.random.default_rng(0))
    heavy = columns["jet_label"] == 1
    assert columns["jet_width"][heavy].mean() < 0.8 * columns["jet_width"][~heavy].mean()
