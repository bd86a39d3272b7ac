"""Reading a spec with the files that it includes; what the including file says wins over what it includes."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Problem, SpecError
from engine.spec.nodes import Node, Place, describe, mapping, merged
from engine.spec.resources import folder
from engine.spec.source import MOST_BYTES, compose
from engine.spec.suggest import hint

KEY = "include"
MOST_FILES = 100


def read(path: Path) -> Node:
    """The tree of a spec file, with all that it includes merged in.

    Raises:
        SpecError: a file is missing, unreadable, no YAML, no mapping, or includes itself.
    """
    return _Reader(path.parent).read(path, ())


def read_text(text: str, name: str, beside: Path) -> Node:
    """The same for a text that is not a file; `beside` is the folder that its includes are relative to."""
    return _Reader(beside).merge(_root(text, name), beside, ())


class _Reader:
    """Counts the files read, so that files which include each other twice cannot multiply without end.

    `home` is the folder of the spec itself: a file there goes before one that comes with the program, also where a file
    of the program includes it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.files = 0

    def read(self, path: Path, chain: tuple[Path, ...]) -> Node:
        return self.merge(_root(_load(path), str(path)), path.parent, (*chain, path.resolve()))

    def merge(self, root: Node, beside: Path, chain: tuple[Path, ...]) -> Node:
        if not isinstance(root.value, dict) or KEY not in root.value:
            return root
        entries = dict(root.value)
        included = _names(entries.pop(KEY).node)
        base: Node | None = None
        for name, place in included:
            node = self.read_included(name, place, beside, chain)
            base = node if base is None else merged(base, node)
        own = mapping(entries, root.place)
        return own if base is None else merged(base, own)

    def read_included(self, name: str, place: Place, beside: Path, chain: tuple[Path, ...]) -> Node:
        path = _find(name, place, beside, self.home)
        self.files += 1
        if self.files > MOST_FILES:
            raise SpecError([place.problem(f"more than {MOST_FILES} files are included")])
        if path.resolve() in chain:
            steps = [*chain[chain.index(path.resolve()) :], path]
            raise SpecError([place.problem(f"a file includes itself: {' -> '.join(step.name for step in steps)}")])
        return self.read(path, chain)


def _names(node: Node) -> list[tuple[str, Place]]:
    """The file names of an `include:` with their places."""
    items = node.value if isinstance(node.value, list) else [node]
    names: list[tuple[str, Place]] = []
    for item in items:
        if not isinstance(item.value, str) or not item.value.strip():
            message = f"`include` takes a file name or a list of them, found {item.kind}"
            raise SpecError([item.place.problem(message)])
        names.append((item.value, item.place))
    return names


def _find(name: str, place: Place, beside: Path, home: Path) -> Path:
    """The file meant: relative to the including file, or to the spec, or one of those that come with the program."""
    candidates = [beside / name, home / name, folder("specs") / name]
    try:
        for path in candidates:
            if path.is_file():
                return path
    except (OSError, ValueError):
        raise SpecError([place.problem(f"`{name[:60]}` is not a file name")]) from None
    shipped = folder("specs")
    known = [str(path.relative_to(shipped)) for path in sorted(shipped.rglob("*.yaml"))]
    message = f"there is no file `{name}` in {beside} nor among those of the program{hint(name, known)}"
    raise SpecError([place.problem(message)])


def _load(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SpecError([Problem(str(path), 0, 0, f"there is no such file{_beside(path)}")]) from None
    except IsADirectoryError:
        raise SpecError([Problem(str(path), 0, 0, "this is a folder, not a spec")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError([Problem(str(path), 0, 0, f"the file cannot be read: {reason}")]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8 text; is this a spec?"
        raise SpecError([Problem(str(path), line, column, message)]) from None


def _beside(path: Path) -> str:
    """The nearest YAML file in the same folder, for a mistyped name."""
    try:
        known = [each.name for each in path.parent.glob("*.yaml")]
    except (OSError, ValueError):
        return ""
    return hint(path.name, known) if known else ""


def _root(text: str, name: str) -> Node:
    node = compose(text, name)
    if node is None:
        raise SpecError([Problem(name, 0, 0, "the file is empty")])
    if not isinstance(node.value, dict):
        raise SpecError([node.place.problem(f"a spec is a mapping of sections, found {describe(node.value)}")])
    return node
