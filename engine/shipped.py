"""The specs that come with the program: found beside the package in an installation, at the root in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.errors import UsageError
from engine.files import make_folder, write_text
from engine.spec.resources import folder

EDITOR_SCHEMA = Path("schemas", "editor", "spec.json")
"""Where the first line of every spec finds its schema, from the folder that `specs` is in."""


def titles() -> dict[str, str]:
    """Each shipped spec with the first sentence of the comment at its head."""
    return {path.stem: _title(path) for path in sorted(folder("specs").glob("*.yaml"))}


def _title(path: Path) -> str:
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            comments.append(line.lstrip("# ").strip())
    return " ".join(comments).strip().split(". ")[0].rstrip(".")


def copy(name: str, target_folder: Path) -> Path:
    """Copy a shipped spec into a folder, and the schema beside it for editors; an existing file is never overwritten.

    Raises:
        UsageError: no such spec, or the file is there already.
    """
    source = folder("specs") / f"{name}.yaml"
    if not source.is_file():
        message = f"there is no shipped spec {name!r}; there are {', '.join(titles())}"
        raise UsageError(message)
    target = target_folder / source.name
    if target.exists():
        message = f"{target} is there already; move it away, or name another folder with -o"
        raise UsageError(message)
    make_folder(target_folder)
    shutil.copyfile(source, target)
    _write_schema(target_folder.absolute().parent / EDITOR_SCHEMA)
    return target


def _write_schema(path: Path) -> None:
    """The schema where the first line of every spec points an editor; one that is there is kept."""
    from engine.validation import schema_text

    if not path.exists():
        make_folder(path.parent)
        write_text(path, schema_text() + "\n")
