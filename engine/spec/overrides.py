"""`--set training.epochs=5`: values of the command line put into the tree of a spec."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import Problem, SpecError
from engine.spec.nodes import Entry, Node, Place, mapping, sequence
from engine.spec.source import DEEPEST, compose


def apply(root: Node, overrides: Sequence[str]) -> Node:
    """The tree with the overrides put in, in their order.

    Args:
        root: the tree of the spec.
        overrides: texts such as `training.epochs=5` or `training.updates.0.repeat=3`; the value is read as YAML.

    Raises:
        SpecError: an override that cannot be understood or has no place, all of them at once.
    """
    problems: list[Problem] = []
    for text in overrides:
        try:
            root = _applied(root, text)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    return root


def require_section(overrides: Sequence[str], section: str, message: str) -> None:
    """Refuse overrides of anything but one section.

    Raises:
        SpecError: every override that is of another one, with `message`.
    """
    others = [text for text in overrides if text.partition("=")[0].split(".")[0].strip() != section]
    if others:
        raise SpecError([Place(f"--set {text}", 0, 0).problem(message) for text in others])


def _applied(root: Node, text: str) -> Node:
    place = Place(f"--set {text}", 0, 0)
    key, equals, value = text.partition("=")
    steps = [step.strip() for step in key.split(".")]
    if not equals or not all(steps):
        raise SpecError([place.problem("write it as `key.key=value`, such as `training.epochs=5`")])
    if steps[0] == "include":
        raise SpecError([place.problem("`include` is followed before anything is set; write it into the spec")])
    if len(steps) > DEEPEST:
        raise SpecError([place.problem(f"the key is more than {DEEPEST} deep")])
    return _put(root, steps, _value(value, place), place, 0)


def _value(text: str, place: Place) -> Node:
    """The value as a tree whose parts all stand at the override."""
    try:
        node = compose(text, place.file)
    except SpecError as error:
        raise SpecError([Problem(place.file, 0, 0, each.message) for each in error.problems]) from None
    return _placed(node, place) if node is not None else Node(None, place)


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node.value, dict):
        return mapping({key: Entry(place, _placed(entry.node, place)) for key, entry in node.value.items()}, place)
    if isinstance(node.value, list):
        return sequence([_placed(item, place) for item in node.value], place)
    return Node(node.value, place)


def _put(node: Node, steps: list[str], value: Node, place: Place, depth: int) -> Node:
    """The node with `value` at the end of the steps; mappings that are missing on the way are made."""
    if depth == len(steps):
        return value
    step = steps[depth]
    if isinstance(node.value, list):
        index = _index(step, node, place, ".".join(steps[:depth]))
        items = list(node.value)
        items[index] = _put(items[index], steps, value, place, depth + 1)
        return sequence(items, node.place)
    if node.value is not None and not isinstance(node.value, dict):
        message = f"`{'.'.join(steps[:depth])}` is {node.kind}, it has no `{step}`"
        raise SpecError([place.problem(message)])
    entries = dict(node.value or {})
    known = entries.get(step)
    below = known.node if known else mapping({}, place)
    is_last = depth + 1 == len(steps)  # where a list or mapping stands is told by its key
    key = known.key if known and not is_last else place
    entries[step] = Entry(key, _put(below, steps, value, place, depth + 1))
    return mapping(entries, node.place)


def _index(step: str, node: Node, place: Place, where: str) -> int:
    count = len(node.value) if isinstance(node.value, list) else 0
    if step.isascii() and step.isdigit() and len(step) < 9 and int(step) < count:
        return int(step)
    wanted = f"a number from 0 to {count - 1}" if count else "nothing: it is empty"
    raise SpecError([place.problem(f"`{where}` is a list; after it stands {wanted}, found `{step}`")])
