"""The specs that come with the program: found beside the package in an installation, at the root in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.errors import UsageError
from engine.files import make_folder, write_text
from engine.spec.resources import folder
from engine.spec.suggest import hint

EDITOR_SCHEMA = Path("schemas", "editor", "spec.json")
"""Where the first line of every spec finds its schema, from the folder that `specs` is in."""


PARTS = ("blocks", "parts")
"""Folders of what specs include."""


def titles() -> dict[str, str]:
    """Each shipped experiment, such as `smartbkg/bias`, with the first sentence of the comment at its head."""
    specs = folder("specs")
    paths = {path.relative_to(specs).with_suffix("").as_posix(): path for path in _files()}
    return {name: _title(path) for name, path in paths.items() if name.split("/")[0] not in PARTS}


def _files() -> list[Path]:
    """All YAML files that come with the program; those of a folder behind the spec of the same name."""
    return sorted(folder("specs").rglob("*.yaml"), key=lambda path: path.with_suffix("").parts)


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

    What it includes stays with the program, and is found there. A file of that, `parts/smartbkg_data`, can be copied as
    well: one of the same name beside the spec takes the place of the shipped one.

    Raises:
        UsageError: no such spec, or the file is there already.
    """
    specs = folder("specs")
    known = {path.relative_to(specs).with_suffix("").as_posix(): path for path in _files()}
    if name not in known:
        message = f"there is no shipped spec {name!r}{hint(name, known) or '; `engine new` lists those that there are'}"
        raise UsageError(message)
    target = target_folder / f"{name}.yaml"
    if target.exists():
        message = f"{target} is there already; move it away, or name another folder with -o"
        raise UsageError(message)
    make_folder(target.parent)
    shutil.copyfile(known[name], target)
    _write_schema(target_folder.absolute().parent / EDITOR_SCHEMA)
    return target


def _write_schema(path: Path) -> None:
    """The schema where the first line of every spec points an editor; one that is there is kept."""
    from engine.validation import schema_text

    if not path.exists():
        make_folder(path.parent)
        write_text(path, schema_text() + "\n")
