"""ROOT files through uproot: RNTuples, remote files, and whatever of a TTree the direct decoder does not know."""

from __future__ import annotations

import re
from typing import Any

import awkward as ak
import numpy as np
import uproot

from engine.data.columns import Column, Jagged
from engine.data.readers.base import BranchInfo
from engine.data.readers.root_types import CPP_TYPES, VECTOR, is_tree_class

_ARRAY = re.compile(r"\[[^\]]*\]")


class UprootTree:
    """A TTree or RNTuple opened by uproot."""

    def __init__(self, path: str, tree: str | None) -> None:
        # remote files in larger blocks and without a cache: every chunk is read once
        self._file = uproot.open(path, array_cache=None, object_cache=None)
        try:
            self.names = _trees(self._file)
            chosen = tree if tree is not None else next(iter(self.names), "")
            self._tree: Any = self._file[chosen] if chosen in self.names else None
        except BaseException:
            self._file.close()
            raise

    @property
    def found(self) -> bool:
        """Whether the file has the tree that was asked for."""
        return self._tree is not None

    @property
    def entries(self) -> int:
        """Number of entries of the tree."""
        return int(self._tree.num_entries)

    def branches(self) -> dict[str, BranchInfo]:
        """Type of every branch or field that holds values."""
        names = self._tree.keys(recursive=True) if hasattr(self._tree, "branches") else self._tree.keys(recursive=False)
        return {name: _describe(name, self._tree[name].typename) for name in names}

    def read(self, names: list[str], start: int, stop: int) -> dict[str, Column]:
        """The named branches for entries [start, stop)."""
        if not names:
            return {}
        if hasattr(self._tree, "branches"):
            return {
                name: to_column(self._tree[name].array(entry_start=start, entry_stop=stop, library="ak").layout)
                for name in names
            }
        arrays = self._tree.arrays(names, entry_start=start, entry_stop=stop)
        return {name: to_column(arrays[name].layout) for name in names}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _trees(file: Any) -> list[str]:
    """Paths of the TTrees and RNTuples of a file."""
    kinds = file.classnames(recursive=True, cycle=False)
    return [name for name, kind in kinds.items() if is_tree_class(kind)]


def _describe(name: str, typename: str) -> BranchInfo:
    """The type that uproot reports, in NumPy's terms."""
    depth = len(_ARRAY.findall(typename))
    inner = _ARRAY.sub("", typename).strip()
    while (match := VECTOR.fullmatch(inner)) is not None:
        depth, inner = depth + 1, match.group(1).strip()
    inner = inner.removeprefix("std::")
    dtype = "string" if inner in ("char*", "TString") else CPP_TYPES.get(inner)
    if dtype is None or depth > 2:
        return BranchInfo(name, f"unknown: {typename}", 0)
    return BranchInfo(name, dtype, depth)


def to_column(layout: Any) -> Column:
    """The buffers of an awkward array, without a copy where they are contiguous.

    Raises:
        TypeError: the array holds records or missing values.
    """
    if layout.parameter("__array__") in ("string", "bytestring"):
        return np.array(ak.to_list(layout), dtype=object)
    if isinstance(layout, ak.contents.IndexedArray):
        return to_column(layout.project())
    if isinstance(layout, ak.contents.NumpyArray):
        return _from_regular(np.asarray(layout.data))
    if isinstance(layout, ak.contents.RegularArray | ak.contents.ListArray):
        layout = layout.to_ListOffsetArray64(True)
    if isinstance(layout, ak.contents.ListOffsetArray):
        layout = layout.to_ListOffsetArray64(True)
        offsets = np.asarray(layout.offsets.data, dtype=np.int64)
        return Jagged(offsets, to_column(layout.content[: int(offsets[-1])]))
    if isinstance(layout, ak.contents.EmptyArray):
        return np.empty(0, dtype=np.float64)
    raise TypeError(f"values of type {layout.form.type}")


def _from_regular(values: Any) -> Column:
    """Flat values as they are; rows of fixed length as lists."""
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.ndim == 1:
        return np.asarray(native)
    lengths = np.full(len(native), native.shape[1])
    return Jagged.from_counts(lengths, _from_regular(native.reshape(-1, *native.shape[2:])))
