"""What a branch of a TTree holds, in NumPy's terms, judged from its leaf and class names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.data.readers.base import BranchInfo
from engine.data.readers.root_tree import TreeBranch

_LEAVES = {
    "TLeafO": "bool",
    "TLeafB": "int8",
    "TLeafS": "int16",
    "TLeafI": "int32",
    "TLeafL": "int64",
    "TLeafG": "int64",
    "TLeafF": "float32",
    "TLeafD": "float64",
}
_PACKED_LEAVES = {"TLeafF16": "float32", "TLeafD32": "float64"}
CPP_TYPES = {
    "bool": "bool",
    "char": "int8",
    "signed char": "int8",
    "int8_t": "int8",
    "unsigned char": "uint8",
    "uint8_t": "uint8",
    "short": "int16",
    "int16_t": "int16",
    "unsigned short": "uint16",
    "uint16_t": "uint16",
    "int": "int32",
    "int32_t": "int32",
    "unsigned int": "uint32",
    "uint32_t": "uint32",
    "long": "int64",
    "long long": "int64",
    "Long64_t": "int64",
    "int64_t": "int64",
    "unsigned long": "uint64",
    "unsigned long long": "uint64",
    "ULong64_t": "uint64",
    "uint64_t": "uint64",
    "float": "float32",
    "double": "float64",
    "string": "string",
}
VECTOR = re.compile(r"(?:std::)?(?:vector|ROOT::VecOps::RVec)<(.*)>")


def is_tree_class(class_name: str) -> bool:
    """Whether objects of a class are tables of entries: a TTree, one of its simple forms, or an RNTuple."""
    return class_name in ("TTree", "TNtuple", "TNtupleD") or class_name.endswith("RNTuple")


@dataclass(frozen=True)
class Storage:
    """How the entries of a branch lie in its baskets.

    Attributes:
        dtype: NumPy name of the values.
        shape: fixed lengths of arrays within an entry (or within an item of a counted array).
        counted: a C array whose length is another branch (`x[n]`).
        vectors: nesting of std::vector: 1 or 2; 0 for plain leaves.
    """

    dtype: str
    shape: tuple[int, ...]
    counted: bool
    vectors: int

    @property
    def depth(self) -> int:
        """Nesting of lists that the branch is read as."""
        return self.vectors + int(self.counted) + len(self.shape)


def describe(branch: TreeBranch) -> tuple[BranchInfo, Storage | None]:
    """What a branch is, and how to decode its baskets; None where the general library has to."""
    if len(branch.leaves) != 1:
        names = ", ".join(leaf.name for leaf in branch.leaves)
        return BranchInfo(branch.name, f"unknown: a structure of {names}", 0), None
    storage = _vector(branch.element) if branch.element is not None else _leaf(branch)
    if storage is None or storage.depth > 2:
        kind = (
            branch.element or f"{branch.leaves[0].class_name}{''.join(f'[{d}]' for d in branch.leaves[0].dimensions)}"
        )
        return BranchInfo(branch.name, f"unknown: {kind}", 0), None
    info = BranchInfo(branch.name, storage.dtype, storage.depth)
    packed = branch.element is None and branch.leaves[0].class_name not in _LEAVES
    return info, None if packed or storage.dtype == "string" or not branch.plain else storage


def _vector(element: str) -> Storage | None:
    """Storage of a C++ class that is a number, a string, or a vector of these."""
    depth, name = 0, element.strip()
    while (match := VECTOR.fullmatch(name)) is not None:
        depth, name = depth + 1, match.group(1).split(",allocator")[0].strip()
    dtype = CPP_TYPES.get(name.removeprefix("std::"))
    return None if dtype is None else Storage(dtype, (), False, depth)


def _leaf(branch: TreeBranch) -> Storage | None:
    """Storage of a plain leaf, an array, or a counted array."""
    leaf = branch.leaves[0]
    if leaf.class_name == "TLeafC":
        return Storage("string", (), False, 0)
    dtype = _LEAVES.get(leaf.class_name) or _PACKED_LEAVES.get(leaf.class_name)
    if dtype is None:
        return None
    if leaf.unsigned and dtype.startswith("int"):
        dtype = f"u{dtype}"
    fixed = leaf.dimensions[1:] if leaf.counted else leaf.dimensions
    if not all(length.isdecimal() for length in fixed):
        return None
    return Storage(dtype, tuple(int(length) for length in fixed), leaf.counted, 0)
