"""Targets of rows, of the objects that an input keeps and of their pairs, against plain loops over random jets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import targets
from engine.data.columns import Jagged
from engine.data.rows import make_rows

SPEC = yaml.safe_load((Path(__file__).parent / "specs" / "decays.yaml").read_text())["data"]
KEEP = 4
TRACK = ("trk_pt", "trk_d0", "trk_d0err", "trk_phi", "trk_eta", "trk_ctgtheta", "trk_vtx_index", "trk_origin")
HADRON = ("hadron_decx", "hadron_decy", "hadron_decz")

pt = st.sampled_from([0.5, 1.0, 2.0, 7.5, 30.0, 60.0])
d0 = st.sampled_from([-3.0, -0.5, 0.0, 0.5, 0.5, 2.0, math.nan])
angle = st.sampled_from([-3.1, -1.0, 0.0, 0.3, 3.1])
track = st.tuples(
    pt, d0, st.sampled_from([0.1, 0.5]), angle, st.sampled_from([-2.0, 0.0, 1.5]), st.just(0.5),
    st.integers(-1, 2).map(float), st.integers(-1, 3).map(float),
)  # fmt: skip
hadron = st.tuples(*(st.sampled_from([-2.0, 0.0, 1.0, 5.0]) for _ in range(3)))
jet = st.tuples(
    st.tuples(st.sampled_from([20.0, 100.0]), angle, st.sampled_from([0, 4, 5, 15])),
    st.lists(track, max_size=7),
    st.lists(hadron, max_size=2),
)


def chunk_of(jets):
    own = np.array([each[0] for each in jets]).reshape(-1, 3)
    chunk = {"jet_pt": own[:, 0], "jet_phi": own[:, 1], "jet_flav": own[:, 2], "jet_eta": np.full(len(jets), 0.25)}
    chunk["eventnb"] = np.arange(len(jets))
    for names, place in ((TRACK, 1), (HADRON, 2)):
        counts = np.array([len(each[place]) for each in jets], dtype=np.int64)
        flat = np.array([thing for each in jets for thing in each[place]]).reshape(-1, len(names))
        chunk.update({name: Jagged.from_counts(counts, flat[:, i]) for i, name in enumerate(names)})
    return chunk


def kept(tracks):
    """Tracks that the inputs keep, in their order: NaN last, equal ones as in the file."""
    chosen = [dict(zip(TRACK, each, strict=True)) for each in tracks if each[0] > 1]
    significance = [-abs(each["trk_d0"] / each["trk_d0err"]) for each in chosen]
    order = sorted(range(len(chosen)), key=lambda i: (math.isnan(significance[i]), significance[i], i))
    return [chosen[i] for i in order][:KEEP]


def wrapped(difference):
    return difference - 2 * math.pi * round(difference / (2 * math.pi))


def table(section, jets):
    data = section(SPEC)
    sample = data.samples["jets"]
    return make_rows(data, data.layouts["default"], sample.rows, sample, chunk_of(jets))


def assert_lists(found, expected, dtype):
    assert found.values.dtype == dtype
    assert found.counts.tolist() == [len(each) for each in expected]
    flat = [value for each in expected for value in each]
    np.testing.assert_allclose(found.values, np.array(flat, float).reshape(found.values.shape), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(jets=st.lists(jet, min_size=1, max_size=6))
def test_targets_of_objects_are_those_of_the_kept_objects_in_their_order(section, jets):
    found = table(section, jets)
    rows = [(own, kept(tracks)) for own, tracks, _ in jets]
    classes = {0.0: 0, 1.0: 1, 2.0: 2, 3.0: 3}
    origin = [
        [classes.get(t["trk_origin"], -1) if t["trk_pt"] < 50 else -1 for t in tracks] for _, tracks in rows
    ]  # fmt: skip
    assert_lists(found.targets["origin"], origin, np.int8)
    beauty = [[t["trk_origin"] in (0.0, 1.0) for t in tracks] for _, tracks in rows]
    assert_lists(found.targets["from_hadron"], beauty, np.int8)
    direction = [
        [(wrapped(t["trk_phi"] - own[1]), t["trk_pt"] / sum(o["trk_pt"] for o in tracks)) for t in tracks]
        for own, tracks in rows
    ]
    assert_lists(found.targets["direction"], direction, np.float32)
    turned = [[wrapped(t["trk_phi"] - own[1]) for t in tracks] for own, tracks in rows]
    assert_lists(found.targets["turned"], turned, np.float32)
    assert_lists(
        found.inputs["perigee"],
        [[(t["trk_d0"], t["trk_phi"], math.atan2(1, 0.5)) for t in ts] for _, ts in rows],
        np.float32,
    )
    of_rows = [
        (t["trk_d0"], math.log(t["trk_pt"] / own[0]), math.hypot(t["trk_eta"] - 0.25, wrapped(t["trk_phi"] - own[1])))
        for own, tracks in rows
        for t in tracks
    ]
    np.testing.assert_allclose(found.inputs["tracks"].values[:, :3], np.reshape(of_rows, (-1, 3)), rtol=1e-5)
    places = found.inputs["tracks"].values[:, 3]
    np.testing.assert_array_equal(places, [place for _, tracks in rows for place in range(len(tracks))])


@settings(max_examples=60, deadline=None)
@given(jets=st.lists(jet, min_size=1, max_size=6), at_once=st.sampled_from([1, 10, 1000]))
def test_targets_of_pairs_are_those_of_the_kept_objects_in_their_order(section, jets, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "MOST_PAIRS", at_once)
        found = table(section, jets)
    rows = [(own, kept(tracks)) for own, tracks, _ in jets]
    same, distance, combined = [], [], []
    for own, tracks in rows:
        for group, absent, value in (
            (same, -1, lambda a, b, own=own: pair_of_vertices(a, b)),
            (distance, math.nan, lambda a, b, own=own: abs(a["trk_d0"] - b["trk_d0"]) * own[0]),
            (
                combined,
                -1,
                lambda a, b, own=own: {0.0: 0, 10.0: 1, 1.0: 2}.get(a["trk_origin"] + 10 * b["trk_origin"], -1),
            ),
        ):
            row = [[value(a, b) for b in tracks] + [absent] * (KEEP - len(tracks)) for a in tracks]
            group.append(row)
    assert_lists(found.targets["same_vertex"], same, np.int8)
    assert_lists(found.targets["distance"], distance, np.float32)
    assert_lists(found.targets["combination"], combined, np.int8)


def pair_of_vertices(left, right):
    if left["trk_origin"] >= 3 or right["trk_origin"] >= 3:
        return -1
    return left["trk_vtx_index"] == right["trk_vtx_index"]


@settings(max_examples=60, deadline=None)
@given(jets=st.lists(jet, min_size=1, max_size=6))
def test_targets_and_factors_of_rows(section, jets):
    found = table(section, jets)
    nothing = [math.nan] * 3
    first = [list(hadrons[0]) if hadrons else nothing for _, _, hadrons in jets]
    valid = [own[2] != 0 for own, _, _ in jets]
    vertex = [place if good else nothing for place, good in zip(first, valid, strict=True)]
    np.testing.assert_array_equal(found.targets["vertex"], np.array(vertex, np.float32))
    decay = [[place[0], len(hadrons)] for place, (_, _, hadrons) in zip(first, jets, strict=True)]
    np.testing.assert_array_equal(found.targets["decay"], np.array(decay, np.float32))
    length = [math.hypot(place[0], place[1]) for place in first]
    np.testing.assert_allclose(found.targets["length"], np.array(length, np.float32), rtol=1e-6)
    flavour = [{0: 0, 4: 1, 5: 2}.get(own[2], -1) for own, _, _ in jets]
    assert found.targets["flavour"].tolist() == flavour
    assert found.targets["flavour"].dtype == np.int32
    np.testing.assert_allclose(found.factors["shared"], [1 / max(1, len(tracks)) for _, tracks, _ in jets])
    np.testing.assert_array_equal(found.factors["balanced"], [own[0] for own, _, _ in jets])
    # a column without objects is 0, as everywhere but in targets
    np.testing.assert_array_equal(
        found.columns["length"], [hadrons[0][0] if hadrons else 0.0 for _, _, hadrons in jets]
    )


@settings(max_examples=20, deadline=None)
@given(jets=st.lists(jet, min_size=1, max_size=6))
def test_the_entry_may_be_the_row_under_any_name(section, jets):
    """Scalar branches as `jets` or as `event`: the same rows."""
    text = yaml.safe_dump(SPEC, sort_keys=False)
    renamed = section(yaml.safe_load(text.replace("jets", "event")))
    sample = renamed.samples["event"]
    found = make_rows(renamed, renamed.layouts["default"], sample.rows, sample, chunk_of(jets))
    expected = table(section, jets)
    for group in ("inputs", "targets", "columns", "factors"):
        for name, values in getattr(expected, group).items():
            other = getattr(found, group)[name]
            pairs = [(values.values, other.values)] if isinstance(values, Jagged) else [(values, other)]
            for one, two in pairs:
                np.testing.assert_array_equal(one, two)


def test_what_is_not_a_number_does_not_make_a_target_valid(section):
    jets = [((20.0, 0.0, 5), [(5.0, math.nan, 0.1, 0, 0, 0.5, 1.0, 0.0), (5.0, 1.0, 0.1, 0, 0, 0.5, 1.0, 0.0)], [])]
    data = section(
        SPEC,
        targets={
            "near": {"of": "tracks", "expression": "origin", "classes": {"b": 0, "c": 1}, "valid": "d0 - 1 + 1"},
            "late": {"expression": 1, "valid": "first(hadrons.x)"},
            "yes": {"expression": "jets.pt", "valid": True},
        },
    )
    sample = data.samples["jets"]
    found = make_rows(data, data.layouts["default"], sample.rows, sample, chunk_of(jets))
    assert found.targets["near"].values[:, 0].tolist() == [0, -1]
    assert np.isnan(found.targets["late"]).tolist() == [True]
    assert found.targets["yes"].tolist() == [20.0]


def test_labels_of_samples_are_never_classes_of_objects(section):
    """`b` is a class of the rows and of the tracks: the label says that of the rows."""
    data = section(
        SPEC,
        samples={"jets": {"files": ["none.parquet"], "rows": "jets", "label": "b"}},
        targets={"kind": {"classes": ["b", "light"]}, "origin": SPEC["targets"]["origin"]},
    )
    sample = data.samples["jets"]
    jets = [((20.0, 0.0, 5), [(5.0, 1.0, 0.1, 0, 0, 0.5, 1.0, 2.0)], [])]
    found = make_rows(data, data.layouts["default"], sample.rows, sample, chunk_of(jets))
    assert found.targets["kind"].tolist() == [0]
    assert found.targets["origin"].values.tolist() == [[2]]


def test_more_than_127_classes_take_two_bytes(section):
    classes = {f"c{i}": i for i in range(200)}
    data = section(SPEC, targets={"many": {"of": "tracks", "expression": "origin", "classes": classes}})
    assert targets.stored_type(data.targets["many"]) == "int16"


def test_nothing_is_learnt_at_prediction(section):
    data = section(SPEC)
    jets = [((20.0, 0.0, 5), [(5.0, 1.0, 0.1, 0, 0, 0.5, 1.0, 0.0)], [])]
    without = {name: column for name, column in chunk_of(jets).items() if name not in ("trk_vtx_index", "trk_origin")}
    table = make_rows(data, data.layouts["default"], data.samples["jets"].rows, None, without)
    assert not table.targets
    assert not table.factors
    assert len(table.inputs["tracks"].values) == 1
