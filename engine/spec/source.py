"""YAML text to a tree of values with places. No tags, no duplicate keys, no recursion, and limits on size and depth."""

from __future__ import annotations

import re
from typing import Any

import yaml

from engine.errors import Problem, SpecError
from engine.spec.nodes import Entry, Node, Place, mapping, moved, sequence
from engine.spec.scalars import resolve

MOST_BYTES = 4_000_000
MOST_VALUES = 200_000
DEEPEST = 40

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ADVICE = {
    "mapping values are not allowed": "a `key: value` cannot stand here; is the indentation right, or a quote missing?",
    "did not find expected ',' or '}'": "a `,` or the closing `}` is missing",
    "did not find expected ',' or ']'": "a `,` or the closing `]` is missing",
    "did not find expected node content": "a value, or the closing `]` or `}`, is missing",
    "did not find expected key": "a key is expected here; is the indentation that of the lines above?",
    "did not find expected '-' indicator": "a list item `- ...` is expected here; is the indentation right?",
    "could not find expected ':'": "a `:` is missing after the key above",
    "found character that cannot start any token": "this letter cannot start a value; put quotes around the text, and "
    "spaces in place of tabs",
    "found unexpected end of stream": "the file ends inside a quoted text; a closing quote is missing",
    "did not find expected alphabetic or numeric character": "a name is missing after `*` or `&`; put quotes around a "
    "text that starts with them",
    "found unknown escape character": r"unknown escape after `\`; write single quotes, in which it has no meaning",
    "block sequence entries are not allowed": "a list item `- ...` cannot stand here; start it on a line of its own",
    "did not find the expected comment or line break": "nothing may follow on this line but a comment",
}


def compose(text: str, file: str) -> Node | None:
    """The tree of a YAML text, or None for a text without any value.

    Args:
        text: the YAML.
        file: its name in messages.

    Raises:
        SpecError: it is no YAML, or uses what a spec may not; with the place.
    """
    _check_letters(text, file)
    composer = _Composer(text, file)
    try:
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        raise SpecError([place.problem(_sentence(error))]) from None
    except yaml.YAMLError as error:
        raise SpecError([Problem(file, 1, 1, f"this is not YAML: {error}")]) from None
    if composer.problems:
        raise SpecError(composer.problems)
    return root


def _check_letters(text: str, file: str) -> None:
    if len(text) > MOST_BYTES:
        raise SpecError([Problem(file, 0, 0, f"the file is larger than {MOST_BYTES // 10**6} MB; is it a spec?")])
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - (text.rfind("\n", 0, bad.start()) + 1) + 1
        message = f"the letter with code {ord(bad.group())} cannot stand in YAML; is this a text file?"
        raise SpecError([Problem(file, line, column, message)])


def _sentence(error: yaml.MarkedYAMLError) -> str:
    told = " ".join(part for part in (error.problem, error.context) if part)
    advice = next((advice for words, advice in _ADVICE.items() if words in told), error.problem or error.context)
    opened = ""
    if error.context_mark and error.context and ("flow" in error.context or "quoted" in error.context):
        opened = f" (opened in line {error.context_mark.line + 1})"
    return f"this is not YAML: {advice}{opened}"


class _Composer:
    """Builds the tree from the events of the YAML parser; what is merely forbidden is collected in `problems`."""

    def __init__(self, text: str, file: str) -> None:
        self.events = _LOADER(text)
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}  # None while the anchor's own value is being read

    def document(self) -> Node | None:
        self.events.get_event()
        if isinstance(self.events.get_event(), yaml.StreamEndEvent):
            return None
        event = self.events.get_event()
        root = self.node(event, 0)
        self.events.get_event()
        event = self.events.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            raise SpecError([self.place(event).problem("a second document starts here; a spec is a single one")])
        return None if root.value is None else root

    def place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1, _shift(event))

    def node(self, event: Any, depth: int) -> Node:
        place = self.place(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), place, depth)
        if depth > DEEPEST:
            raise SpecError([place.problem(f"values are nested more than {DEEPEST} deep")])
        if event.tag is not None:
            self.problems.append(place.problem(f"tags such as `{event.tag[:40]}` are not allowed in a spec"))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(place, depth)
        else:
            node = self.mapping(place, depth)
        if node.size > MOST_VALUES:
            raise SpecError([place.problem(f"this holds more than {MOST_VALUES} values, aliases counted")])
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, name: str, place: Place, depth: int) -> Node:
        node = self.anchors.get(name)
        if node is not None and depth + node.height > DEEPEST:
            raise SpecError([place.problem(f"values are nested more than {DEEPEST} deep, aliases counted")])
        if node is not None:
            return moved(node, place._replace(shift=None))
        if name in self.anchors:
            raise SpecError([place.problem(f"the alias `*{name}` stands inside the value that it repeats")])
        raise SpecError([place.problem(f"the alias `*{name}` has no anchor `&{name}` before it")])

    def scalar(self, event: Any, place: Place) -> Node:
        if not event.implicit[0] or event.style:
            return Node(event.value, place)
        try:
            return Node(resolve(event.value), place)
        except ValueError as error:
            self.problems.append(place.problem(str(error)))
            return Node(0, place)

    def sequence(self, place: Place, depth: int) -> Node:
        items = []
        while not isinstance(event := self.events.get_event(), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return sequence(items, place)

    def mapping(self, place: Place, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        inherited: list[Node] = []
        while not isinstance(event := self.events.get_event(), yaml.MappingEndEvent):
            key = self.key(event, depth)
            node = self.node(self.events.get_event(), depth + 1)
            if key == "<<" and not event.style:
                inherited.extend(self.merge_sources(node))
            elif key is not None:
                self.add(entries, key, Entry(self.place(event), node))
        for source in inherited:
            if isinstance(source.value, dict):
                for key, entry in source.value.items():
                    entries.setdefault(key, entry)
        return mapping(entries, place)

    def key(self, event: Any, depth: int) -> str | None:
        """The key as written: `-1` and `true` are texts too."""
        if isinstance(event, yaml.ScalarEvent):
            if event.tag is not None:
                self.problems.append(self.place(event).problem("tags are not allowed in a spec"))
            if event.anchor is not None:
                self.anchors[event.anchor] = Node(event.value, self.place(event))
            return str(event.value)
        node = self.node(event, depth + 1)
        if isinstance(node.value, str):
            return node.value
        self.problems.append(node.place.problem(f"a key must be a word, found {node.kind}"))
        return None

    def add(self, entries: dict[str, Entry], key: str, entry: Entry) -> None:
        if key in entries:
            first = entries[key].key
            self.problems.append(entry.key.problem(f"`{key}` stands here a second time, first in line {first.line}"))
        else:
            entries[key] = entry

    def merge_sources(self, node: Node) -> list[Node]:
        """What `<<: *anchor` or `<<: [*one, *two]` takes keys from."""
        sources = node.value if isinstance(node.value, list) else [node]
        for source in sources:
            if not isinstance(source.value, dict):
                self.problems.append(node.place.problem(f"`<<` takes keys from mappings, found {source.kind}"))
        return sources


def _shift(event: Any) -> int | None:
    """Letters before the text of a scalar on its first line; None where letters and columns do not go together."""
    start, end = event.start_mark, event.end_mark
    if not isinstance(event, yaml.ScalarEvent) or start.line != end.line:
        return None
    quotes = 1 if event.style in ("'", '"') else 0
    length = end.column - start.column - 2 * quotes
    return quotes if length == len(event.value) else None
