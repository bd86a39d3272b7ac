"""ROOT files: the same values as uproot and the published rows, any range of entries, and sentences about bad files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from engine.data.columns import Column, Jagged
from engine.data.readers.base import open_reader
from engine.data.readers.root import RootReader
from engine.data.readers.root_uproot import to_column
from engine.errors import DataError
from engine.simulate.root_writer import RootWriter

TREE = "trees_DV_"
REAL = ["sig_311314_bad_object_small", "bib", "short_divert_analysis_file", "bib_25563461_slice_error"]
PREFIXES = ("jet_", "clus", "track_", "MSeg_", "llp_", "HLT_jet", "run", "event", "mcEvent", "is", "has", "pass_L1")


def same(left: Column, right: Column) -> bool:
    """Whether two columns have the same nesting, types and values."""
    if isinstance(left, Jagged) or isinstance(right, Jagged):
        both = isinstance(left, Jagged) and isinstance(right, Jagged)
        return both and np.array_equal(left.offsets, right.offsets) and same(left.values, right.values)
    return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


def cut(column: Column, start: int, stop: int) -> Column:
    """Entries [start, stop) of a column, as far as it has them."""
    start, stop = min(start, len(column)), min(stop, len(column))
    if not isinstance(column, Jagged):
        return column[start:stop]
    edges = column.offsets[start : stop + 1]
    return Jagged(edges - edges[0], cut(column.values, int(edges[0]), int(edges[-1])))


def events(count: int, seed: int = 0) -> dict[str, Column]:
    """Branches of every supported type; lists and inner lists may be empty."""
    rng = np.random.default_rng(seed)
    outer = rng.poisson(3, count)
    inner = rng.poisson(1, int(outer.sum()))
    total, nested = int(outer.sum()), int(inner.sum())
    return {
        "number": np.arange(count, dtype=np.uint64) + 2**60,
        "weight": rng.normal(size=count).astype(np.float32),
        "good": rng.uniform(size=count) < 0.5,
        "x": Jagged.from_counts(outer, rng.normal(size=total)),
        "flag": Jagged.from_counts(outer, rng.integers(-128, 128, total).astype(np.int8)),
        "owner": Jagged.from_counts(outer, Jagged.from_counts(inner, rng.integers(-1, 9, nested).astype(np.int32))),
    }


@pytest.fixture(scope="session")
def damaged_source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file of three baskets a branch."""
    path = tmp_path_factory.mktemp("root") / "events.root"
    with RootWriter(path, TREE) as writer:
        for block in range(3):
            writer.fill(events(20, block))
    return path.read_bytes()


@pytest.mark.parametrize("name", REAL)
def test_every_branch_of_the_real_files_is_what_uproot_reads(name: str, reference_data: Path) -> None:
    path = reference_data / "calratio" / f"{name}.root"
    reader = open_reader(str(path), tree=TREE)
    tree = uproot.open(path)[TREE]
    names = [branch for branch in reader.branches if branch.startswith(PREFIXES)]
    assert set(tree.keys()) == set(reader.branches)
    arrays = tree.arrays(names, how=dict)
    found = reader.read(names, 0, reader.entries)
    assert [branch for branch in names if not same(found[branch], to_column(arrays[branch].layout))] == []
    inside = reader.read(names, 3, 57)
    assert [branch for branch in names if not same(inside[branch], cut(found[branch], 3, 57))] == []


def test_the_simple_branches_of_real_files_need_no_uproot(reference_data: Path) -> None:
    reader = RootReader(str(reference_data / "calratio" / "sig_311314_bad_object_small.root"), TREE)
    assert set(reader.branches) - set(reader._storage) == {"campaign"}
    assert reader.branches["track_jetIndex"].depth == 2
    assert reader.branches["campaign"].dtype == "string"
    assert set(reader.read(["campaign"], 0, 100)["campaign"]) == {"mc16a"}


def test_good_jets_of_the_signal_file_are_the_published_rows(reference_data: Path) -> None:
    reader = open_reader(str(reference_data / "calratio" / "sig_311314_bad_object_small.root"), tree=TREE)
    columns = reader.read(["jet_pT", "jet_eta", "jet_phi", "eventNumber", "mcEventWeight"], 0, reader.entries)
    pt, eta, phi = (columns[f"jet_{name}"] for name in ("pT", "eta", "phi"))
    good = (pt.values >= 40) & (pt.values < 500) & (np.abs(eta.values) <= 2.5)
    rows = pq.read_table(reference_data / "calratio" / "reference" / "sig311314_as_qcd.parquet").to_pydict()
    np.testing.assert_array_equal(pt.values[good], rows["jet_pt"])
    np.testing.assert_array_equal(eta.values[good], rows["jet_eta"])
    np.testing.assert_array_equal(phi.values[good], rows["jet_phi"])
    np.testing.assert_array_equal(columns["eventNumber"][pt.parents[good]], rows["eventNumber"])
    np.testing.assert_array_equal(columns["mcEventWeight"][pt.parents[good]], np.float32(rows["mcEventWeight"]))


@pytest.mark.parametrize("entries", [0, 1, 7, 8])
def test_chunks_add_up_to_the_whole_file(entries: int, tmp_path: Path) -> None:
    step = 7
    with RootWriter(tmp_path / "a.root", TREE) as writer:
        for block, count in enumerate([min(entries, 5), max(entries - 5, 0)]):  # baskets do not end where chunks do
            writer.fill(events(count, block))
    reader = open_reader(str(tmp_path / "a.root"))
    assert reader.entries == entries
    whole = reader.read(list(reader.branches), 0, entries)
    chunks = [reader.read(list(reader.branches), at, at + step) for at in range(0, max(entries, 1), step)]
    for name, column in whole.items():
        for number, chunk in enumerate(chunks):
            assert same(chunk[name], cut(column, number * step, min((number + 1) * step, entries)))
    assert sum(len(chunk["x"]) for chunk in chunks) == entries


def test_arrays_and_counted_arrays_are_lists(tmp_path: Path) -> None:
    lists = ak.Array([[1.0, 2.0], [], [3.0]])
    fixed = np.arange(12, dtype=np.int16).reshape(3, 4)
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("t", {"lists": "var * float64", "fixed": ("int16", (4,)), "square": ("float32", (2, 3))})
        file["t"].extend({"lists": lists, "fixed": fixed, "square": np.ones((3, 2, 3), np.float32)})
    reader = open_reader(str(tmp_path / "a.root"))
    found = reader.read(["lists", "fixed", "square"], 1, 3)
    assert same(found["lists"], Jagged(np.array([0, 0, 1]), np.array([3.0])))
    assert same(found["fixed"], Jagged(np.array([0, 4, 8]), fixed[1:].reshape(-1)))
    assert found["square"].values.counts.tolist() == [3, 3, 3, 3]
    assert reader.branches["square"].depth == 2


def test_an_rntuple_reads_like_a_tree(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mkrntuple(
            "events",
            {
                "n": np.arange(3, dtype=np.int32),
                "x": ak.Array([[1.5], [], [2.5, 3.5]]),
                "o": ak.Array([[[1], []], [], [[2]]]),
            },
        )
    reader = open_reader(str(tmp_path / "a.root"), tree="events")
    assert (reader.entries, reader.branches["x"].dtype, reader.branches["o"].depth) == (3, "float64", 2)
    found = reader.read(["n", "x", "o"], 1, 3)
    assert found["n"].tolist() == [1, 2]
    assert same(found["x"], Jagged(np.array([0, 0, 2]), np.array([2.5, 3.5])))
    assert found["o"].counts.tolist() == [0, 1]


def test_a_tree_without_events_and_branches_has_no_entries(reference_data: Path) -> None:
    reader = open_reader(str(reference_data / "calratio" / "empty_divert_analysis_file.root"), tree=TREE)
    assert (reader.entries, dict(reader.branches), reader.read([], 0, 10)) == (0, {}, {})


def test_a_missing_branch_is_named_with_its_neighbours(reference_data: Path) -> None:
    reader = open_reader(str(reference_data / "calratio" / "bib.root"), tree=TREE)
    with pytest.raises(DataError, match=r"bib.root: there is no branch 'jet_pt'; the nearest are jet_pT"):
        reader.read(["jet_phi", "jet_pt"], 0, 1)


def test_a_missing_tree_is_told_with_what_is_there(reference_data: Path) -> None:
    path = str(reference_data / "calratio" / "short_divert_analysis_file.root")
    with pytest.raises(DataError, match="there is no tree 'trees'; it holds 'trees_DV_'"):
        open_reader(path, tree="trees")
    with pytest.raises(DataError, match="'cutflow' is not a tree; it holds 'trees_DV_'"):
        open_reader(path, tree="cutflow")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "it is empty"), (b"root", "truncated"), (b"PAR1 and more", "is not a ROOT file")],
)
def test_other_content_under_the_ending_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.root").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        open_reader(str(tmp_path / "a.root"))


def test_a_file_cut_anywhere_is_said_to_be_truncated(damaged_source: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "a.root"
    for length in rng.integers(5, len(damaged_source), 80):
        path.write_bytes(damaged_source[:length])
        with pytest.raises(DataError, match="truncated"):
            open_reader(str(path))


def read_all(path: Path) -> dict[str, Column]:
    """Everything of a file, in two chunks."""
    reader = open_reader(str(path))
    try:
        reader.read(list(reader.branches), 0, 25)
        return reader.read(list(reader.branches), 25, reader.entries)
    finally:
        reader.close()


def damage(kind: str) -> Callable[[bytearray, np.random.Generator], None]:
    """Ways to damage a file without changing its length."""

    def flip(data: bytearray, rng: np.random.Generator) -> None:
        for place in rng.integers(0, len(data), 3):
            data[place] ^= int(rng.integers(1, 256))

    def blank(data: bytearray, rng: np.random.Generator) -> None:
        start = int(rng.integers(0, len(data)))
        data[start : start + 200] = bytes(len(data[start : start + 200]))

    return {"flip": flip, "blank": blank}[kind]


@pytest.mark.parametrize("kind", ["flip", "blank"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_end_in_a_sentence_or_in_nothing(kind: str, damaged_source: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    told: list[str] = []
    for seed in range(150):
        data = bytearray(damaged_source)
        damage(kind)(data, np.random.default_rng(seed))
        path.write_bytes(data)
        try:
            read_all(path)
        except DataError as error:
            told.append(str(error))
    assert len(told) > 50
    assert all(str(path) in sentence and "\n" not in sentence for sentence in told)
