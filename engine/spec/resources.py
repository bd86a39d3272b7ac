"""Where the schemas and specs that belong to the program are: inside the package, or beside it in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def folder(name: str) -> Path:
    """The folder `schemas` or `specs`: `engine/<name>` when installed, `<name>` beside `engine` in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
