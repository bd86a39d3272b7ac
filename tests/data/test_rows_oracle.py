"""Matching, membership, order, fractions and mirrored signs against plain loops over random events."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.columns import Jagged
from engine.data.rows import make_rows

SPEC = """
collections:
  event: {id: id}
  jets: {pt: jet_pt, eta: jet_eta, phi: jet_phi}
  targets: {eta: to_eta, phi: to_phi, z: to_z}
  clusters: {owner: clus_jet, pt: clus_pt, eta: clus_eta, phi: clus_phi, a: clus_a, b: clus_b}
  tracks: {owner: track_jets, pt: track_pt, eta: track_eta, phi: track_phi}
selections:
  hard: {of: jets, where: pt >= 20}
  hard_central: {of: hard, where: abs(eta) <= 2}
  far: {of: targets, where: z > 0}
samples:
  all: {files: [none.parquet], rows: jets}
  matched: {files: [none.parquet], rows: {nearest: hard_central, to: far}}
  near: {files: [none.parquet], rows: {nearest: hard_central, to: far, within: 0.5}}
inputs:
  clusters:
    of: clusters
    where: pt > 1
    order: -pt
    keep: 3
    relative_to: leading
    features:
      pt: {}
      eta: {mirror: "sum(eta * pt)"}
      phi: {}
      a: {fraction_of: [a, b]}
      share: {expression: pt / jets.pt}
  tracks:
    of: tracks
    keep: 5
    relative_to: row
    features: {pt: {}, eta: {}, phi: {}}
  jet: {of: jets, features: {pt: {}, eta: {}}}
columns: {id: event.id, z: matched.z, jet_pt: jets.pt, n: count(tracks), leading: first(tracks.pt)}
split: {by: [id], train: 1, validation: 0, test: 0}
"""

angle = st.sampled_from([-3.1, -1.5, 0.0, 0.1, 0.4, 1.5, 3.1])
eta = st.sampled_from([-2.5, -1.0, 0.0, 0.25, 0.5, 1.0, 2.0, math.nan])
pt = st.sampled_from([0.0, 1.0, 5.0, 20.0, 30.0, 30.0, 45.5, math.nan])
layer = st.sampled_from([-1.0, 0.0, 0.0, 1.0, 2.5])
number = st.integers(-1, 4)
jet = st.tuples(pt, eta, angle)
to = st.tuples(eta, angle, st.sampled_from([-1.0, 1.0]))
cluster = st.tuples(number, pt, eta, angle, layer, layer)
track = st.tuples(st.lists(number, max_size=3), pt, eta, angle)
event = st.tuples(*(st.lists(kind, max_size=5) for kind in (jet, to, cluster, track)))


def lists(events, kind, position, dtype=np.float64):
    values = [objects[position] for entry in events for objects in entry[kind]]
    counts = np.array([len(entry[kind]) for entry in events], dtype=np.int64)
    if values and isinstance(values[0], list):
        inner = Jagged.from_counts(
            np.array([len(value) for value in values]), np.array([x for v in values for x in v], dtype=dtype)
        )
        return Jagged.from_counts(counts, inner)
    return Jagged.from_counts(counts, np.array(values, dtype=dtype))


def chunk_of(events):
    names = [
        ["jet_pt", "jet_eta", "jet_phi"],
        ["to_eta", "to_phi", "to_z"],
        ["clus_jet", "clus_pt", "clus_eta", "clus_phi", "clus_a", "clus_b"],
        ["track_jets", "track_pt", "track_eta", "track_phi"],
    ]
    chunk = {"id": np.arange(len(events), dtype=np.uint64)}
    for kind, branches in enumerate(names):
        for position, branch in enumerate(branches):
            integer = branch in ("clus_jet", "track_jets")
            chunk[branch] = lists(events, kind, position, np.int32 if integer else np.float64)
    if not isinstance(chunk["track_jets"].values, Jagged):  # no track at all
        empty = Jagged(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32))
        chunk["track_jets"] = Jagged(chunk["track_jets"].offsets, empty)
    return chunk


def wrapped(angle):
    return math.remainder(angle, 2 * math.pi)


def loop_rows(events, sample):
    """(entry, place of the jet, matched object) of each row."""
    for entry, (jets, targets, _, _) in enumerate(events):
        if sample == "all":
            yield from ((entry, place, None) for place in range(len(jets)))
            continue
        good = [place for place, (pt, eta, _) in enumerate(jets) if pt >= 20 and abs(eta) <= 2]
        for target in targets:
            if target[2] <= 0:
                continue
            distances = [
                (math.hypot(jets[j][1] - target[0], wrapped(jets[j][2] - target[1])), j)
                for j in good
                if not math.isnan(target[0])
            ]
            distance, place = min(distances, default=(math.inf, -1))
            if distance <= (0.5 if sample == "near" else 1e9):
                yield entry, place, target


def loop_clusters(event, place):
    jet_pt = event[0][place][0]
    own = [c[1:] for c in event[2] if c[0] == place and c[1] > 1]
    own = sorted(own, key=lambda c: -c[0])[:3]
    if not own:
        return []
    eta0, phi0 = own[0][1], own[0][2]
    moved = [(pt, eta - eta0, wrapped(phi - phi0), a, b) for pt, eta, phi, a, b in own]
    sign = -1 if sum(c[0] * c[1] for c in moved) < 0 else 1
    share = [pt / jet_pt if jet_pt else math.inf for pt, *_ in moved]
    return [
        (pt, sign * eta, phi, a / (a + b) if a + b else 0.0, s)
        for (pt, eta, phi, a, b), s in zip(moved, share, strict=True)
    ]


def loop_tracks(event, place, keep):
    _, jet_eta, jet_phi = event[0][place]
    own = [t[1:] for t in event[3] if place in t[0]]
    return [(pt, eta - jet_eta, wrapped(phi - jet_phi)) for pt, eta, phi in own][:keep]


def assert_lists(jagged, expected):
    assert jagged.counts.tolist() == [len(each) for each in expected]
    flat = np.array([each for row in expected for each in row], dtype=np.float64).reshape(-1, jagged.values.shape[1])
    np.testing.assert_allclose(jagged.values, flat, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sample", ["all", "matched", "near"])
@settings(max_examples=40, deadline=None)
@given(events=st.lists(event, min_size=1, max_size=4))
def test_rows_of_random_events_are_those_of_plain_loops(section, sample, events):
    data = section(SPEC)
    spec = data.samples[sample]
    table = make_rows(data, data.layouts["default"], spec.rows, spec, chunk_of(events))
    expected = list(loop_rows(events, sample))
    assert table.entries.tolist() == [entry for entry, _, _ in expected]
    assert table.columns["id"].tolist() == [entry for entry, _, _ in expected]
    jets = [events[entry][0][place] for entry, place, _ in expected]
    np.testing.assert_array_equal(table.columns["jet_pt"], [jet[0] for jet in jets])
    np.testing.assert_array_equal(table.columns["z"], [target[2] if target else 0.0 for *_, target in expected])
    assert_lists(table.inputs["clusters"], [loop_clusters(events[entry], place) for entry, place, _ in expected])
    assert_lists(table.inputs["tracks"], [loop_tracks(events[entry], place, 5) for entry, place, _ in expected])
    np.testing.assert_allclose(table.inputs["jet"], np.array([jet[:2] for jet in jets]).reshape(-1, 2))
    tracks = [loop_tracks(events[entry], place, None) for entry, place, _ in expected]
    assert table.columns["n"].tolist() == [len(each) for each in tracks]
    np.testing.assert_array_equal(table.columns["leading"], [each[0][0] if each else 0.0 for each in tracks])


def one_event(jets, clusters=(), tracks=(), targets=()):
    return [(list(jets), list(targets), list(clusters), list(tracks))]


def rows_of(section, sample, events, **changes):
    data = section(SPEC, **changes)
    spec = data.samples[sample]
    return make_rows(data, data.layouts["default"], spec.rows, spec, chunk_of(events))


def test_jet_without_clusters_is_a_row(section):
    events = one_event([(50.0, 0.0, 0.0), (60.0, 1.0, 1.0)], clusters=[(1, 9.0, 1.0, 1.0, 1.0, 0.0)])
    table = rows_of(section, "all", events)
    assert len(table) == 2
    assert table.inputs["clusters"].counts.tolist() == [0, 1]


def test_limit_of_a_match_is_inclusive_and_its_lack_takes_any_distance(section):
    events = one_event([(50.0, 0.0, 0.0)], targets=[(0.5, 0.0, 1.0), (0.5000001, 0.0, 1.0)])
    assert len(rows_of(section, "near", events)) == 1
    assert len(rows_of(section, "matched", events)) == 2


def test_two_objects_may_match_one_jet_and_make_two_rows(section):
    events = one_event([(50.0, 0.0, 0.0)], clusters=[(0, 9.0, 0, 0, 1, 1)], targets=[(0.1, 0, 1.0), (0.2, 0, 2.0)])
    table = rows_of(section, "near", events)
    assert table.columns["z"].tolist() == [1.0, 2.0]
    assert table.inputs["clusters"].counts.tolist() == [1, 1]


def test_match_goes_around_in_phi(section):
    events = one_event([(50.0, 0.0, 3.1), (50.0, 0.0, 2.0)], targets=[(0.0, -3.1, 1.0)])
    table = rows_of(section, "near", events)
    assert len(table) == 1
    assert table.inputs["tracks"].counts.tolist() == [0]


def test_track_of_several_jets_is_in_each_once(section):
    events = one_event([(50.0, 0.0, 0.0), (60.0, 1.0, 1.0)], tracks=[([0, 1, 1], 7.0, 0.5, 0.5), ([-1], 8.0, 0.0, 0.0)])
    table = rows_of(section, "all", events)
    assert table.inputs["tracks"].counts.tolist() == [1, 1]
    np.testing.assert_allclose(table.inputs["tracks"].values[:, 1], [0.5, -0.5])


def test_equal_keys_keep_the_order_of_the_file_and_nan_comes_last(section):
    jets = [(50.0, 0.0, 0.0)]
    clusters = [(0, 5.0, 0.0, 0.0, a, 0.0) for a in (1.0, 2.0)] + [(0, 9.0, 0.0, 0.0, 3.0, 0.0)]
    inputs = {"clusters": {"of": "clusters", "order": "-pt", "keep": 9, "features": {"a": {}, "pt": {}}}}
    table = rows_of(section, "all", one_event(jets, [(0, math.nan, 0.0, 0.0, 4.0, 0.0), *clusters]), inputs=inputs)
    assert table.inputs["clusters"].values[:, 0].tolist() == [3.0, 1.0, 2.0, 4.0]


def test_mirror_leaves_a_zero_sum_as_it_is(section):
    jets = [(50.0, 0.0, 0.0)]
    clusters = [(0, 5.0, eta, 0.0, 1.0, 0.0) for eta in (-1.0, 1.0)]
    features = {"eta": {"mirror": "sum(eta * pt)"}}
    inputs = {"clusters": {"of": "clusters", "keep": 9, "features": features}}
    table = rows_of(section, "all", one_event(jets, clusters), inputs=inputs)
    assert table.inputs["clusters"].values[:, 0].tolist() == [-1.0, 1.0]


def test_reductions_of_features_see_the_kept_objects_alone(section):
    jets = [(50.0, 0.0, 0.0)]
    clusters = [(0, pt, 0.0, 0.0, 1.0, 0.0) for pt in (1.0, 2.0, 4.0)]
    features = {"share": {"expression": "pt / sum(pt)"}, "n": {"expression": "count(pt > 1)"}}
    inputs = {"clusters": {"of": "clusters", "order": "-pt", "keep": 2, "features": features}}
    table = rows_of(section, "all", one_event(jets, clusters), inputs=inputs)
    np.testing.assert_allclose(table.inputs["clusters"].values, [[4 / 6, 2], [2 / 6, 2]], rtol=1e-7)
