"""Measured tracks and truth of jets as the branches of the public "secondary vertex finding" sample (arXiv 2008.02831).

One tree `tree`, one entry a jet; lengths in mm, momenta in GeV, angles in rad.

Signs. The field is 2 T along +z and the charge is the physical one, so a positive particle turns clockwise seen from
+z. `trk_d0` has the sign of (x py - y px): the point of closest approach to the z axis is
(d0 sin phi, -d0 cos phi, z0). This is the convention of Delphes and of the project's vertex fit; ATLAS and ACTS have
the other sign of d0. For the fit:

    d0, z0, phi  as they are       theta = atan2(1, trk_ctgtheta)    theta_err = trk_ctgthetaerr * sin(theta)**2
    rho = -2.99792458e-4 * 2.0 * trk_charge / trk_pt                 rho_err = abs(rho) * trk_pterr / trk_pt

The errors are those that the values were smeared with: pulls have width 1, and the five parameters of a track are not
correlated.

jet_flav 0, 4, 5: light, c, b. n_trks, n_vertices: lengths of the lists. nBhadrons, nChadrons: heavy hadrons listed;
nBdecay, nCdecay: tracks that come from them. BCdistance: from the decay of the first b hadron to that of the first c
hadron, 0 where there are not both. eventnb: of the generator's event.

Tracks, hardest first. trk_vtx_index: place in the list of vertices; 0 is the primary vertex. trk_origin (not in the
public sample): 0 b, 1 c (also below a b), 2 primary, 3 other. trk_prod_*: where it was produced. trk_dec_*: 0, because
the particles are stable. trk_phi, trk_eta, trk_ctgtheta: of the measured direction at the point of closest approach.

Vertices, the primary one at (0, 0, 0) first, the others by distance: the decays of the heavy hadrons, with or without
tracks, and all other places that tracks come from. true_vtx_L3D: from the primary vertex. node_idx and node_pdg_id are
the same vertices as a graph, with the particle that decayed (0: the collision); edge_start, edge_end, edge_dist lead
from each vertex to those of the particles that came from it.

Hadrons, b before c, hardest first: hadron_x, _y, _z production, hadron_decx, _decy, _decz decay.
"""

from __future__ import annotations

import numpy as np
from engine_kernels.vertex_fit.toys import FIELD_CONSTANT, measurement_errors, perigee_of

from engine.data.columns import Array, Column, Jagged
from engine.simulate.jet_truth import FROM_B, FROM_C, TruthJets, is_beauty
from engine.simulate.jets_of_events import wrap
from engine.simulate.kinematics import transverse

TREE = "tree"
FIELD = 2.0
"""T, along +z."""

CURVATURE = FIELD_CONSTANT * FIELD
"""Curvature (1/mm) of a unit charge with a transverse momentum of 1 GeV."""

LOWEST_PT, LARGEST_ETA = 0.75, 2.5  # GeV
LARGEST_RADIUS, LARGEST_D0 = 50.0, 10.0  # mm: of the place of production, and of the track


def true_perigee(momentum: Array, charge: Array, production: Array) -> Array:
    """d0, z0, phi, theta, rho about the origin, (tracks, 5), in the convention of the vertex fit.

    Args:
        momentum: (tracks, 3), GeV, at `production`.
        charge: (tracks,), in units of e.
        production: (tracks, 3), mm.
    """
    px, py, pz = momentum.T
    pt = np.hypot(px, py)
    direction = np.stack([np.arctan2(py, px), np.arctan2(pt, pz), -CURVATURE * charge / pt], axis=-1)
    found: Array = perigee_of(production, direction)
    return found


def is_measured(momentum: Array, charge: Array, production: Array) -> Array:
    """Which charged particles leave a track: hard, central, made near the beam, and passing near it."""
    central = np.abs(momentum[:, 2]) < np.sinh(LARGEST_ETA) * transverse(momentum)
    chosen: Array = (transverse(momentum) > LOWEST_PT) & central
    chosen &= np.hypot(production[:, 0], production[:, 1]) < LARGEST_RADIUS
    rows = np.flatnonzero(chosen)
    d0 = true_perigee(momentum[rows], charge[rows], production[rows])[:, 0]
    chosen[rows] = np.abs(d0) < LARGEST_D0
    return chosen


def make_branches(jets: TruthJets, rng: np.random.Generator) -> dict[str, Column]:
    """All branches of some jets.

    Args:
        jets: the truth.
        rng: what the measurement is smeared with.
    """
    lists = {
        "trk": (jets.tracks.jet, _measured(jets, rng) | _track_truth(jets)),
        "hadron": (jets.hadrons.jet, _hadrons(jets)),
        "vertex": (jets.vertices.jet, _vertices(jets)),
        "edge": _edges(jets),
    }
    columns: dict[str, Column] = {name: _compact(values) for name, values in _jets(jets).items()}
    for owner, values in lists.values():
        counts = np.bincount(owner, minlength=len(jets))
        columns |= {name: Jagged.from_counts(counts, _compact(column)) for name, column in values.items()}
    return columns


def _compact(values: Array) -> Array:
    """Integers and floats of four bytes."""
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32)


def _jets(jets: TruthJets) -> dict[str, Array]:
    """One value a jet."""

    def count(owner: Array) -> Array:
        return np.bincount(owner, minlength=len(jets))

    hadrons, tracks = jets.hadrons, jets.tracks
    beauty = is_beauty(hadrons.pdg)
    return {
        "eventnb": jets.event,
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_M": jets.mass,
        "jet_flav": jets.flavour,
        "n_trks": count(tracks.jet),
        "n_vertices": count(jets.vertices.jet),
        "nBhadrons": count(hadrons.jet[beauty]),
        "nChadrons": count(hadrons.jet[~beauty]),
        "nBdecay": count(tracks.jet[tracks.origin == FROM_B]),
        "nCdecay": count(tracks.jet[tracks.origin == FROM_C]),
        "BCdistance": _distance_of_decays(jets, beauty),
    }


def _distance_of_decays(jets: TruthJets, beauty: Array) -> Array:
    """From the decay of the first b hadron to that of the first c hadron; 0 where there are not both."""
    places, present = [], np.ones(len(jets), dtype=bool)
    for chosen in (beauty, ~beauty):
        owner, first = np.unique(jets.hadrons.jet[chosen], return_index=True)
        place = np.zeros((len(jets), 3))
        place[owner] = jets.hadrons.decay[chosen][first]
        present &= np.isin(np.arange(len(jets)), owner)
        places.append(place)
    return np.where(present, np.linalg.norm(places[1] - places[0], axis=1), 0.0)


def _measured(jets: TruthJets, rng: np.random.Generator) -> dict[str, Array]:
    """The smeared tracks and their errors."""
    tracks = jets.tracks
    true = true_perigee(tracks.momentum, tracks.charge, tracks.production)
    sigma = measurement_errors(transverse(tracks.momentum), true[:, 3], true[:, 4])
    d0, z0, phi, theta, rho = (true + sigma * rng.normal(size=true.shape)).T
    theta, pt = np.clip(theta, 1e-3, np.pi - 1e-3), CURVATURE / np.abs(rho)
    return {
        "trk_d0": d0,
        "trk_z0": z0,
        "trk_phi": wrap(phi),
        "trk_ctgtheta": 1 / np.tan(theta),
        "trk_pt": pt,
        "trk_charge": -np.sign(rho).astype(np.int32),
        "trk_eta": -np.log(np.tan(theta / 2)),
        "trk_d0err": sigma[:, 0],
        "trk_z0err": sigma[:, 1],
        "trk_phierr": sigma[:, 2],
        "trk_ctgthetaerr": sigma[:, 3] / np.sin(theta) ** 2,
        "trk_pterr": pt * sigma[:, 4] / np.abs(rho),
    }


def _track_truth(jets: TruthJets) -> dict[str, Array]:
    """What the tracks are and where they come from."""
    tracks = jets.tracks
    columns = {
        "trk_pythia_i": tracks.particle,
        "trk_pdg_id": tracks.pdg,
        "trk_vtx_index": tracks.vertex,
        "trk_origin": tracks.origin,
    }
    for name, place in (("trk_prod", tracks.production), ("trk_dec", np.zeros_like(tracks.production))):
        columns |= {f"{name}_{axis}": place[:, number] for number, axis in enumerate("xyz")}
    return columns


def _hadrons(jets: TruthJets) -> dict[str, Array]:
    """The heavy hadrons."""
    columns = {"hadron_pdgid": jets.hadrons.pdg}
    for name, place in (("hadron_", jets.hadrons.production), ("hadron_dec", jets.hadrons.decay)):
        columns |= {f"{name}{axis}": place[:, number] for number, axis in enumerate("xyz")}
    return columns


def _vertices(jets: TruthJets) -> dict[str, Array]:
    """The vertices, and the same as nodes of a graph."""
    vertices, tracks = jets.vertices, jets.tracks
    first = np.searchsorted(vertices.jet, np.arange(len(jets)))
    used = np.bincount(first[tracks.jet] + tracks.vertex, minlength=len(vertices.jet))
    columns = {f"true_vtx_{axis}": vertices.position[:, number] for number, axis in enumerate("xyz")}
    return columns | {
        "true_vtx_L3D": np.linalg.norm(vertices.position, axis=1),
        "true_vtx_ntrks": used,
        "node_idx": np.arange(len(vertices.jet)) - first[vertices.jet],
        "node_pdg_id": vertices.pdg,
    }


def _edges(jets: TruthJets) -> tuple[Array, dict[str, Array]]:
    """From each vertex to those of the particles that came from it: the jet of each edge, and its values."""
    vertices = jets.vertices
    first = np.searchsorted(vertices.jet, np.arange(len(jets)))
    end = np.flatnonzero(vertices.parent >= 0)
    owner = vertices.jet[end]
    flight = vertices.position[end] - vertices.position[first[owner] + vertices.parent[end]]
    return owner, {
        "edge_start": vertices.parent[end],
        "edge_end": end - first[owner],
        "edge_dist": np.linalg.norm(flight, axis=1),
    }
