"""Keys with other names, here or in Keras and PyTorch: they are read, and the user is told the name of today."""

from __future__ import annotations

from typing import NamedTuple

from engine.errors import Problem, SpecError
from engine.spec.nodes import Entry, Node, mapping, sequence


class Renamed(NamedTuple):
    """A key with another name: where it stands (`*`: any key or index), what it was called and what it is now."""

    parent: tuple[str, ...]
    old: str
    new: str


RENAMED = (
    Renamed(("training", "streams", "*"), "batch_size", "batch"),
    Renamed(("training", "updates", "*", "optimizer", "*"), "learning_rate", "lr"),
    Renamed(("training", "early_stopping"), "monitor", "metric"),
    Renamed(("training", "best"), "monitor", "metric"),
)


def rename(root: Node) -> tuple[Node, list[Problem]]:
    """The tree with the names of today, and a note for each key that had another one.

    Raises:
        SpecError: both names of a key are given.
    """
    notes: list[Problem] = []
    for renamed in RENAMED:
        root = _renamed(root, renamed, 0, notes)
    return root, notes


def _renamed(node: Node, renamed: Renamed, depth: int, notes: list[Problem]) -> Node:
    if depth == len(renamed.parent):
        return _with_new_key(node, renamed, notes)
    step = renamed.parent[depth]
    if isinstance(node.value, dict):
        entries = {
            key: Entry(entry.key, _renamed(entry.node, renamed, depth + 1, notes)) if step in ("*", key) else entry
            for key, entry in node.value.items()
        }
        return mapping(entries, node.place)
    if isinstance(node.value, list) and step == "*":
        return sequence([_renamed(item, renamed, depth + 1, notes) for item in node.value], node.place)
    return node


def _with_new_key(node: Node, renamed: Renamed, notes: list[Problem]) -> Node:
    if not isinstance(node.value, dict) or renamed.old not in node.value:
        return node
    place = node.value[renamed.old].key
    if renamed.new in node.value:
        message = f"`{renamed.old}` and `{renamed.new}` are the same key; keep `{renamed.new}`"
        raise SpecError([place.problem(message)])
    notes.append(place.problem(f"`{renamed.old}` is called `{renamed.new}`; it was read as that"))
    entries = {(renamed.new if key == renamed.old else key): entry for key, entry in node.value.items()}
    return mapping(entries, node.place)
