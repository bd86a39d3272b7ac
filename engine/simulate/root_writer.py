"""Writing a TTree of numbers, std::vector<T> and std::vector<std::vector<T>>, as C++ analysis programs write them.

uproot writes lists as counted C arrays only and cannot write lists of lists; the real ntuples have vectors. The records
follow TTree 20, TBranch 13, TBranchElement 10, TLeaf 2 and TBasket 3. Classes are built into ROOT, so the list of
streamers is empty.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np

from engine.data.columns import Column, Jagged
from engine.simulate.root_container import BYTE_COUNT, RootContainer, text, versioned
from engine.simulate.root_encoding import encode

_LEAVES = {  # NumPy type: leaf class, letter in the title, format of its limits
    "bool": ("TLeafO", "O", "?"),
    "int8": ("TLeafB", "B", "b"),
    "uint8": ("TLeafB", "b", "B"),
    "int16": ("TLeafS", "S", "h"),
    "int32": ("TLeafI", "I", "i"),
    "uint32": ("TLeafI", "i", "I"),
    "int64": ("TLeafL", "L", "q"),
    "uint64": ("TLeafL", "l", "Q"),
    "float32": ("TLeafF", "F", "f"),
    "float64": ("TLeafD", "D", "d"),
}
_VECTORS = {  # (NumPy type, nesting): C++ class and ROOT's checksum of it
    ("float64", 1): ("vector<double>", 269370212),
    ("float32", 1): ("vector<float>", 89790107),
    ("int32", 1): ("vector<int>", 9976712),
    ("int8", 1): ("vector<char>", 29929535),
    ("int32", 2): ("vector<vector<int> >", 3104527037),
}
_NEW_CLASS = 0xFFFFFFFF
_CLASS = 0x80000000
_MAP_OFFSET = 2
_KEEP = 0x03000000
_BRANCH_BITS = 0x03400000
_FEATURES = struct.pack(">IHIb", BYTE_COUNT | 7, 0, 0x1AA12F10, 0)
_BUFFER = 32000


def _base(bits: int) -> bytes:
    """A TObject."""
    return struct.pack(">HII", 1, 0, bits)


def _named(bits: int, name: str, title: str) -> bytes:
    """A TNamed."""
    return versioned(1, _base(bits) + text(name) + text(title))


_FILL_STYLE = versioned(2, struct.pack(">hh", 0, 1001))


@dataclass
class _Branch:
    """What is written of a branch so far; the lists have one item a basket."""

    name: str
    dtype: str
    nesting: int
    entries: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    seeks: list[int] = field(default_factory=list)
    uncompressed: int = 0


class RootWriter:
    """A new ROOT file with one TTree; every `fill` writes one basket a branch.

    Example:
        with RootWriter(Path("a.root"), "tree") as writer:
            writer.fill({"n": np.arange(3), "x": Jagged.from_counts(np.array([1, 0, 2]), np.ones(3))})
    """

    def __init__(self, path: Path, tree: str) -> None:
        self._tree = tree
        self._container = RootContainer(path)
        self._branches: dict[str, _Branch] = {}

    def __enter__(self) -> RootWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._container.__exit__(kind, error, trace)
            return
        with self._container:
            stream = _TreeStream(self._tree, list(self._branches.values()))
            self._container.add_object("TTree", self._tree, self._tree, stream.content())

    def fill(self, columns: Mapping[str, Column]) -> None:
        """Append entries; all calls give the same branches, of equally many entries each.

        Raises:
            ValueError: other branches than before, or columns of different lengths.
            KeyError: a type that has no ROOT counterpart here.
        """
        if not self._branches:
            self._branches = {name: _declare(name, column) for name, column in columns.items()}
        if set(columns) != set(self._branches) or len({len(column) for column in columns.values()}) > 1:
            raise ValueError("every fill needs the same branches with equally many entries")
        for name, column in columns.items():
            self._write(self._branches[name], column)

    def _write(self, branch: _Branch, column: Column) -> None:
        """One basket."""
        data, starts = encode(column)
        content, entries = data.tobytes(), len(column)
        names = text("TBasket") + text(branch.name) + text(self._tree)
        key_bytes = struct.calcsize(">ihiIhhqq") + len(names) + struct.calcsize(">HiiiiB")
        slots = data.nbytes // max(entries, 1)
        if starts is not None:
            table = np.concatenate([[entries + 1], starts + key_bytes, [0]]).astype(">i4")
            content, slots = content + table.tobytes(), max(entries + 1, 1000)
        tail = struct.pack(">HiiiiB", 3, max(_BUFFER, len(content)), slots, entries, key_bytes + data.nbytes, 0)
        seek, size, whole = self._container.add_basket(branch.name, self._tree, len(branch.seeks), tail, content)
        branch.entries.append(entries)
        branch.sizes.append(size)
        branch.seeks.append(seek)
        branch.uncompressed += whole


def _declare(name: str, column: Column) -> _Branch:
    """A branch of the column's type."""
    values, nesting = column, 0
    while isinstance(values, Jagged):
        values, nesting = values.values, nesting + 1
    if nesting:
        _VECTORS[values.dtype.name, nesting]
    return _Branch(name, values.dtype.name, nesting)


class _TreeStream:
    """Streams the description of a tree. Classes and leaves are referred to by their place, counted from the key."""

    def __init__(self, name: str, branches: list[_Branch]) -> None:
        self._name = name
        self._branches = branches
        self._key_bytes = struct.calcsize(">ihiIhhqq") + len(text("TTree")) + 2 * len(text(name))
        self._classes: dict[str, int] = {}
        self._leaves: list[int] = []

    def content(self) -> bytes:
        """The whole TTree object."""
        entries = sum(self._branches[0].entries) if self._branches else 0
        total, packed = sum(b.uncompressed for b in self._branches), sum(sum(b.sizes) for b in self._branches)
        start = _named(0x03000008, self._name, self._name)
        start += versioned(2, struct.pack(">hhh", 602, 1, 1)) + _FILL_STYLE
        start += versioned(2, struct.pack(">hhf", 1, 1, 1.0))
        start += struct.pack(">qqqqqd", entries, total, packed, 0, 0, 1.0)
        start += struct.pack(">iiiii", 0, 25, 0, 1000, 0)
        start += struct.pack(">qqqqqq", 10**12, 10**12, 0, 10, 10, 10**6) + bytes(2) + _FEATURES
        listed = _base(_KEEP) + text("") + struct.pack(">ii", len(self._branches), 0)
        body = bytearray()
        offset = self._key_bytes + 6 + len(start) + 6 + len(listed)
        for branch in self._branches:
            body += self._pointer(branch, offset + len(body))
        leaves = listed + b"".join(struct.pack(">I", leaf) for leaf in self._leaves)
        # no aliases, index values, index, tree index, friends, user info, branch references
        return versioned(20, start + versioned(3, listed + bytes(body)) + versioned(3, leaves) + bytes(28))

    def _pointer(self, branch: _Branch, offset: int) -> bytes:
        """A branch behind a pointer, at `offset` from the start of the key."""
        class_name = "TBranchElement" if branch.nesting else "TBranch"
        tag = self._tag(class_name, offset)
        place = offset + 4 + len(tag)
        if branch.nesting:
            kind, checksum = _VECTORS[branch.dtype, branch.nesting]
            rest = text(kind) + text("") + text("")
            rest += struct.pack(">Ihiiii", checksum, 6, -1, 0, -1, 0) + bytes(8)
            content = versioned(10, self._branch(branch, place + 6) + rest)
        else:
            content = self._branch(branch, place)
        return struct.pack(">I", BYTE_COUNT | (len(tag) + len(content))) + tag + content

    def _tag(self, class_name: str, offset: int) -> bytes:
        """The name of a class the first time, a reference to it afterwards."""
        if class_name in self._classes:
            return struct.pack(">I", _CLASS | self._classes[class_name])
        self._classes[class_name] = offset + 4 + _MAP_OFFSET
        return struct.pack(">I", _NEW_CLASS) + class_name.encode() + b"\0"

    def _branch(self, branch: _Branch, place: int) -> bytes:
        """A TBranch at `place` from the start of the key."""
        entries, count = sum(branch.entries), len(branch.seeks)
        slots = max(10, count + 1)
        title = branch.name if branch.nesting else f"{branch.name}/{_LEAVES[branch.dtype][1]}"
        start = _named(_BRANCH_BITS, branch.name, title) + _FILL_STYLE
        start += struct.pack(">iiiiq", 101, _BUFFER, 1000 if branch.nesting else 0, count, entries) + _FEATURES
        split = 99 if branch.nesting else 0
        start += struct.pack(">iIiqqqq", 0, slots, split, entries, 0, branch.uncompressed, sum(branch.sizes))
        start += versioned(3, _base(_KEEP) + text("") + bytes(8))
        listed = _base(_KEEP) + text("") + struct.pack(">ii", 1, 0)
        leaf = self._leaf(branch, place + 6 + len(start) + 6 + len(listed))
        start += versioned(3, listed + leaf) + versioned(3, _base(_KEEP) + text("") + bytes(8))
        firsts = np.zeros(slots, dtype=">i8")
        firsts[1 : count + 1] = np.cumsum(branch.entries)
        sizes, seeks = np.zeros(slots, dtype=">i4"), np.zeros(slots, dtype=">i8")
        sizes[:count], seeks[:count] = branch.sizes, branch.seeks
        tables = b"\1" + sizes.tobytes() + b"\1" + firsts.tobytes() + b"\1" + seeks.tobytes()
        return versioned(13, start + tables + text(""))

    def _leaf(self, branch: _Branch, offset: int) -> bytes:
        """The leaf of a branch behind its pointer, at `offset` from the start of the key."""
        class_name, _, limits = _LEAVES[branch.dtype]
        width = 0 if branch.nesting else np.dtype(branch.dtype).itemsize
        unsigned = not branch.nesting and branch.dtype.startswith("uint")
        base = _named(_KEEP, branch.name, branch.name) + struct.pack(">iii??I", 1, width, 0, False, unsigned, 0)
        end = struct.pack(">ii", -1, -1) if branch.nesting else struct.pack(f">{limits}{limits}", 0, 0)
        tag = self._tag("TLeafElement" if branch.nesting else class_name, offset)
        content = versioned(1, versioned(2, base) + end)
        self._leaves.append(offset + _MAP_OFFSET)
        return struct.pack(">I", BYTE_COUNT | (len(tag) + len(content))) + tag + content
