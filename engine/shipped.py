"""The specs that come with the program: found beside the package in an installation, at the root in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.errors import UsageError

PACKAGE = Path(__file__).resolve().parent


def specs_folder() -> Path:
    """Where the shipped specs are."""
    installed = PACKAGE / "specs"
    return installed if installed.is_dir() else PACKAGE.parent / "specs"


def titles() -> dict[str, str]:
    """Each shipped spec with the first sentence of the comment at its head."""
    return {path.stem: _title(path) for path in sorted(specs_folder().glob("*.yaml"))}


def _title(path: Path) -> str:
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            comments.append(line.lstrip("# ").strip())
    return " ".join(comments).strip().split(". ")[0].rstrip(".")


def copy(name: str, folder: Path) -> Path:
    """Copy a shipped spec into `folder`, and the schema beside it for editors; an existing file is never overwritten.

    Raises:
        UsageError: no such spec, or the file is there already.
    """
    source = specs_folder() / f"{name}.yaml"
    if not source.is_file():
        message = f"there is no shipped spec {name!r}; there are {', '.join(titles())}"
        raise UsageError(message)
    target = folder / source.name
    if target.exists():
        message = f"{target} is there already; move it away, or name another folder with -o"
        raise UsageError(message)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    _write_schema(folder.absolute().parent / "schemas" / "experiment.json")
    return target


def _write_schema(path: Path) -> None:
    """The schema where the first line of every spec points an editor; one that is there is kept."""
    from engine.validation import schema_text

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema_text() + "\n", encoding="utf-8")
