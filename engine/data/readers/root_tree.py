"""The description of a TTree: its branches, their types and where their baskets are. Standard library only.

Understands what is written by every ROOT since 2009 and by uproot for flat trees (TTree 19 and 20, TBranch 12 and 13,
TBranchElement 10). Anything else raises `Unsupported`, and the caller takes the general library.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import Any

from engine.data.readers.root_file import Key, RootFile, read_string

_BYTE_COUNT = 0x40000000
_NEW_CLASS = 0xFFFFFFFF
_CLASS = 0x80000000
_MAP_OFFSET = 2
_OBJECT_HEADER = struct.Struct(">IH")
_BRANCH_START = struct.Struct(">iiiiq")
_BRANCH_REST = struct.Struct(">iIiqqqq")
_LEAF = struct.Struct(">iii??")
_REFERENCED = 1 << 4
_DIMENSION = re.compile(r"\[([^\]]*)\]")


class Unsupported(Exception):
    """The tree uses a part of the format that is not read here."""


@dataclass(frozen=True)
class Leaf:
    """The type part of a branch: class of the leaf, dimensions ("[n][3]"), sign and the leaf that counts."""

    class_name: str
    name: str
    dimensions: tuple[str, ...]
    unsigned: bool
    counted: bool


@dataclass(frozen=True)
class TreeBranch:
    """A branch without sub-branches.

    Attributes:
        element: C++ class of the objects; None for plain numbers.
        leaves: what one entry consists of.
        baskets: how many baskets are complete on disk.
        tables: fBasketBytes (int32), fBasketEntry and fBasketSeek (int64) as the file has them, big-endian.
        plain: nothing of the layout is out of the ordinary (no embedded baskets, no I/O features).
    """

    name: str
    element: str | None
    leaves: tuple[Leaf, ...]
    entries: int
    baskets: int
    tables: tuple[bytes, bytes, bytes]
    plain: bool


@dataclass(frozen=True)
class Tree:
    """Entries and branches of a TTree."""

    entries: int
    branches: dict[str, TreeBranch]


def read_tree(file: RootFile, key: Key) -> Tree:
    """The description of the tree at a key.

    Raises:
        Unsupported: a version or feature that is not read here.
        DataError, ValueError, struct.error, ...: the bytes are damaged.
    """
    return _TreeParser(file.content(key), key.key_bytes).tree()


class _TreeParser:
    """Walks through a streamed TTree; `references` maps stream positions, as ROOT counts, to classes and objects."""

    def __init__(self, data: bytes, displacement: int) -> None:
        self._data = data
        self._position = 0
        self._displacement = displacement
        self._references: dict[int, Any] = {}

    def tree(self) -> Tree:
        """The whole description."""
        version, _ = self._header()
        if version not in (19, 20):
            raise Unsupported(f"TTree version {version}")
        for _ in range(4):  # TNamed, TAttLine, TAttFill, TAttMarker
            self._skip()
        (entries,) = self._unpack(">q")
        self._position += 4 * 8 + 8 + 4 * 4
        (ranges,) = self._unpack(">i")
        self._position += 6 * 8 + 2 * (1 + 8 * ranges)
        if version == 20:
            self._skip()  # TIOFeatures
        branches = [branch for branch in self._array() if isinstance(branch, TreeBranch)]
        return Tree(entries, {branch.name: branch for branch in branches})

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._data, self._position)
        self._position += struct.calcsize(form)
        return values

    def _header(self) -> tuple[int, int]:
        """Version of the object that starts here, and where it ends."""
        count, version = _OBJECT_HEADER.unpack_from(self._data, self._position)
        if not count & _BYTE_COUNT:
            raise Unsupported("an object without a byte count")
        end = self._position + 4 + (count & ~_BYTE_COUNT)
        if end > len(self._data):
            raise ValueError("an object that is longer than its record")
        self._position += 6
        return version, end

    def _skip(self) -> None:
        """Pass over the object that starts here."""
        _, self._position = self._header()

    def _string(self) -> str:
        text, self._position = read_string(self._data, self._position)
        return text

    def _object_base(self) -> None:
        """Pass over a TObject, which has a version but no byte count."""
        _, _, bits = self._unpack(">HII")
        if bits & _REFERENCED:
            self._position += 2

    def _named(self) -> tuple[str, str]:
        """Name and title of a TNamed."""
        _, end = self._header()
        self._object_base()
        names = self._string(), self._string()
        self._position = end
        return names

    def _array(self) -> list[Any]:
        """The objects of a TObjArray that starts here."""
        _, end = self._header()
        self._object_base()
        self._string()
        size, _ = self._unpack(">ii")
        objects = [self._any() for _ in range(size)]
        self._position = end
        return objects

    def _is_empty_array(self) -> bool:
        """Whether a TObjArray holds nothing but null pointers; passes over it."""
        _, end = self._header()
        self._object_base()
        self._string()
        size, _ = self._unpack(">ii")
        content = self._data[self._position : end]
        self._position = end
        return size == 0 or not any(content)

    def _any(self) -> Any:
        """An object behind a pointer: null, one seen before, or a new one with its class (TBufferFile's scheme)."""
        begin = self._position + self._displacement
        (tag,) = self._unpack(">I")
        end = None
        tag_position = begin
        if tag & _BYTE_COUNT and tag != _NEW_CLASS:
            end = self._position + (tag & ~_BYTE_COUNT)
            tag_position = self._position + self._displacement
            (tag,) = self._unpack(">I")
        if not tag & _CLASS:
            return self._references.get(tag)
        if end is None:
            raise Unsupported("an object without a byte count")
        name = self._class(tag, tag_position)
        result = self._parse(name)
        self._references[begin + _MAP_OFFSET] = result
        self._position = end
        return result

    def _class(self, tag: int, position: int) -> str:
        """Name of the class that a tag announces or refers to."""
        if tag == _NEW_CLASS:
            stop = self._data.index(b"\0", self._position)
            name = self._data[self._position : stop].decode("ascii", "replace")
            self._position = stop + 1
            self._references[position + _MAP_OFFSET] = name
            return name
        known = self._references.get(tag & ~_CLASS)
        if not isinstance(known, str):
            raise Unsupported("a class that was not announced")
        return known

    def _parse(self, class_name: str) -> Any:
        """An object of one of the classes that matter here; others are left to be passed over."""
        if class_name.startswith("TLeaf"):
            return self._leaf(class_name)
        if class_name == "TBranch":
            return self._branch()
        if class_name == "TBranchElement":
            return self._element()
        raise Unsupported(f"a branch of class {class_name}")

    def _leaf(self, class_name: str) -> Leaf:
        """A leaf; its own class wraps TLeaf, which says name, dimensions and sign."""
        _, end = self._header()
        self._header()
        name, title = self._named()
        *_, is_unsigned = _LEAF.unpack_from(self._data, self._position)
        self._position += _LEAF.size
        counter = self._any()
        self._position = end
        return Leaf(class_name, name, tuple(_DIMENSION.findall(title)), is_unsigned, counter is not None)

    def _branch(self) -> TreeBranch:
        """A TBranch, which TBranchElement also starts with."""
        version, end = self._header()
        if version not in (12, 13):
            raise Unsupported(f"TBranch version {version}")
        name, _ = self._named()
        self._skip()  # TAttFill
        *_, written, _ = _BRANCH_START.unpack_from(self._data, self._position)
        self._position += _BRANCH_START.size
        plain = version == 12 or self._no_features()
        _, slots, _, entries, first, _, _ = _BRANCH_REST.unpack_from(self._data, self._position)
        self._position += _BRANCH_REST.size
        if not self._is_empty_array():
            raise Unsupported("branches inside branches")
        leaves = tuple(leaf for leaf in self._array() if isinstance(leaf, Leaf))
        plain = self._is_empty_array() and plain and first == 0
        tables = tuple(self._table(slots, width) for width in (4, 8, 8))
        external = self._string()
        self._position = end
        complete = plain and not external and 0 <= written <= slots
        return TreeBranch(name, None, leaves, entries, written, (tables[0], tables[1], tables[2]), complete)

    def _table(self, slots: int, width: int) -> bytes:
        """One of the arrays that locate the baskets, after a byte that says it is there."""
        start = self._position + 1
        self._position = start + slots * width
        if slots < 0 or self._position > len(self._data):
            raise ValueError("a list of baskets that is longer than its record")
        return self._data[start : self._position]

    def _no_features(self) -> bool:
        """Whether the branch uses none of ROOT's optional storage features; passes over their record."""
        self._skip()
        return self._data[self._position - 1] == 0

    def _element(self) -> TreeBranch:
        """A TBranchElement: a branch of objects of a C++ class."""
        version, end = self._header()
        if version != 10:
            raise Unsupported(f"TBranchElement version {version}")
        branch = self._branch()
        class_name = self._string()
        self._string()
        self._string()
        _, _, identifier, kind, _, _ = self._unpack(">Ihiiii")
        self._position = end
        return replace(branch, element=class_name, plain=branch.plain and identifier < 0 and kind == 0)
