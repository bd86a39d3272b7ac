"""Arrays in files of their own: .npy, and .memmap with its two pickles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.readers.base import open_reader
from engine.errors import DataError

PARTICLES = np.arange(4 * 3 * 2, dtype=np.float32).reshape(4, 3, 2)
CODES = np.arange(12, dtype=np.uint16).reshape(4, 3)
LABEL = np.array([True, False, True, True])


class Call:
    """Pickles as a call of any function."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


@pytest.fixture(params=["npy", "memmap"])
def arrays(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`a_y` with its siblings, and an array of another base."""
    ending = str(request.param)
    named = {"a_y": LABEL, "a_particle_input": PARTICLES, "a_pdg": CODES, "a_short": LABEL[:2], "b_y": LABEL}
    for name, values in named.items():
        path = tmp_path / f"{name}.{ending}"
        if ending == "npy":
            np.save(path, values)
            continue
        values.tofile(path)
        path.with_name(path.name + ".shape").write_bytes(pickle.dumps(values.shape))
        path.with_name(path.name + ".dtype").write_bytes(pickle.dumps(str(values.dtype)))
    return str(tmp_path / f"a_y.{ending}")


def test_arrays_beside_are_branches(arrays: str) -> None:
    reader = open_reader(arrays, tree="y")
    assert reader.entries == 4
    assert {name: (info.dtype, info.depth) for name, info in reader.branches.items() if info.readable} == {
        "y": ("bool", 0),
        "particle_input": ("float32", 2),
        "particle_input/0": ("float32", 1),
        "particle_input/1": ("float32", 1),
        "pdg": ("uint16", 1),
        "pdg/0": ("uint16", 0),
        "pdg/1": ("uint16", 0),
        "pdg/2": ("uint16", 0),
    }
    found = reader.read(["y", "particle_input/1", "pdg", "pdg/2", "particle_input"], 1, 3)
    assert found["y"].tolist() == LABEL[1:3].tolist()
    np.testing.assert_array_equal(found["particle_input/1"].values.reshape(2, 3), PARTICLES[1:3, :, 1])
    np.testing.assert_array_equal(found["pdg"].values.reshape(2, 3), CODES[1:3])
    assert found["pdg/2"].tolist() == CODES[1:3, 2].tolist()
    np.testing.assert_array_equal(found["particle_input"].values.values.reshape(2, 3, 2), PARTICLES[1:3])


def test_an_array_of_another_length_is_told_when_it_is_asked_for(arrays: str) -> None:
    with pytest.raises(DataError, match=r"array 'short' cannot be read .*2 entries where a_y.* has 4"):
        open_reader(arrays, tree="y").read(["short"], 0, 1)


def test_a_file_alone_and_the_name_of_another_array(arrays: str) -> None:
    assert list(open_reader(arrays).branches) == ["values"]
    with pytest.raises(DataError, match="with `tree: z` the names of the files must end in '_z"):
        open_reader(arrays, tree="z")


def test_big_endian_and_texts_of_npy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3, dtype=">i4"))
    values = open_reader(str(tmp_path / "x.npy")).read(["values"], 0, 3)["values"]
    assert (values.dtype, values.tolist()) == (np.dtype(np.int32), [0, 1, 2])
    for texts in (np.array(["a", "bc"]), np.array([b"a", b"bc"])):
        np.save(tmp_path / "x.npy", texts)
        reader = open_reader(str(tmp_path / "x.npy"))
        assert reader.branches["values"].dtype == "string"
        assert reader.read(["values"], 0, 2)["values"].tolist() == ["a", "bc"]


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([Call()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"x.npy: cannot be read as an array"):
        open_reader(str(tmp_path / "x.npy"))


@pytest.mark.parametrize("size", [0, 20, 130])
def test_a_truncated_npy_file_ends_in_a_sentence(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "x.npy", np.arange(100.0))
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="cannot be read as an array"):
        open_reader(str(path))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (pickle.dumps((2, 2)), pickle.dumps("float64"), None),
        (pickle.dumps((2, 2)), pickle.dumps(np.dtype("float64")), None),
        (pickle.dumps((2, 2)), pickle.dumps(np.dtype("float64"), protocol=2), None),
        (pickle.dumps((2, 3)), pickle.dumps("float64"), "32 bytes, but shape .2, 3. of float64 needs 48"),
        (pickle.dumps([2, 2]), pickle.dumps("float64"), "no tuple of whole numbers"),
        (pickle.dumps((2, -2)), pickle.dumps("float64"), "no tuple of whole numbers"),
        (pickle.dumps((2, 2)), pickle.dumps("object"), "not the name of a type of numbers"),
        (pickle.dumps((2, 2)), pickle.dumps("f8,f8"), "not the name of a type of numbers"),
        (pickle.dumps(Call()), pickle.dumps("float64"), "refused: the pickle names 'posix.system'"),
        (pickle.dumps((2, 2)), pickle.dumps(Call()), "refused: the pickle names 'posix.system'"),
        (b"", pickle.dumps("float64"), "is no pickle, or a damaged one"),
        (None, pickle.dumps("float64"), "x.memmap.shape is missing beside it"),
    ],
)
def test_sidecars(tmp_path: Path, shape: bytes | None, dtype: bytes, message: str | None) -> None:
    path = tmp_path / "x.memmap"
    np.arange(4.0).tofile(path)
    if shape is not None:
        Path(f"{path}.shape").write_bytes(shape)
    Path(f"{path}.dtype").write_bytes(dtype)
    if message is None:
        assert open_reader(str(path)).read(["values/1"], 0, 2)["values/1"].tolist() == [1, 3]
        return
    with pytest.raises(DataError, match=message):
        open_reader(str(path))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin as .npy files do"),
        (b"\x80\x04K\x01.", "does not begin as .npy files do"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}", "too large"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", "greater than file size"),
        ("((((((((", "EOF|closed|never"),
    ],
)
def test_damaged_npy_files_are_told_in_a_sentence(tmp_path: Path, content: bytes | str, why: str) -> None:
    if isinstance(content, str):
        header = content.encode().ljust(118) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=rf"x.npy: cannot be read as an array \(.*({why})"):
        open_reader(str(tmp_path / "x.npy"))


def test_the_format_and_not_the_ending_says_whether_arrays_are_bare(tmp_path: Path) -> None:
    LABEL.tofile(tmp_path / "x.dat")
    with pytest.raises(DataError, match=r"x\.dat\.shape is missing beside it"):
        open_reader(str(tmp_path / "x.dat"), "memmap")
    (tmp_path / "x.dat.shape").write_bytes(pickle.dumps(LABEL.shape))
    (tmp_path / "x.dat.dtype").write_bytes(pickle.dumps("bool"))
    assert open_reader(str(tmp_path / "x.dat"), "memmap").read(["values"], 0, 9)["values"].tolist() == LABEL.tolist()
