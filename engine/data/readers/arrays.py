"""Arrays in files of their own, `<base>_<array>.npy` or `<base>_<array>.memmap`: the first axis counts the entries.

A `.memmap` file is bare numbers; two pickles beside it hold its shape (`.memmap.shape`, a tuple) and its type
(`.memmap.dtype`, a name). They go through the allow-list, which lets nothing but such values pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.columns import Array, Column, Jagged
from engine.data.readers.allowlist import Record, load_records
from engine.data.readers.base import BranchInfo, reason
from engine.data.readers.file_reader import FileReader
from engine.errors import DataError

ALONE = "values"
"""The branch of a file that is read without others beside it."""

MOST_PARTS = 1000
"""Arrays with more features than this are not offered feature by feature."""

_MAGIC = b"\x93NUMPY"
_DTYPE = re.compile(r"[<>|=]?[biuf][1248]|bool|u?int(8|16|32|64)|float(16|32|64)|[bhilBHILfd?]")


@dataclass(frozen=True)
class _Source:
    """An array, and the number of the feature (on its last axis) where the branch is one of them."""

    array: Array
    part: int | None


class ArraysReader(FileReader):
    """Arrays of equal length as `Reader`.

    `tree` says which array the file holds: with `y` the file is `<base>_y.npy`, and every `<base>_*.npy` beside it is a
    branch. Without `tree` the file's only branch is called `values`. Further axes are lists of fixed length;
    `<array>/3` is feature 3 on the last axis.
    """

    word = "array"

    def __init__(self, path: str, tree: str | None, bare: bool = False) -> None:
        """Map the arrays; `bare` ones have their shape and type beside them.

        Raises:
            DataError: the file is damaged, its name is not that of the array, or its values are objects.
        """
        super().__init__(path)
        main = _map(Path(path), bare)
        self._entries = len(main)
        self._sources: dict[str, _Source] = {}
        self._add(tree or ALONE, main)
        for name, file in _siblings(path, tree).items():
            try:
                array = _map(file, bare)
            except DataError as error:
                self._branches[name] = BranchInfo(name, f"unknown: {error}", 0)
                continue
            if len(array) == self._entries:
                self._add(name, array)
            else:
                lengths = f"{len(array)} entries where {Path(path).name} has {self._entries}"
                self._branches[name] = BranchInfo(name, f"unknown: {lengths}", 0)

    @property
    def entries(self) -> int:
        """Length of the arrays."""
        return self._entries

    def close(self) -> None:
        """Let the arrays go."""
        self._sources = {}

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        found: dict[str, Column] = {}
        for name in names:
            source = self._sources[name]
            values = source.array[start:stop]
            with self._one(name):
                found[name] = _column(values if source.part is None else values[..., source.part])
        return found

    def _add(self, name: str, array: Array) -> None:
        for part in (None, *range(array.shape[-1] if array.ndim > 1 and array.shape[-1] <= MOST_PARTS else 0)):
            branch = name if part is None else f"{name}/{part}"
            depth = array.ndim - (1 if part is None else 2)
            dtype = "string" if array.dtype.kind in "SU" and depth == 0 else array.dtype.name
            if depth > 2 or (array.dtype.kind not in "biuf" and dtype != "string"):
                dtype = f"unknown: {array.dtype} of {array.ndim} dimensions"
            self._sources[branch] = _Source(array, part)
            self._branches[branch] = BranchInfo(branch, dtype, min(depth, 2))


def _siblings(path: str, tree: str | None) -> dict[str, Path]:
    """The other arrays of the same base, by name.

    Raises:
        DataError: the file is not that of the array `tree`.
    """
    if tree is None:
        return {}
    file = Path(path)
    ending = f"_{tree}{file.suffix}"
    if not file.name.endswith(ending):
        raise DataError(f"{path}: with `tree: {tree}` the names of the files must end in '{ending}'")
    base = file.name[: -len(ending)] + "_"
    others = sorted(each for each in file.parent.iterdir() if each.name.startswith(base) and each.suffix == file.suffix)
    return {each.name[len(base) : -len(file.suffix)]: each for each in others if each.name != file.name}


def _map(file: Path, bare: bool) -> Array:
    """An array, mapped into memory.

    Raises:
        DataError: the file is damaged, or its values are objects.
    """
    try:
        array = _map_bare(file) if bare else _map_npy(file)
    except DataError:
        raise
    except Exception as error:  # a damaged header makes NumPy fail in any way
        raise DataError(f"{file}: cannot be read as an array ({reason(error)})") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise DataError(f"{file}: holds no array with an axis of entries")
    return array


def _map_npy(file: Path) -> Array:
    with file.open("rb") as content:
        if content.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as .npy files do")
    array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _map_bare(file: Path) -> Array:
    """An array whose shape and type stand in two pickles beside it."""
    shape, dtype = _shape(_sidecar(file, ".shape")), _dtype(_sidecar(file, ".dtype"))
    size = math.prod(shape) * dtype.itemsize
    if file.stat().st_size != size:
        raise ValueError(f"{file.stat().st_size} bytes, but shape {shape} of {dtype} needs {size}")
    if not size:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", shape=shape)


def _sidecar(file: Path, ending: str) -> Any:
    path = file.with_name(file.name + ending)
    if not path.is_file():
        raise DataError(f"{file}: {path.name} is missing beside it")
    with path.open("rb") as content:
        return load_records(str(path), content)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not value or not all(type(size) is int and size >= 0 for size in value):
        raise ValueError("its .shape is no tuple of whole numbers")
    return value


def _dtype(value: Any) -> np.dtype[Any]:
    name = value.arguments[0] if isinstance(value, Record) and value.name == "dtype" and value.arguments else value
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise ValueError("its .dtype is not the name of a type of numbers")
    return np.dtype(name)


def _column(values: Array) -> Column:
    """An array in memory and in native byte order; further axes as lists."""
    if values.dtype.kind in "SU":
        decoded = values.astype(object) if values.dtype.kind == "U" else np.char.decode(values, "utf-8", "replace")
        return np.asarray(decoded).astype(object)
    native: Array = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
    if native.ndim == 1:
        return native
    offsets = np.arange(len(native) + 1, dtype=np.int64) * native.shape[1]
    return Jagged(offsets, _column(native.reshape(-1, *native.shape[2:])))
