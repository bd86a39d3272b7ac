"""What is left of a spec once all that the schemas find wrong is taken out, so that later checks see the rest at once.

A mistake of one kind must not hide those of the next: an unknown collection is told beside a value of a wrong type.
What is taken out leaves gaps, though, and what a later check says about a gap (`there is no field ...`) is no mistake
of the user: `Gaps` tells these apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.document import Document
from engine.spec.schema import errors

UNITS = {("model", "graph"): 3, ("blocks",): 2}
"""Tables whose entries are taken out whole: of a node without one of its layers nobody knows the shape."""

SECTIONS: dict[str, dict[str, Any]] = {
    "data": {
        "collections": {},
        "samples": {},
        "inputs": {},
        "split": {"by": ["x"], "train": 0.8, "validation": 0.1, "test": 0.1},
    },
    "model": {"graph": {}},
    "training": {"streams": {}, "losses": {}},
}
"""Sections that a spec must have, with something to stand in for each of their parts."""

STILL_SAID: dict[Path, tuple[str, ...]] = {
    ("data", "collections"): (),
    ("data", "inputs"): (),
    ("data", "samples"): ("model", "blocks"),
    ("model", "graph"): ("data",),
    ("training", "streams"): ("data", "model", "blocks"),
    ("training", "losses"): ("data", "model", "blocks"),
}
"""Of which sections something can be said without a part that all others refer to."""

HINT = re.compile(r"; (did you mean|known are).*")


class _Gone:
    """Stands where something was taken out, so that what comes after it in a list keeps its place."""


GONE = _Gone()
MOST_ROUNDS = 100


@dataclass
class Gaps:
    """What was taken out of a spec.

    Attributes:
        paths: the places.
        names: names that were defined or used there, which nothing can be said about.
        kept: of each list with gaps, the places that its items have in the spec.
    """

    paths: set[Path] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    kept: dict[Path, list[int]] = field(default_factory=dict)

    def real(self, found: Iterable[Mistake]) -> list[Mistake]:
        """The mistakes of a later check that do not come from the gaps, at their places in the spec."""
        if not self.paths:
            return list(found)
        placed = (replace(mistake, path=self.in_spec(mistake.path)) for mistake in found)
        return [mistake for mistake in placed if not self._causes(mistake)]

    def within(self, *paths: Path) -> bool:
        """Whether something is missing in one of these places."""
        return any(gap[: len(path)] == path for gap in self.paths for path in paths)

    def in_spec(self, path: Path) -> Path:
        """A place of the sound part as one of the spec."""
        steps: list[str | int] = []
        for depth, step in enumerate(path):
            kept = self.kept.get(path[:depth])
            known = kept is not None and isinstance(step, int) and step < len(kept)
            steps.append(kept[step] if kept is not None and known and isinstance(step, int) else step)
        return tuple(steps)

    def _causes(self, mistake: Mistake) -> bool:
        path = mistake.path
        for gap in self.paths:
            if gap[: len(path)] == path or path[: len(gap)] == gap:
                return True
            if gap in STILL_SAID and path[0] not in STILL_SAID[gap]:
                return True
        if self.within(*mistake.rests_on):
            return True
        quoted = re.findall(r"`([^`]*)`", HINT.sub("", mistake.message))
        return any(name in self.names for text in quoted for name in _names(text))


def sound_part(document: Document) -> tuple[Document, Gaps] | None:
    """A document in which the schemas find no mistake: this one without its mistakes, and what is missing from it.

    None where nothing is left that could be looked at.
    """
    gaps = Gaps()
    marked = document.value
    for _ in range(MOST_ROUNDS):
        gaps.kept = {}
        plain = _compressed(marked, (), gaps.kept)
        stand_ins = gaps.paths.intersection(STILL_SAID)
        found = [
            (error.validator, path)
            for error, path in errors(plain)
            if error.validator != "minProperties" or path not in stand_ins
        ]
        if not found:
            return replace(document, value=plain), gaps
        for validator, path in found:
            if validator == "required" and len(path) < 2:
                marked = _stand_in(marked, path, gaps)
            elif not path or path in stand_ins:
                return None
            else:
                marked = _cut(marked, gaps.in_spec(_unit(path)), gaps)
    return None


def _unit(path: Path) -> Path:
    """The path of what is taken out because of a mistake at a path."""
    return next((path[:length] for table, length in UNITS.items() if path[: len(table)] == table), path)


def _stand_in(spec: Any, path: Path, gaps: Gaps) -> Any:
    """The spec with something in place of all that must be there and is not."""
    spec = dict(spec)
    for name, parts in SECTIONS.items():
        section = spec.get(name, {})
        section = section if isinstance(section, dict) else {}
        for part in parts:
            if section.get(part, GONE) is GONE:
                gaps.paths.add((name, part))
                gaps.names.add(part)
        spec[name] = {**section, **{part: parts[part] for part in parts if section.get(part, GONE) is GONE}}
    if not isinstance(spec.get("name"), str):
        spec["name"] = "unnamed"
        gaps.paths.add(("name",))
    return spec


def _cut(spec: Any, path: Path, gaps: Gaps) -> Any:
    """The spec without what stands at a path, or else without the nearest thing around it."""
    way = [spec]
    for step in path:
        value = way[-1]
        known = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
        if not known:
            break
        way.append(value[step])
    if way[-1] is GONE:
        return spec
    path = path[: len(way) - 1]
    _note(way.pop(), path, gaps)
    new: Any = GONE
    for owner, step in zip(reversed(way), reversed(path), strict=True):
        copied: Any = dict(owner) if isinstance(owner, dict) else list(owner)
        copied[step] = new
        new = copied
    return new


def _note(value: Any, path: Path, gaps: Gaps) -> None:
    """Remember what is taken out; of a node or a block its name alone, as others know nothing else of it."""
    gaps.paths.add(path)
    gaps.names.update(name for step in path[2:] or path[1:] if isinstance(step, str) for name in _names(step))
    if not any(path[: len(table)] == table for table in UNITS):
        gaps.names.update(_texts(value))


def _texts(value: Any) -> Iterable[str]:
    """All names in a value."""
    if isinstance(value, str):
        yield from _names(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _names(str(key))
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _names(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _compressed(value: Any, path: Path, kept: dict[Path, list[int]]) -> Any:
    """The value without its gaps; `path` is that of the result."""
    if isinstance(value, dict):
        return {key: _compressed(item, (*path, key), kept) for key, item in value.items() if item is not GONE}
    if isinstance(value, list):
        left = [index for index, item in enumerate(value) if item is not GONE]
        if len(left) < len(value):
            kept[path] = left
        return [_compressed(value[index], (*path, number), kept) for number, index in enumerate(left)]
    return value
