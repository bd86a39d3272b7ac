"""pandas' HDF5 files without pandas: what pandas reads, tables joined by their index, and nothing run from a pickle."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine.data.columns import Jagged
from engine.data.readers.base import open_reader
from engine.errors import DataError
from engine.simulate.pandas_writer import Index, PandasWriter

Writer = Callable[..., Path]


def opened(path: Path, tree: str | None = None) -> Any:
    return open_reader(str(path), "pandas_hdf", tree)


@pytest.fixture
def events(tmp_path: Path) -> Writer:
    """A file of three events with 2, 0 and 3 particles; `order` shuffles the rows of the particles."""

    def write(order: tuple[int, ...] = (0, 1, 2, 3, 4), numbers: tuple[int, ...] = (7, 9, 8), text: Any = None) -> Path:
        path, rows = tmp_path / "events.h5", np.array(order)
        event, place = np.array([0, 0, 2, 2, 2])[rows], np.array([0, 1, 0, 1, 2])[rows]
        texts = np.empty(len(numbers), dtype=object)
        texts[:] = text or [f"event {number}" for number in numbers]
        with PandasWriter(path) as writer:
            levels = [
                Index("label", np.array([False, True]), (event == 2).astype(int)),
                Index("evtNum", np.array([7, 9, 8]), event),
                Index("arrayIndex", np.array([1, 2, 3]), place),
            ]
            columns = {"code": np.arange(5)[rows] * 10, "e": np.arange(5)[rows] * 0.5, "mass": np.arange(5.0)[rows]}
            writer.write("particles", levels, columns)
            writer.write("decays", [Index("evtNum", np.array(numbers))], {"ok": np.array(numbers) > 7, "text": texts})
        return path

    return write


def test_rows_become_entries_and_tables_are_joined(events: Writer) -> None:
    reader = opened(events())
    assert reader.entries == 2  # the event without particles is in no row of the first table
    found = reader.read(list(reader.branches), 0, 2)
    assert found["evtNum"].tolist() == [7, 8]
    assert found["label"].tolist() == [False, True]
    assert found["text"].tolist() == ["event 7", "event 8"]
    assert found["ok"].tolist() == [False, True]
    assert found["code"].offsets.tolist() == [0, 2, 5]
    assert found["code"].values.tolist() == [0, 10, 20, 30, 40]
    assert found["e"].values.tolist() == [0, 0.5, 1, 1.5, 2]
    assert found["arrayIndex"].values.tolist() == [1, 2, 1, 2, 3]
    part = reader.read(["mass", "text"], 1, 99)
    assert (part["mass"].values.tolist(), part["text"].tolist()) == ([2, 3, 4], ["event 8"])


def test_types_and_depths_are_known_without_reading(events: Writer) -> None:
    branches = opened(events()).branches
    assert {name: (info.dtype, info.depth) for name, info in branches.items()} == {
        "label": ("bool", 0),
        "evtNum": ("int64", 0),
        "arrayIndex": ("int64", 1),
        "code": ("int64", 1),
        "e": ("float64", 1),
        "mass": ("float64", 1),
        "ok": ("bool", 0),
        "text": ("string", 0),
    }


def test_rows_of_an_event_that_are_apart_come_together(events: Writer) -> None:
    found = opened(events(order=(2, 0, 3, 1, 4))).read(["evtNum", "code", "text"], 0, 2)
    assert found["evtNum"].tolist() == [8, 7]
    assert found["text"].tolist() == ["event 8", "event 7"]
    assert found["code"].offsets.tolist() == [0, 3, 5]
    assert found["code"].values.tolist() == [20, 30, 40, 0, 10]


def test_one_table_alone(events: Writer) -> None:
    reader = opened(events(), "decays")
    assert reader.entries == 3
    found = reader.read(["evtNum", "text", "ok"], 1, 3)
    assert (found["evtNum"].tolist(), found["text"].tolist()) == ([9, 8], ["event 9", "event 8"])
    assert found["ok"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((7, 9), r"'decays' has no row for evtNum 8 of 'particles' \(1 are missing\)"),
        ((7, 9, 8, 8), "'decays' has evtNum 8 twice"),
        ((), r"'decays' has no row for evtNum 7 of 'particles' \(2 are missing\)"),
    ],
)
def test_tables_that_do_not_go_together_are_told(events: Writer, numbers: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(events(numbers=numbers)).read(["text"], 0, 2)


class Call:
    """Pickles as a call of any function."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


def _with_pickle(path: Path, content: bytes) -> Path:
    with h5py.File(path, "r+") as file:
        file["decays/block1_values"][0] = np.frombuffer(content, np.uint8)
    return path


def test_a_pickle_that_names_more_than_texts_is_refused(events: Writer) -> None:
    path = _with_pickle(events(), pickle.dumps(Call()))
    assert opened(path).read(["code"], 0, 1)["code"].values.tolist() == [0, 10]
    with pytest.raises(DataError, match=r"refused: the pickle names 'posix.system'"):
        opened(path).read(["text"], 0, 1)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(np.array([["x"]], dtype=object))[:-9]])
def test_a_damaged_pickle_ends_in_a_sentence(events: Writer, content: bytes) -> None:
    with pytest.raises(DataError, match="the text columns of 'decays'"):
        opened(_with_pickle(events(), content)).read(["text"], 0, 1)


def test_texts_of_another_shape_are_refused(events: Writer) -> None:
    path = _with_pickle(events(), pickle.dumps(np.array([["x"]], dtype=object)))
    with pytest.raises(DataError, match=r"have the shape \(1, 1\) in a table of 3 rows"):
        opened(path).read(["text"], 0, 1)


def test_missing_texts_stay_what_they_are(events: Writer) -> None:
    assert opened(events(text=["a", None, float("nan")])).read(["text"], 0, 1)["text"].tolist() == ["a"]


@pytest.mark.parametrize("size", [0, 100, 2000, 6000])
def test_a_truncated_file_ends_in_a_sentence(events: Writer, size: int) -> None:
    path = events()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"events\.h5"):
        opened(path).read(["evtNum", "code", "text"], 0, 2)


def replaced(file: Any, name: str, values: Any) -> None:
    """Other values in the place of a dataset, whose attributes stay."""
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update({key: value for key, value in attributes.items() if not isinstance(value, h5py.Empty)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file["decays"].attrs.update({"pandas_type": "frame_table"}),
            "'decays' is in pandas' table format",
        ),
        (lambda file: file["decays"].attrs.update({"pandas_type": "series"}), "'decays' is a series of pandas"),
        (lambda file: file["decays/axis1"].attrs.update({"name": "run"}), "the index 'run' of 'decays' is no level"),
        (lambda file: file.pop("particles/block0_values"), "cannot be read as an HDF5 file of pandas"),
        (lambda file: file["particles/axis1_label1"].write_direct(np.full(5, 9, "i1")), "has missing values"),
        (lambda file: [file[key].attrs.pop("pandas_type") for key in list(file)], "holds no table of pandas"),
        (lambda file: file["particles"].attrs.update({"axis1_nlevels": 0}), "cannot be read as an HDF5 file of pandas"),
        (lambda file: file["particles"].attrs.update({"nblocks": np.inf}), "cannot be read as an HDF5 file of pandas"),
        (lambda file: replaced(file, "particles/axis1_label1", np.int64(3)), "has the shape|cannot be read"),
        (lambda file: replaced(file, "particles/axis1_label1", np.zeros(2)), "the index of 'particles' cannot be read"),
    ],
)
def test_other_forms_are_told(events: Writer, change: Any, message: str) -> None:
    path = events()
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=message):
        assert opened(path).entries < 0


def test_without_the_format_the_file_says_which_one_it_is(events: Writer) -> None:
    for tree in (None, "decays"):
        with pytest.raises(DataError, match=r"events.h5: holds tables of pandas; write `format: pandas_hdf`"):
            open_reader(str(events()), None, tree)


def test_no_such_table(events: Writer) -> None:
    with pytest.raises(DataError, match=r"there is no table 'train'; there is decays, particles"):
        opened(events(), "train")


def test_the_stand_in_of_the_original(reference_data: Path) -> None:
    path = reference_data / "smartbkg" / "stand_in_300_events.h5"
    reader = opened(path)
    assert reader.entries == 300
    found = reader.read(["PDG", "label", "evtNum", "decay_str"], 0, 300)
    assert isinstance(found["PDG"], Jagged)
    assert found["evtNum"].tolist() == list(range(1, 301))
    assert found["label"].sum() == 23
    for number in (0, 17, 299):  # the text has the particles of the table in another notation
        words = [word for word in found["decay_str"][number].split() if word not in ("(-->", "<--)")]
        first, last = found["PDG"].offsets[number : number + 2]
        assert sorted(map(int, words)) == sorted(found["PDG"].values[first:last].tolist())


def test_what_pandas_writes_and_reads(events: Writer, tmp_path: Path) -> None:
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("tables")
    frame = pandas.read_hdf(events(), "particles")
    assert list(frame.index.names) == ["label", "evtNum", "arrayIndex"]
    assert frame["code"].tolist() == [0, 10, 20, 30, 40]
    texts = pandas.read_hdf(events(), "decays")
    assert texts["text"].tolist() == ["event 7", "event 9", "event 8"]
    frame.to_hdf(tmp_path / "pandas.h5", key="particles")
    texts.to_hdf(tmp_path / "pandas.h5", key="decays")
    ours, theirs = opened(events()), opened(tmp_path / "pandas.h5")
    assert theirs.branches == ours.branches
    one, two = ours.read(list(ours.branches), 0, 9), theirs.read(list(ours.branches), 0, 9)
    for name in one:
        for left, right in zip(
            one[name] if name == "text" else [one[name]], two[name] if name == "text" else [two[name]], strict=True
        ):
            np.testing.assert_array_equal(getattr(left, "values", left), getattr(right, "values", right))
