"""Parquet and HDF5: lists, chunks over row groups, structured arrays, and sentences about bad files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.columns import Jagged
from engine.data.readers.base import expand_files, guess_format, open_reader
from engine.errors import DataError


@pytest.fixture
def table() -> pa.Table:
    """Nine rows with every supported type; some lists are empty."""
    lists = [[float(i)] * (i % 3) for i in range(9)]
    return pa.table(
        {
            "n": pa.array(range(9), pa.uint32()),
            "x": pa.array([0.5, None, 2.5, *range(6)], pa.float32()),
            "lists": pa.array(lists, pa.list_(pa.float64())),
            "nested": pa.array([[row, []] for row in lists], pa.large_list(pa.list_(pa.float64()))),
            "fixed": pa.array([[i, -i] for i in range(9)], pa.list_(pa.int16(), 2)),
            "name": pa.array([f"row {i}" for i in range(9)]),
            "maybe": pa.array([1, None, 3, *range(6)], pa.int64()),
            "when": pa.array([0] * 9, pa.timestamp("s")),
        }
    )


@pytest.mark.parametrize("step", [1, 4, 8, 9, 10])
def test_chunks_over_row_groups_add_up(step: int, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    reader = open_reader(str(tmp_path / "a.parquet"))
    names = ["n", "lists", "nested", "fixed", "name"]
    chunks = [reader.read(names, start, start + step) for start in range(0, 9, step)]
    assert np.concatenate([chunk["n"] for chunk in chunks]).tolist() == list(range(9))
    assert np.concatenate([chunk["name"] for chunk in chunks]).tolist() == [f"row {i}" for i in range(9)]
    assert np.concatenate([chunk["lists"].counts for chunk in chunks]).tolist() == [0, 1, 2] * 3
    assert np.concatenate([chunk["lists"].values for chunk in chunks]).tolist() == [1, 2, 2, 4, 5, 5, 7, 8, 8]
    assert np.concatenate([chunk["nested"].values.counts for chunk in chunks]).tolist() == [0, 0, 1, 0, 2, 0] * 3
    assert np.concatenate([chunk["fixed"].values for chunk in chunks]).tolist() == [
        v for i in range(9) for v in (i, -i)
    ]


def test_types_of_columns_are_known_without_reading(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    branches = open_reader(str(tmp_path / "a.parquet")).branches
    assert [(b.dtype, b.depth) for b in list(branches.values())[:6]] == [
        ("uint32", 0),
        ("float32", 0),
        ("float64", 1),
        ("float64", 2),
        ("int16", 1),
        ("string", 0),
    ]
    assert not branches["when"].readable


def test_missing_numbers_are_nan_or_an_error(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    reader = open_reader(str(tmp_path / "a.parquet"))
    values = reader.read(["x"], 0, 3)["x"]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [0.5, np.nan, 2.5])
    with pytest.raises(DataError, match="column 'maybe' has 1 missing values"):
        reader.read(["maybe"], 0, 9)
    assert reader.read(["maybe"], 2, 4)["maybe"].tolist() == [3, 0]
    with pytest.raises(DataError, match=r"column 'when' cannot be read \(timestamp"):
        reader.read(["when"], 0, 9)


def test_an_empty_parquet_file_reads_as_no_rows(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    reader = open_reader(str(tmp_path / "a.parquet"))
    found = reader.read(["n", "lists", "nested"], 0, 5)
    assert reader.entries == 0
    assert (len(found["n"]), len(found["lists"]), len(found["nested"])) == (0, 0, 0)


def test_published_rows_read_from_parquet(reference_data: Path) -> None:
    reader = open_reader(str(reference_data / "calratio" / "reference" / "bib_as_bib.parquet"))
    row = reader.read(["jet_pt", "clus_pt_0", "eventNumber"], 0, 1)
    assert row["jet_pt"].tolist() == [60.1982109375]
    assert row["clus_pt_0"].tolist() == [41087.694633842766]
    assert row["eventNumber"].tolist() == [823061996]


def test_damaged_parquet_ends_in_a_sentence(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table.drop_columns(["maybe", "when"]), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for length in np.random.default_rng(0).integers(0, len(whole), 40):
        (tmp_path / "a.parquet").write_bytes(whole[:length])
        with pytest.raises(DataError, match="cannot be read as a Parquet file"):
            open_reader(str(tmp_path / "a.parquet"))


@pytest.fixture
def hdf5(tmp_path: Path) -> str:
    """Plain columns in a group, and structured arrays of jets and of their tracks."""
    path = tmp_path / "a.h5"
    jets = np.zeros(6, dtype=[("pt", "f4"), ("eta", ">f8"), ("axis", "f4", (3,))])
    jets["pt"], jets["eta"] = np.arange(6), -np.arange(6)
    tracks = np.zeros((6, 5), dtype=[("d0", "f2"), ("valid", "?")])
    tracks["d0"] = np.arange(30).reshape(6, 5) / 8
    tracks["valid"][:, :2] = True
    with h5py.File(path, "w") as file:
        file["events/n"] = np.arange(6, dtype=">i4")
        file["events/matrix"] = np.arange(12.0).reshape(6, 2)
        file["events/name"] = [f"row {i}" for i in range(6)]
        ragged = file.create_dataset("events/ragged", (6,), dtype=h5py.vlen_dtype(np.float32))
        for i in range(6):
            ragged[i] = np.full(i % 3, i, dtype=np.float32)
        file["salt/jets"], file["salt/tracks"] = jets, tracks
        file["other/short"] = np.arange(2)
        file["other/long"] = np.arange(3)
    return str(path)


def test_datasets_of_a_group_are_columns(hdf5: str) -> None:
    reader = open_reader(hdf5, tree="events")
    found = reader.read(["n", "matrix", "name", "ragged"], 2, 5)
    assert found["n"].tolist() == [2, 3, 4]
    assert found["n"].dtype == np.dtype(np.int32)
    assert isinstance(found["matrix"], Jagged)
    assert found["matrix"].values.tolist() == [4, 5, 6, 7, 8, 9]
    assert found["name"].tolist() == ["row 2", "row 3", "row 4"]
    assert found["ragged"].counts.tolist() == [2, 0, 1]
    assert found["ragged"].values.tolist() == [2, 2, 4]


def test_fields_of_structured_arrays_are_columns(hdf5: str) -> None:
    reader = open_reader(hdf5, tree="salt")
    assert {name: (b.dtype, b.depth) for name, b in reader.branches.items()} == {
        "jets/pt": ("float32", 0),
        "jets/eta": ("float64", 0),
        "jets/axis": ("float32", 1),
        "tracks/d0": ("float16", 1),
        "tracks/valid": ("bool", 1),
    }
    found = reader.read(["tracks/valid", "jets/eta", "tracks/d0", "jets/axis"], 4, 99)
    assert found["jets/eta"].tolist() == [-4, -5]
    assert found["jets/eta"].dtype.isnative
    assert found["tracks/valid"].values.sum() == 4
    assert found["tracks/d0"].values.tolist() == [i / 8 for i in range(20, 30)]
    assert found["jets/axis"].counts.tolist() == [3, 3]
    assert list(open_reader(hdf5, tree="salt/jets").branches) == ["pt", "eta", "axis"]


def test_hdf5_mistakes_are_sentences(hdf5: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no group or dataset 'jet'; at the top there is 'events', 'other', 'salt'"):
        open_reader(hdf5, tree="jet")
    with pytest.raises(DataError, match="different lengths"):
        open_reader(hdf5, tree="other")
    whole = Path(hdf5).read_bytes()
    for length in np.random.default_rng(0).integers(0, len(whole) - 100, 20):
        (tmp_path / "b.h5").write_bytes(whole[:length])
        with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
            open_reader(str(tmp_path / "b.h5"), tree="events")


def test_the_ending_says_the_format_unless_it_is_given(tmp_path: Path) -> None:
    assert [guess_format(name) for name in ("a.root", "b.PQ", "c.hdf5", "d.pkl", "https://x.org/e.parquet?v=1")] == [
        "root",
        "parquet",
        "hdf5",
        "pickle",
        "parquet",
    ]
    with pytest.raises(DataError, match="write `format:`"):
        guess_format("a.csv")
    with pytest.raises(DataError, match="there is no such file"):
        open_reader(str(tmp_path / "a.csv"), "root")


def test_globs_are_sorted_and_a_useless_one_is_told(tmp_path: Path) -> None:
    for name in ("b1.root", "a.root", "b0.root"):
        (tmp_path / name).touch()
    (tmp_path / "c.root").mkdir()
    found = expand_files([f"{tmp_path}/b*.root", f"{tmp_path}/*.root", "root://host//file.root"])
    assert found == [f"{tmp_path}/a.root", f"{tmp_path}/b0.root", f"{tmp_path}/b1.root", "root://host//file.root"]
    with pytest.raises(DataError, match=r"no file matches '.*/c\.root', which is a folder; name the files in it"):
        expand_files([f"{tmp_path}/c.root"])
    with pytest.raises(DataError, match=f"there is no directory '{tmp_path}/data'"):
        expand_files([f"{tmp_path}/data/x/*.root"])


def test_hdf5_groups_with_themselves_or_links_to_nowhere_inside(tmp_path: Path) -> None:
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["again"] = file["/"]
    assert open_reader(str(path)).entries == 0
    with h5py.File(path, "w") as file:
        file["lost"] = h5py.SoftLink("/nowhere")
        file["pt"] = np.arange(3.0)
    assert list(open_reader(str(path)).branches) == ["pt"]
