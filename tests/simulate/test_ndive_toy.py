"""Toy jets for vertexing: the layout of the public sample, its signs, and physics that can be fitted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import uproot
from click.testing import CliRunner
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.converters import to_engine

from engine.cli import main
from engine.data.columns import Array, Jagged
from engine.data.readers.base import open_reader
from engine.errors import UsageError
from engine.simulate import ndive_files
from engine.simulate.jet_truth import BEAUTY, CHARM, FLAVOURS, FROM_B, FROM_C, LIGHT, OTHER, PRIMARY, TruthJets
from engine.simulate.kinds import simulator
from engine.simulate.ndive_branches import FIELD, TREE, make_branches, true_perigee
from engine.simulate.ndive_toy import HIGHEST, LOWEST, make_jets, make_sample
from engine.simulate.toy_decays import B_HADRONS, C_HADRONS, Species, heavy_hadrons

JETS = 1500
JET_INTEGERS = "eventnb jet_flav n_trks n_vertices nBhadrons nChadrons nBdecay nCdecay"
JET_FLOATS = "jet_pt jet_eta jet_phi jet_M BCdistance"
LIST_INTEGERS = (
    "trk_pythia_i trk_pdg_id trk_vtx_index trk_charge trk_origin hadron_pdgid true_vtx_ntrks "
    "node_idx node_pdg_id edge_start edge_end"
)
LIST_FLOATS = (
    "trk_d0 trk_z0 trk_phi trk_ctgtheta trk_pt trk_eta trk_d0err trk_z0err trk_phierr trk_ctgthetaerr trk_pterr "
    "trk_prod_x trk_prod_y trk_prod_z trk_dec_x trk_dec_y trk_dec_z hadron_x hadron_y hadron_z hadron_decx hadron_decy "
    "hadron_decz true_vtx_x true_vtx_y true_vtx_z true_vtx_L3D edge_dist"
)


@pytest.fixture(scope="module")
def sample() -> TruthJets:
    """The truth: JETS jets of each flavour."""
    return make_sample(JETS, np.random.default_rng(5))


@pytest.fixture(scope="module")
def branches(sample: TruthJets) -> dict[str, Array | Jagged]:
    """The branches of the same jets."""
    return make_branches(sample, np.random.default_rng(6))


def flat(branches: dict[str, Array | Jagged], name: str) -> Array:
    column = branches[name]
    assert isinstance(column, Jagged)
    assert not isinstance(column.values, Jagged)
    return column.values.astype(np.float64)


def measured(branches: dict[str, Array | Jagged]) -> tuple[Array, Array]:
    """Tracks of the vertex fit and their errors, (tracks, 5) each, by the formulas that the layout documents."""
    d0, z0, phi, cotangent, pt, charge = (
        flat(branches, f"trk_{name}") for name in ("d0", "z0", "phi", "ctgtheta", "pt", "charge")
    )
    theta, rho = np.arctan2(1, cotangent), -2.99792458e-4 * 2.0 * charge / pt
    errors = [flat(branches, f"trk_{name}err") for name in ("d0", "z0", "phi", "ctgtheta", "pt")]
    errors[3] *= np.sin(theta) ** 2
    errors[4] *= np.abs(rho) / pt
    return np.stack([d0, z0, phi, theta, rho], axis=1), np.stack(errors, axis=1)


def perigee_of(sample: TruthJets) -> Array:
    return true_perigee(sample.tracks.momentum, sample.tracks.charge, sample.tracks.production)


def test_the_file_has_the_branches_and_types_of_the_public_sample(tmp_path: Path) -> None:
    (path,) = simulator("ndive")(tmp_path, 20, 1, 1, None)
    expected = dict.fromkeys(JET_INTEGERS.split(), "int32_t") | dict.fromkeys(JET_FLOATS.split(), "float")
    expected |= dict.fromkeys(LIST_INTEGERS.split(), "std::vector<int32_t>")
    expected |= dict.fromkeys(LIST_FLOATS.split(), "std::vector<float>")
    with uproot.open(path) as file:
        assert file[TREE].typenames() == expected
        assert file[TREE].num_entries == 60
    reader = open_reader(str(path), tree=TREE)
    assert set(np.asarray(reader.read(["jet_flav"], 0, 60)["jet_flav"])[:12]) == set(FLAVOURS)


def test_lists_and_counts_of_a_jet_fit_together(sample: TruthJets, branches: dict[str, Array | Jagged]) -> None:
    for count, name in (("n_trks", "trk_d0"), ("n_vertices", "true_vtx_x"), ("n_vertices", "node_idx")):
        column = branches[name]
        assert isinstance(column, Jagged)
        assert np.array_equal(column.counts, branches[count])
    vertices, tracks = sample.vertices, sample.tracks
    first = np.searchsorted(vertices.jet, np.arange(len(sample)))
    assert np.all(vertices.position[first] == 0)
    assert np.all(vertices.parent[first] == -1)
    row = first[tracks.jet] + tracks.vertex
    assert np.array_equal(vertices.jet[row], tracks.jet)
    assert np.allclose(vertices.position[row], tracks.production)
    distance = np.linalg.norm(vertices.position, axis=1)
    assert np.all(np.diff(distance)[np.diff(vertices.jet) == 0] >= 0)
    used = flat(branches, "true_vtx_ntrks")
    assert np.array_equal(np.add.reduceat(used, first), branches["n_trks"])
    assert np.array_equal(tracks.origin == PRIMARY, tracks.vertex == 0)


def test_the_graph_of_a_jet_is_a_tree_from_the_collision(branches: dict[str, Array | Jagged]) -> None:
    edges, nodes = branches["edge_end"], branches["node_idx"]
    assert isinstance(edges, Jagged)
    assert isinstance(nodes, Jagged)
    assert np.array_equal(edges.counts, nodes.counts - 1)
    start, end = flat(branches, "edge_start"), flat(branches, "edge_end")
    assert np.all(start != end)
    place = np.stack([flat(branches, f"true_vtx_{axis}") for axis in "xyz"], axis=1)
    row = nodes.offsets[:-1][edges.parents]
    length = np.linalg.norm(place[row + end.astype(int)] - place[row + start.astype(int)], axis=1)
    assert np.allclose(length, flat(branches, "edge_dist"), rtol=1e-4, atol=1e-4)
    beauty = np.asarray(branches["jet_flav"]) == BEAUTY
    assert np.all(np.bincount(edges.parents[start > 0], minlength=len(beauty)) == beauty)


@pytest.mark.parametrize("charge", [-1, 1])
def test_a_positive_particle_turns_clockwise_in_a_field_along_z(charge: int) -> None:
    start, momentum = np.array([2.0, 5.0, 3.0]), np.array([0.6, 0.5, 0.4])
    place, moving = start.copy(), -momentum.copy()
    closest = (np.hypot(*place[:2]), place, momentum)
    step = 1e-3
    for _ in range(20_000):  # back in time: the charge of the reversed motion has the other sign
        force = 0.299792458e-3 * -charge * FIELD * np.array([moving[1], -moving[0], 0.0]) / np.linalg.norm(moving)
        middle = moving + 0.5 * step * force
        place = place + step * middle / np.linalg.norm(moving)
        force = 0.299792458e-3 * -charge * FIELD * np.array([middle[1], -middle[0], 0.0]) / np.linalg.norm(moving)
        moving = moving + step * force
        if np.hypot(*place[:2]) < closest[0]:
            closest = (np.hypot(*place[:2]), place, -moving)
    _, point, direction = closest
    d0, z0, phi, theta, rho = true_perigee(momentum[None], np.array([charge]), start[None])[0]
    assert phi == pytest.approx(np.arctan2(direction[1], direction[0]), abs=1e-5)
    assert (d0 * np.sin(phi), -d0 * np.cos(phi)) == pytest.approx(tuple(point[:2]), abs=2e-3)
    assert z0 == pytest.approx(point[2], abs=2e-3)
    assert theta == pytest.approx(np.arctan2(np.hypot(0.6, 0.5), 0.4), abs=1e-9)
    assert rho * charge < 0
    assert abs(rho) * np.hypot(0.6, 0.5) == pytest.approx(5.996e-4, rel=1e-4)


def test_the_file_is_in_the_convention_of_delphes(branches: dict[str, Array | Jagged]) -> None:
    columns = [flat(branches, f"trk_{name}") for name in ("d0", "z0", "phi", "ctgtheta")]
    columns.append(flat(branches, "trk_charge") / flat(branches, "trk_pt"))
    ours, _ = to_engine("delphes", torch.tensor(np.stack(columns, axis=1)), FIELD)
    assert np.allclose(ours.numpy(), measured(branches)[0], atol=1e-12)


def test_pulls_of_the_track_parameters_have_width_one(sample: TruthJets, branches: dict[str, Array | Jagged]) -> None:
    values, errors = measured(branches)
    difference = values - perigee_of(sample)
    difference[:, 2] = (difference[:, 2] + np.pi) % (2 * np.pi) - np.pi
    pulls = difference / errors
    assert len(pulls) > 20_000
    assert np.std(pulls, axis=0) == pytest.approx(np.ones(5), abs=0.02)
    assert np.mean(pulls, axis=0) == pytest.approx(np.zeros(5), abs=0.02)
    correlation = np.corrcoef(pulls.T) - np.eye(5)
    assert np.abs(correlation).max() < 0.03


def test_errors_are_those_of_a_silicon_tracker(branches: dict[str, Array | Jagged]) -> None:
    central = np.abs(flat(branches, "trk_eta")) < 1
    _, errors = measured(branches)
    assert np.all(errors > 0)
    for column, (low, high) in enumerate([(0.02, 0.13), (0.05, 0.3), (4e-4, 2.9e-3), (2e-4, 1.5e-3)]):
        assert errors[central, column].min() >= low * 0.999
        assert np.percentile(errors[central, column], 99.5) < high


def vertices_with_tracks(sample: TruthJets, least: int) -> tuple[Array, Array, Array]:
    """Places in the sample's vertices of secondary ones with so many tracks; offsets and order of their tracks."""
    tracks, vertices = sample.tracks, sample.vertices
    first = np.searchsorted(vertices.jet, np.arange(len(sample)))
    row = first[tracks.jet] + tracks.vertex
    counts = np.bincount(row, minlength=len(vertices.jet))
    chosen = np.flatnonzero((counts >= least) & (vertices.pdg != 0))
    order = np.argsort(row, kind="stable")
    order = order[np.isin(row[order], chosen)]
    return chosen, np.concatenate([[0], np.cumsum(counts[chosen])]), order


def test_the_fit_of_true_tracks_gives_the_true_vertex(sample: TruthJets, branches: dict[str, Array | Jagged]) -> None:
    chosen, offsets, order = vertices_with_tracks(sample, 2)
    tracks, variances = torch.tensor(perigee_of(sample)[order]), torch.tensor(measured(branches)[1][order] ** 2)
    weights = torch.ones(len(order), dtype=torch.float64)
    fit = vertex_fit(tracks, variances, weights, offsets=torch.tensor(offsets), tolerance=1e-16)
    off = np.linalg.norm(fit.vertex.numpy() - sample.vertices.position[chosen], axis=1)
    sigma = np.sqrt(np.trace(fit.covariance.numpy(), axis1=1, axis2=2))
    assert len(chosen) > 1500
    assert np.percentile(off, 90) < 1e-3
    assert np.percentile(off / sigma, 99) < 0.02


def test_the_fit_of_measured_tracks_has_calibrated_pulls(
    sample: TruthJets, branches: dict[str, Array | Jagged]
) -> None:
    chosen, offsets, order = vertices_with_tracks(sample, 3)
    values, errors = (torch.tensor(part[order]) for part in measured(branches))
    weights = torch.ones(len(order), dtype=torch.float64)
    fit = vertex_fit(values, errors**2, weights, offsets=torch.tensor(offsets))
    sigma = torch.diagonal(fit.covariance, dim1=1, dim2=2).sqrt().numpy()
    pulls = (fit.vertex.numpy() - sample.vertices.position[chosen]) / sigma
    assert len(chosen) > 800
    core = (np.percentile(pulls, 84.13, axis=0) - np.percentile(pulls, 15.87, axis=0)) / 2
    assert core == pytest.approx(np.ones(3), abs=0.08)


@pytest.mark.parametrize(("species", "flavour"), [(B_HADRONS, BEAUTY), (C_HADRONS, CHARM)])
def test_proper_lifetimes_are_those_of_nature(species: Species, flavour: int) -> None:
    size = 20_000
    ones = np.ones(size)
    flying = heavy_hadrons(flavour, 40 * ones, 0.5 * ones, ones, np.random.default_rng(1))[0]
    proper = np.linalg.norm(flying.end - flying.start, axis=1) * flying.mass / np.linalg.norm(flying.momentum, axis=1)
    for pdg, ctau in zip(species.pdg, species.ctau, strict=True):
        mine = proper[np.abs(flying.pdg) == pdg]
        assert mine.mean() == pytest.approx(ctau, abs=4 * ctau / np.sqrt(len(mine)))


def test_a_c_hadron_of_a_b_jet_starts_where_the_b_hadron_decays(sample: TruthJets) -> None:
    hadrons = sample.hadrons
    beauty = np.flatnonzero(np.diff(hadrons.jet) == 0)
    assert len(beauty) == JETS
    assert np.array_equal(hadrons.decay[beauty], hadrons.production[beauty + 1])
    assert np.all(hadrons.production[beauty] == 0)
    assert set(sample.flavour[hadrons.jet[beauty]]) == {BEAUTY}
    assert not np.any(np.isin(hadrons.jet, np.flatnonzero(sample.flavour == LIGHT)))


def test_displaced_tracks_tell_the_flavours_apart(sample: TruthJets, branches: dict[str, Array | Jagged]) -> None:
    significance = np.abs(flat(branches, "trk_d0") / flat(branches, "trk_d0err"))
    far = np.bincount(sample.tracks.jet[significance > 3], minlength=len(sample))
    part = {flavour: np.mean(far[sample.flavour == flavour] >= 2) for flavour in FLAVOURS}
    assert part[LIGHT] < 0.05
    assert 0.12 < part[CHARM] < 0.30
    assert 0.50 < part[BEAUTY] < 0.80
    primary = significance[sample.tracks.origin == PRIMARY]
    assert np.mean(primary > 3) == pytest.approx(0.0027, abs=0.0015)


def test_jets_have_the_tracks_and_momenta_of_the_public_sample(sample: TruthJets) -> None:
    counts = np.bincount(sample.tracks.jet, minlength=len(sample))
    assert counts.min() >= 2
    assert 4.5 < counts.mean() < 8
    assert (counts > 15).mean() < 0.03
    assert np.bincount(sample.flavour)[list(FLAVOURS)] == pytest.approx([JETS] * 3)
    assert sample.pt.min() > LOWEST
    assert sample.pt.max() < HIGHEST
    origins = {
        flavour: np.bincount(sample.tracks.origin[(sample.flavour == flavour)[sample.tracks.jet]], minlength=4)
        for flavour in FLAVOURS
    }
    assert origins[LIGHT][[FROM_B, FROM_C]].tolist() == [0, 0]
    assert origins[CHARM][FROM_B] == 0
    assert min(origins[BEAUTY][[FROM_B, FROM_C, PRIMARY, OTHER]]) > 0
    assert 0.005 < origins[LIGHT][OTHER] / origins[LIGHT].sum() < 0.05


def test_counts_of_the_decays_are_those_of_the_tracks(sample: TruthJets, branches: dict[str, Array | Jagged]) -> None:
    for name, origin in (("nBdecay", FROM_B), ("nCdecay", FROM_C)):
        assert np.sum(branches[name]) == np.sum(sample.tracks.origin == origin)  # type: ignore[arg-type]
    beauty = sample.flavour == BEAUTY
    assert np.array_equal(branches["nBhadrons"], beauty)
    assert np.array_equal(branches["nChadrons"], sample.flavour != LIGHT)
    between = np.asarray(branches["BCdistance"])
    assert np.all(between[~beauty] == 0)
    assert 1 < between[beauty].mean() < 8


def test_taking_and_joining_jets_keeps_what_belongs_to_them(sample: TruthJets) -> None:
    order = np.random.default_rng(2).permutation(len(sample))
    back = sample.take(order).take(np.argsort(order))
    halves = TruthJets.join([sample.take(np.arange(700)), sample.take(np.arange(700, len(sample)))])
    for other in (back, halves):
        assert np.array_equal(other.pt, sample.pt)
        for part in ("vertices", "hadrons", "tracks"):
            for name, values in vars(getattr(sample, part)).items():
                assert np.array_equal(getattr(getattr(other, part), name), values), f"{part}.{name}"


def test_one_jet_and_no_jets_can_be_made() -> None:
    rng = np.random.default_rng(1)
    assert [len(make_jets(flavour, 1, rng)) for flavour in FLAVOURS] == [1, 1, 1]
    empty = make_branches(make_jets(BEAUTY, 0, rng), rng)
    assert len(empty["jet_pt"]) == len(empty["trk_d0"]) == 0


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndive_files, "JETS_A_FILE", 20)
    simulate = simulator("ndive", "toy")
    one, two, other = (
        simulate(tmp_path / name, 50, seed, workers, None)
        for name, seed, workers in (("one", 9, 1), ("two", 9, 2), ("other", 10, 1))
    )
    assert [path.name for path in one] == ["jets_000.root", "jets_001.root", "jets_002.root"]
    for first, second, third in zip(one, two, other, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes() != third.read_bytes()
    numbers = [open_reader(str(path), tree=TREE).read(["eventnb"], 0, 48)["eventnb"] for path in one]
    assert len(np.unique(np.concatenate(numbers))) == 3 * 48  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "generator", "sentence"),
    [
        ("ndiv", None, "there is no simulation 'ndiv'; there are calratio, ndive"),
        ("ndive", "herwig", "the simulation 'ndive' has no generator 'herwig'; it has toy, pythia"),
        ("calratio", "pythia", "the simulation 'calratio' has no generator 'pythia'; it has toy"),
    ],
)
def test_an_unknown_kind_or_generator_is_told(kind: str, generator: str | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        simulator(kind, generator)


def test_the_command_line_passes_the_generator_on(tmp_path: Path) -> None:
    arguments = ["simulate", "ndive", "-o", str(tmp_path), "--events", "3", "--workers", "1", "--generator"]
    made, refused = (CliRunner().invoke(main, [*arguments, name]) for name in ("toy", "geant"))
    assert made.exit_code == 0, made.output
    assert (tmp_path / "jets_000.root").is_file()
    assert refused.exit_code == 2
    assert "has no generator 'geant'" in refused.output
