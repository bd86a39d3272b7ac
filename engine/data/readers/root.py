"""TTrees and RNTuples of ROOT files.

Plain branches of TTrees in local files (numbers, arrays, vectors and vectors of vectors of numbers) are decoded
directly: files of many small baskets read several times faster than through uproot, and their description is at hand
without importing it. All else goes through uproot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.data.readers.base import NoSuchTree, reason
from engine.data.readers.file_reader import FileReader
from engine.data.readers.root_file import RootFile
from engine.data.readers.root_tree import Tree, Unsupported, read_tree
from engine.data.readers.root_types import Storage, describe, is_tree_class
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.columns import Column
    from engine.data.readers.root_baskets import BranchDecoder
    from engine.data.readers.root_uproot import UprootTree


class RootReader(FileReader):
    """One TTree or RNTuple of a ROOT file, as `Reader`."""

    word = "branch"

    def __init__(self, path: str, tree: str | None) -> None:
        """Open the file and read the description of the tree (None: the only one).

        Raises:
            DataError: no ROOT file, damaged, truncated, or without such a tree.
        """
        super().__init__(path)
        self._file: RootFile | None = None
        self._general: UprootTree | None = None
        self._tree: Tree | None = None
        self._storage: dict[str, Storage] = {}
        self._decoders: dict[str, BranchDecoder] = {}
        with self._opening("a ROOT file; the file seems to be damaged"):
            self._name = self._open(tree)

    @property
    def entries(self) -> int:
        """Number of entries of the tree."""
        return self._entries

    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        found: dict[str, Column] = {}
        for name in names:
            with self._telling(f"branch '{name}' cannot be read; the file seems to be damaged"):
                found[name] = self._read_one(name, start, stop)
        return found

    def close(self) -> None:
        """Release the file."""
        self._decoders.clear()
        if self._file is not None:
            self._file.close()
        if self._general is not None:
            self._general.close()

    def _open(self, tree: str | None) -> str:
        """Find the tree; returns its path in the file."""
        if "://" in self.path:
            return self._open_general(tree)
        self._file = RootFile(self.path)
        objects = self._file.objects()
        trees = {name: key for name, key in objects.items() if is_tree_class(key.class_name)}
        name = choose_tree(self.path, tree, trees, objects)
        try:
            if trees[name].class_name != "TTree":
                raise Unsupported(trees[name].class_name)
            self._tree = read_tree(self._file, trees[name])
        except Unsupported:
            return self._open_general(name)
        self._entries = self._tree.entries
        for branch in self._tree.branches.values():
            self._branches[branch.name], storage = describe(branch)
            if storage is not None:
                self._storage[branch.name] = storage
        return name

    def _open_general(self, tree: str | None) -> str:
        """Leave the file to uproot."""
        from engine.data.readers.root_uproot import UprootTree

        try:
            self._general = UprootTree(self.path, tree)
        except ImportError as error:
            raise DataError(f"{self.path}: cannot be opened: {reason(error)}") from error
        name = choose_tree(self.path, tree, self._general.names, ())
        self._entries = self._general.entries
        self._branches = self._general.branches()
        return name

    def _read_one(self, name: str, start: int, stop: int) -> Column:
        """One branch, by the decoder that knows it."""
        storage = self._storage.get(name)
        if storage is None or self._file is None or self._tree is None:
            return self._uproot().read([name], start, stop)[name]
        if name not in self._decoders:
            from engine.data.readers.root_baskets import BranchDecoder

            self._decoders[name] = BranchDecoder(self._file, self._tree.branches[name], storage)
        return self._decoders[name].read(start, stop)

    def _uproot(self) -> UprootTree:
        """The tree as uproot opens it, on first use."""
        if self._general is None:
            from engine.data.readers.root_uproot import UprootTree

            self._general = UprootTree(self.path, self._name)
        return self._general


def choose_tree(path: str, tree: str | None, trees: Iterable[str], objects: Iterable[str]) -> str:
    """The tree to read: the one asked for, or the only one.

    Raises:
        NoSuchTree: there is no such tree (says what is there instead), or several and none was asked for.
        DataError: the file holds no tree at all.
    """
    names, others = list(trees), list(objects)
    if tree is None and len(names) == 1:
        return names[0]
    wanted = tree.partition(";")[0].strip("/") if tree is not None else None
    if wanted is not None and wanted in names:
        return wanted
    there = f"it holds {_some(names)}" if names else "it holds no tree at all"
    if not names and others:
        there += f" (only {_some(others)})"
    if wanted is None:
        sentence = f"{there}; write which to read as `tree:`" if names else there
    elif wanted in others:
        sentence = f"'{wanted}' is not a tree; {there}"
    else:
        sentence = f"there is no tree '{wanted}'; {there}"
    raise (NoSuchTree if names else DataError)(f"{path}: {sentence}")


def _some(names: Sequence[str], most: int = 5) -> str:
    """The first few names, in quotes."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
