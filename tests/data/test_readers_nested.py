"""Files whose columns are not those of a plain table: records, columns of one name, datasets of other lengths."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.inspect_files import inspect_files
from engine.data.readers.base import expand_files, missing_branch, open_reader
from engine.errors import DataError
from engine.spec.load import load_text

SPEC = """\
name: nested
data:
  collections: {event: {run: run, %s}}
  samples: {a: {files: %s, rows: event}}
  inputs: {x: {of: event, features: {run: {}, x: {}}}}
  columns: {run: event.run}
  split: {by: [run]}
model: {graph: {y: {from: x, layers: [dense: 1]}}}
training:
  streams: {main: {samples: [a], batch: 2}}
  losses: {y: {output: {of: y}}}
  updates: [{minimize: y}]
"""


def found(fields: str, file: Path) -> list[str]:
    """What the metadata of a file contradict."""
    return [mistake.message for mistake in inspect_files(load_text(SPEC % (fields, file)).data).mistakes]


def test_fields_of_records_as_awkward_writes_them_are_branches(tmp_path: Path) -> None:
    events = ak.Array(
        [
            {"run": 1, "met": {"pt": 20.0, "phi": 0.5}, "jets": [{"pt": 1.0, "hits": [1, 2]}, {"pt": 2.0, "hits": []}]},
            {"run": 2, "met": {"pt": 30.0, "phi": -1.0}, "jets": []},
            {"run": 3, "met": {"pt": 40.0, "phi": 1.0}, "jets": [{"pt": 3.0, "hits": [3]}]},
        ]
    )
    ak.to_parquet(events, tmp_path / "a.parquet", row_group_size=2)
    with closing(open_reader(str(tmp_path / "a.parquet"))) as reader:
        depths = {name: info.depth for name, info in reader.branches.items()}
        assert depths == {"run": 0, "met.pt": 0, "met.phi": 0, "jets.pt": 1, "jets.hits": 2}
        read: dict[str, Any] = reader.read(list(depths), 1, 3)
        assert reader.read(["met.phi"], 0, 1)["met.phi"].tolist() == [0.5]
    assert read["run"].tolist() == [2, 3]
    assert read["met.pt"].tolist() == [30.0, 40.0]
    assert (read["jets.pt"].offsets.tolist(), read["jets.pt"].values.tolist()) == ([0, 0, 1], [3.0])
    assert read["jets.hits"].values.values.tolist() == [3]


def test_missing_records_are_missing_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {"s": pa.array([{"x": 1.0, "n": 1}, None]), "map": pa.array([[("a", 1)], []], pa.map_("str", "i8"))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with closing(open_reader(str(tmp_path / "a.parquet"))) as reader:
        assert not reader.branches["map"].readable
        np.testing.assert_equal(reader.read(["s.x"], 0, 2)["s.x"], [1.0, np.nan])
        with pytest.raises(DataError, match=r"'s\.n' has 1 missing values, and its type \(int64\) knows no NaN; write"):
            reader.read(["s.n"], 0, 2)


def test_columns_of_one_name_are_told_and_the_others_read(tmp_path: Path) -> None:
    columns = [pa.array([1.0, 2.0]), pa.array([3.0, 4.0]), pa.array([5, 6])]
    pq.write_table(pa.Table.from_arrays(columns, names=["x", "x", "run"]), tmp_path / "a.parquet")
    (sentence,) = found("x: x", tmp_path / "a.parquet")
    assert "branch 'x' is of a type that cannot be read (several columns have this name)" in sentence
    with closing(open_reader(str(tmp_path / "a.parquet"))) as reader:
        assert reader.read(["run"], 0, 2)["run"].tolist() == [5, 6]


def test_a_dataset_of_another_length_is_no_column(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run"], file["x"], file["edges"] = np.arange(4), np.ones(4), np.zeros(9)
    assert found("x: x", tmp_path / "a.h5") == []
    (sentence,) = found("x: edges", tmp_path / "a.h5")
    assert "branch 'edges' is of a type that cannot be read (its length is 9, that of most is 4)" in sentence


def test_the_one_list_among_numbers_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"run": [1, 2], "x": [1.0, 2.0], "list": [[1.0], []]}), tmp_path / "a.parquet")
    assert not found("x: x, z: list", tmp_path / "a.parquet")  # z is not used
    spec = (SPEC % ("x: x, z: list", tmp_path / "a.parquet")).replace("{run: {}, x: {}}", "{run: {}, x: {}, z: {}}")
    (mistake,) = inspect_files(load_text(spec).data).mistakes
    assert (
        "branch 'list' holds a list an entry, but 'run' of the same collection event holds one value" in mistake.message
    )


def test_an_empty_file_is_told_before_anything_is_prepared(tmp_path: Path) -> None:
    pq.write_table(pa.table({"run": pa.array([], "i8"), "x": pa.array([], "f8")}), tmp_path / "a.parquet")
    assert [each.partition(": ")[2] for each in found("x: x", tmp_path / "a.parquet")] == [
        "the file has no entries (sample a)"
    ]


def test_a_folder_is_told_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no file matches '.*', which is a folder; name the files in it, as in '.*/\*'"
    ):
        expand_files([str(tmp_path)])


def test_a_branch_within_a_table_or_record_is_the_nearest_one() -> None:
    assert "the nearest are jets/x, met.x" in missing_branch("x", ["number", "jets/x", "met.x", "xx"])
