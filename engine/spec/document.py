"""The resolved spec as plain values, with the place of every key and value, so that any message can say where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError, Mistake, Path, Problem, SpecError
from engine.spec.nodes import Node, Place


@dataclass(frozen=True)
class Document:
    """A resolved spec.

    Attributes:
        value: the spec after includes, overrides and renamed keys, as plain mappings, lists and values.
        file: the file it was read from, for problems that have no place.
        notes: what the user should know though it is no mistake (renamed keys).
    """

    value: dict[str, Any]
    file: str
    notes: tuple[Problem, ...] = ()
    places: dict[Path, Place] = field(default_factory=dict, repr=False, compare=False)
    keys: dict[Path, Place] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_tree(cls, root: Node, file: str, notes: Iterable[Problem] = ()) -> Document:
        """The document of a tree of nodes."""
        document = cls({}, file, tuple(notes))
        document.value.update(_plain(root, (), document))
        return document

    def get(self, path: Path) -> Any:
        """The value at a path, or None where there is none."""
        value: Any = self.value
        for step in path:
            known = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
            if not known:
                return None
            value = value[step]
        return value

    def locate(self, path: Path, key: bool = False) -> tuple[str, int, int]:
        """File, line and column of the value at a path, or of the nearest thing above that is known.

        Of a mapping or list the key is what people look for, so that is where it is said to be; `key` asks for the key
        of a plain value too.
        """
        place = self._place(path, key)
        return place.file, place.line, place.column

    def problem(self, mistake: Mistake) -> Problem:
        """The mistake with its place: the value where it is a single word or number, else its key."""
        return self._place(mistake.path, mistake.of_key).problem(mistake.message, mistake.offset)

    def error(self, mistakes: Iterable[Mistake]) -> SpecError:
        """The error that tells all these mistakes, in the order of the file."""
        return SpecError(sorted(self.problem(mistake) for mistake in mistakes))

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Around work on what the spec says: an error that knows a place of the spec is told with file and line."""
        try:
            yield
        except EngineError as error:
            if error.place is None:
                raise
            first, *others = str(error).split("\n")
            placed = self.problem(Mistake(error.place, first))
            raise type(error)("\n".join([str(placed), *others])) from error

    def to_yaml(self) -> str:
        """The resolved spec as YAML; reading it back gives the same values."""
        from engine.spec.writer import to_yaml

        return to_yaml(self.value)

    def _place(self, path: Path, key: bool) -> Place:
        for length in range(len(path), -1, -1):
            part = path[:length]
            found = self.places.get(part)
            if found is None:
                continue
            wants_key = key or length < len(path) or isinstance(self.get(part), dict | list)
            return self.keys.get(part, found) if wants_key else found
        return Place(self.file, 0, 0)


def _plain(node: Node, path: Path, document: Document) -> Any:
    """The plain value of a node; its place and those below are put into the document."""
    document.places[path] = node.place
    if isinstance(node.value, dict):
        mapping = {}
        for key, entry in node.value.items():
            document.keys[(*path, key)] = entry.key
            mapping[key] = _plain(entry.node, (*path, key), document)
        return mapping
    if isinstance(node.value, list):
        return [_plain(item, (*path, index), document) for index, item in enumerate(node.value)]
    return node.value
