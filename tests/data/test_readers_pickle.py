"""Pickled tables: the values that pandas reads, and nothing run that a pickle names."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.readers.base import open_reader
from engine.errors import DataError

REAL = ["bib", "felix_control_region", "one_length_file", "sig_311424_600_275"]


@pytest.mark.parametrize("name", REAL)
def test_real_pickles_read_as_pandas_reads_them(name: str, reference_data: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = reference_data / "calratio" / f"{name}.pkl"
    reader, frame = open_reader(str(path)), pandas.read_pickle(path)
    assert (reader.entries, list(reader.branches)) == (len(frame), list(frame.columns))
    columns = reader.read(list(frame.columns), 0, reader.entries)
    for column in frame:
        assert columns[column].dtype == frame[column].dtype
        np.testing.assert_array_equal(columns[column], frame[column].to_numpy())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_and_strings_of_any_protocol(protocol: int, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i": np.arange(5, dtype=np.int16),
            "s": list("abcde"),
            "x": np.linspace(0, 1, 5),
            "b": [True, False] * 2 + [True],
        },
        index=list("vwxyz"),
    )
    frame["big"] = np.arange(5).astype(">f4")
    frame.to_pickle(tmp_path / "a.pkl", protocol=protocol)
    found = open_reader(str(tmp_path / "a.pkl")).read(["x", "s", "i", "b", "big"], 1, 3)
    assert found["s"].tolist() == ["b", "c"]
    assert (found["i"].tolist(), found["b"].tolist(), found["x"].tolist()) == ([1, 2], [False, True], [0.25, 0.5])
    assert found["i"].dtype == np.int16
    assert found["big"].dtype == np.dtype(np.float32)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.content = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.content


def scalar_with_object() -> Any:
    """A NumPy scalar that would unpickle again what it carries."""
    from numpy._core.multiarray import scalar

    return Call(scalar, np.dtype("O"), pickle.dumps(Call(os.system, "true")))


MALICIOUS = {
    r"(posix|nt)\.system": lambda marker: Call(os.system, f"touch {marker}"),
    r"builtins\.eval": lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"),
    r"builtins\.getattr": lambda marker: Call(getattr, "text", "upper"),
    r"numpy\._core\.multiarray\.scalar": lambda marker: scalar_with_object(),
    r"builtins\.exec": lambda marker: {"table": [Call(exec, f"open({str(marker)!r}, 'w')")]},
    r"pathlib\.": lambda marker: Path(marker),
    r"numpy\.load|numpy\.lib.*load": lambda marker: Call(np.load, str(marker)),
}


@pytest.mark.parametrize("name", MALICIOUS)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_names_anything_else_is_refused_by_name(name: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = pickle.dumps(MALICIOUS[name](marker), protocol)
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"refused: the pickle names '.*'") as error:
        open_reader(str(tmp_path / "a.pkl"))
    assert not marker.exists()
    if protocol == 5:  # older ones name the modules of Python 2
        assert re.search(name, str(error.value))


def test_accepted_names_do_nothing_when_called(tmp_path: Path) -> None:
    content = pickle.dumps(Call(slice, "anything", 1, 2), 2)
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match="holds no plain pandas table"):
        open_reader(str(tmp_path / "a.pkl"))


def test_references_to_outside_and_extensions_are_refused(tmp_path: Path) -> None:
    for content in (b"\x80\x02U\x01xQ.", b"\x80\x02\x82\x01.", b"Pthing\n."):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(DataError):
            open_reader(str(tmp_path / "a.pkl"))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_other_content_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pkl: (is no pickle|holds no plain pandas table)"):
        open_reader(str(tmp_path / "a.pkl"))


def test_a_damaged_pickle_ends_in_a_sentence(reference_data: Path, tmp_path: Path) -> None:
    whole = (reference_data / "calratio" / "one_length_file.pkl").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.pkl"
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = int(rng.integers(0, 256))
        path.write_bytes(data[: rng.integers(1, len(data))] if rng.uniform() < 0.5 else data)
        with suppress(DataError):
            reader = open_reader(str(path))
            reader.read(list(reader.branches), 0, reader.entries)


def test_missing_columns_and_a_tree_are_told(reference_data: Path) -> None:
    path = str(reference_data / "calratio" / "bib.pkl")
    with pytest.raises(DataError, match="there is no branch 'clus_pt_30'; the nearest are"):
        open_reader(path).read(["clus_pt_30"], 0, 1)
    with pytest.raises(DataError, match="leave out `tree: x`"):
        open_reader(path, tree="x")
