"""TTrees and RNTuples of ROOT files, through uproot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
import uproot

from engine.data.columns import Column, Jagged
from engine.data.readers.base import BranchInfo, require
from engine.errors import DataError


class RootReader:
    """One TTree or RNTuple of a ROOT file."""

    def __init__(self, path: str, tree: str | None) -> None:
        self.path = path
        try:
            self._file = uproot.open(path)
            self._tree = self._file[tree]
        except Exception as error:
            raise DataError(f"{path}: {error}") from error
        self.entries = int(self._tree.num_entries)
        self.branches: Mapping[str, BranchInfo] = {b.name: _info(b) for b in self._tree.branches}

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        require(self.path, self.branches, names)
        arrays: dict[str, Any] = self._tree.arrays(
            list(names), entry_start=start, entry_stop=stop, library="ak", how=dict
        )
        return {name: to_column(arrays[name].layout) for name in names}

    def close(self) -> None:
        self._file.close()


def _info(branch: Any) -> BranchInfo:
    name = branch.typename
    return BranchInfo(branch.name, name.replace("std::vector<", "").rstrip(">"), name.count("vector<"))


def to_column(layout: Any) -> Column:
    """The buffers of an awkward array without a copy."""
    layout = layout.to_packed() if not isinstance(layout, ak.contents.NumpyArray) else layout
    if isinstance(layout, ak.contents.ListOffsetArray):
        return Jagged(np.asarray(layout.offsets.data, dtype=np.int64), to_column(layout.content))
    return np.asarray(layout.data)
