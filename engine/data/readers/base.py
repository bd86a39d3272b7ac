"""What every reader of a file format offers, and how the right one is found."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.columns import Column

FORMATS = {
    ".root": "root",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".npy": "npy",
    ".memmap": "memmap",
}
"""File ending -> format."""


@dataclass(frozen=True)
class BranchInfo:
    """What is known of a branch (column, dataset) before it is read.

    Attributes:
        name: as the file has it.
        dtype: NumPy name of the innermost values ("float32", "int64", "bool"), "string", or "unknown: <type in the
            file>" where the type cannot be read.
        depth: 0 one value an entry, 1 a list, 2 a list of lists.
    """

    name: str
    dtype: str
    depth: int

    @property
    def readable(self) -> bool:
        """Whether the type is one of those that `Reader.read` can give."""
        return not self.dtype.startswith("unknown")

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers or booleans."""
        return self.readable and self.dtype != "string"


class NoSuchTree(DataError):
    """The file can be read, but does not hold the `tree:` that was asked for, or several and none was asked for."""


class Reader(Protocol):
    """An open file of any format, seen as named branches over a number of entries."""

    @property
    def path(self) -> str:
        """The file, as it was asked for."""
        ...

    @property
    def entries(self) -> int:
        """Number of entries (events, or rows of a flat table)."""
        ...

    @property
    def branches(self) -> Mapping[str, BranchInfo]:
        """Every branch of the file by name."""
        ...

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """The named branches for entries [start, stop), the range cut to the entries there are.

        Returns:
            Arrays of shape (entries,) in native byte order, or `Jagged` for lists and lists of lists.

        Raises:
            DataError: the file lacks one of the branches, or its bytes cannot be read.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def open_reader(path: str, format: str | None = None, tree: str | None = None) -> Reader:
    """Open a file for reading.

    Args:
        path: local path or URL.
        format: root, parquet, hdf5, pandas_hdf, pickle, npy or memmap; None to go by the file's ending.
        tree: TTree or RNTuple of a ROOT file, group or dataset of an HDF5 file, table of a pandas file, array that the
            file holds of several beside it; None where there is only one.

    Raises:
        DataError: the file is not there, is damaged, is of another format, or has no such tree.
    """
    path = str(path)
    kind = format if format is not None else guess_format(path)
    if "://" not in path and not Path(path).is_file():
        raise DataError(f"{path}: there is no such file")
    if kind == "root":
        from engine.data.readers.root import RootReader

        return RootReader(path, tree)
    if kind == "parquet":
        from engine.data.readers.parquet import ParquetReader

        return ParquetReader(path, tree)
    if kind == "hdf5":
        from engine.data.readers.hdf5 import HDF5Reader

        return HDF5Reader(path, tree)
    if kind == "pickle":
        from engine.data.readers.pickles import PickleReader

        return PickleReader(path, tree)
    if kind == "pandas_hdf":
        from engine.data.readers.pandas_hdf import PandasHDFReader

        return PandasHDFReader(path, tree)
    if kind in ("npy", "memmap"):
        from engine.data.readers.arrays import ArraysReader

        return ArraysReader(path, tree, bare=kind == "memmap")
    known = "root, parquet, hdf5, pandas_hdf, pickle, npy and memmap"
    raise DataError(f"{path}: unknown format '{kind}'; known are {known}")


def guess_format(path: str) -> str:
    """The format that a file's ending stands for.

    Raises:
        DataError: the ending says nothing.
    """
    ending = Path(path.partition("?")[0]).suffix.lower()
    if ending not in FORMATS:
        raise DataError(
            f"{path}: the ending '{ending}' does not say which format this is; write `format:` (root, parquet, hdf5, "
            "pandas_hdf, pickle, npy or memmap) in the layout"
        )
    return FORMATS[ending]


def require(path: str, branches: Iterable[str], names: Iterable[str]) -> None:
    """Check that a file has the named branches.

    Raises:
        DataError: names the first missing branch and the nearest existing ones.
    """
    known = branches if isinstance(branches, Mapping) else set(branches)
    for name in names:
        if name not in known:
            raise DataError(f"{path}: {missing_branch(name, known)}")


def missing_branch(name: str, known: Iterable[str]) -> str:
    """The sentence that says a branch is missing and which existing ones come near."""
    names = list(known)
    if not names:
        return f"there is no branch '{name}'; the file has no branches at all"
    lower = {candidate.lower(): candidate for candidate in names}
    inner = [each for each in names if re.split(r"[./]", each)[-1] == name]
    near = inner[:3] or [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    hint = f"the nearest are {', '.join(near)}" if near else f"none of its {len(names)} branches has a similar name"
    return f"there is no branch '{name}'; {hint}"


def expand_files(patterns: Iterable[str]) -> list[str]:
    """Files that match glob patterns (`**` crosses directories), sorted and each once; URLs are kept as they are.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        matches = [pattern] if "://" in pattern else _matches(pattern)
        files = [match for match in matches if "://" in match or Path(match).is_file()]
        if not files and matches:
            raise DataError(
                f"no file matches '{pattern}', which is a folder; name the files in it, as in '{Path(pattern) / '*'}'"
            )
        if not files:
            raise DataError(f"no file matches '{pattern}'{_nearest_place(pattern)}")
        found.update(files)
    return sorted(found)


def _matches(pattern: str) -> list[str]:
    """Paths that match a local pattern, as it is written (relative stays relative)."""
    return glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern


def _nearest_place(pattern: str) -> str:
    """Says which directory of a pattern does not exist, if that is what is wrong."""
    parent = Path(pattern).expanduser().parent
    fixed = [part for part in (parent, *parent.parents) if not glob.has_magic(str(part))]
    missing = [part for part in fixed if not part.exists()]
    return f": there is no directory '{missing[-1]}'" if missing else ""


def reason(error: BaseException) -> str:
    """First line of an error's text, short enough for a sentence."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]
