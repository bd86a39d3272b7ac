"""A spec as a tree of values that know where they stand in which file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.errors import Problem

Scalar = str | int | float | bool | None
LONGEST_MESSAGE = 1000


class Place(NamedTuple):
    """Where something stands: a file, a line and a column, both from 1; line 0 where the file has no such place.

    `shift` is the number of letters (a quote) before the text of a scalar; None where it spans lines or has escapes.
    """

    file: str
    line: int
    column: int
    shift: int | None = None

    def problem(self, message: str, offset: int = 0) -> Problem:
        """A problem here, or `offset` letters into the text."""
        inside = offset + self.shift if self.shift is not None and offset and self.line else 0
        return Problem(self.file, self.line, self.column + inside, one_line(message))


def one_line(message: str) -> str:
    """The message with line ends and other unprintable letters of the user's text escaped, and not without end."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message[:LONGEST_MESSAGE])
    return shown + ("..." if len(message) > LONGEST_MESSAGE else "")


class Entry(NamedTuple):
    """A value of a mapping, and the place of its key."""

    key: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the tree. Nodes are never changed: an edit copies the way to it, so aliases may share them.

    Attributes:
        value: a mapping of text keys, a list, or a plain value.
        place: where it starts.
        size: values it holds, itself and all those below, counted once for each time they are used.
        height: levels of mappings and lists in it.
    """

    value: dict[str, Entry] | list[Node] | Scalar
    place: Place
    size: int = 1
    height: int = 0

    @property
    def kind(self) -> str:
        """What a message calls it."""
        return describe(self.value)

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """The values directly below, with the key or index of each."""
        if isinstance(self.value, dict):
            for key, entry in self.value.items():
                yield key, entry.node
        elif isinstance(self.value, list):
            yield from enumerate(self.value)


def mapping(entries: dict[str, Entry], place: Place) -> Node:
    """A mapping node of these entries."""
    nodes = [entry.node for entry in entries.values()]
    return Node(
        entries, place, 1 + sum(node.size for node in nodes), 1 + max((node.height for node in nodes), default=0)
    )


def sequence(items: list[Node], place: Place) -> Node:
    """A list node of these items."""
    return Node(items, place, 1 + sum(item.size for item in items), 1 + max((item.height for item in items), default=0))


def moved(node: Node, place: Place) -> Node:
    """The same value at another place: what an alias stands for."""
    return replace(node, place=place)


def merged(base: Node, over: Node) -> Node:
    """Two trees in one: mappings are merged key by key, of anything else the one of `over` is kept."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    entries = dict(base.value)
    for key, entry in over.value.items():
        known = entries.get(key)
        entries[key] = Entry(entry.key, merged(known.node, entry.node)) if known else entry
    return mapping(entries, over.place)


def describe(value: object) -> str:
    """What a message calls a value: a text, a whole number, a mapping, ...

    Example:
        >>> describe("relu"), describe(3), describe([])
        ('the text `relu`', 'the whole number 3', 'an empty list')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"the whole number {value}"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        text = value if len(value) <= 40 else value[:37] + "..."
        return f"the text `{text}`" if value else "an empty text"
    name = "mapping" if isinstance(value, dict) else "list"
    return f"a {name}" if value else f"an empty {name}"
