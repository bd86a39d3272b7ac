"""Vocabulary files named in a spec: their tokens take the place of the name, so that a resolved spec needs no file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import Mistake
from engine.errors import Path as SpecPath
from engine.spec.document import Document
from engine.spec.resources import folder
from engine.spec.suggest import hint

KEY = "vocabulary"
MOST_BYTES = 4_000_000
MOST_TOKENS = 100_000
"""Of all vocabularies together: they become part of the spec that is kept with a run."""


def put_in(document: Document, beside: Path) -> list[Mistake]:
    """Replace the names of vocabulary files in a document by the tokens in them.

    Args:
        document: a spec in which the schema finds no mistake; its values are changed.
        beside: folder that names are relative to where the file that they stand in is none.

    Returns:
        What is wrong with the files.
    """
    mistakes: list[Mistake] = []
    read: dict[Path, list[Any]] = {}
    total = 0
    for path, owner in _owners(document.value):
        try:
            if isinstance(owner[KEY], str):
                stands_in = Path(document.locate(path)[0])  # no file where `--set` says it
                found = _find(owner[KEY], *([stands_in.parent] if stands_in.is_file() else []), beside)
                if found not in read:
                    read[found] = _tokens(found)
                owner[KEY] = read[found]
            total += len(owner[KEY])
            if total > MOST_TOKENS:
                raise ValueError(f"the vocabularies of a spec may have {MOST_TOKENS:,} tokens together, not {total:,}")
        except ValueError as error:
            owner[KEY] = ["?"]  # something to go on with: all other mistakes are told too
            mistakes.append(Mistake(path, str(error)))
    return mistakes


def _owners(spec: dict[str, Any]) -> Iterator[tuple[SpecPath, dict[str, Any]]]:
    """Every mapping of the spec with a vocabulary, and the path of that."""
    for name, value in spec["data"]["inputs"].items():
        path: SpecPath = ("data", "inputs", name)
        if value.get(KEY) is not None:
            yield (*path, KEY), value
        for feature, settings in value.get("features", {}).items():
            if settings.get(KEY) is not None:
                yield (*path, "features", feature, KEY), settings


def _find(name: str, *folders: Path) -> Path:
    """The file: beside the spec, or one that comes with the program."""
    shipped = folder("specs")
    try:
        for place in (*folders, shipped):
            if (place / name).is_file():
                return place / name
    except (OSError, ValueError):
        raise ValueError(f"`{name[:60]}` is not a file name") from None
    known = [path.relative_to(shipped).as_posix() for path in sorted(shipped.rglob("*.json"))]
    near = hint(name, [*known, *(path.name for path in folders[0].glob("*.json"))])
    raise ValueError(f"there is no vocabulary `{name}` in {folders[0]} nor among those of the program{near}")


def _tokens(path: Path) -> list[Any]:
    """The list of tokens in a JSON file, or in its key `tokens`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a vocabulary has at most {MOST_BYTES:,}")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None
    tokens = value.get("tokens") if isinstance(value, dict) else value
    if not isinstance(tokens, list) or not tokens:
        raise ValueError(f"{path} holds no vocabulary: a list of tokens, or a mapping with the key `tokens`")
    for number, token in enumerate(tokens):
        if not isinstance(token, str | int | float) or isinstance(token, bool):
            raise ValueError(f"{path}: token {number + 1} is neither a text nor a number")
    return tokens


def as_number(token: str) -> float | None:
    """The finite number that a token is written as, or None."""
    try:
        number = float(token)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
