"""Folders and small files, with what can go wrong told as a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import DataError, UsageError


def file_sentence(error: OSError) -> str:
    """What the system says about a file: `runs/a: Permission denied`."""
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{names}: {reason}" if names else reason


def make_folder(path: Path) -> Path:
    """A folder with all those above it, made where it is not there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder {path} cannot be made ({file_sentence(error)}); name another one"
        raise UsageError(message) from None
    return path


def write_text(path: Path, text: str) -> None:
    """A small text file.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written ({file_sentence(error)}); name another file"
        raise UsageError(message) from None


def read_json(path: Path, what: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON object that the program wrote itself.

    Args:
        path: the file.
        what: what it is to the user.
        keys: that it must have.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        message = f"{path}, {what}, is missing"
        raise DataError(message) from None
    except OSError as error:
        message = f"{path}, {what}, cannot be read ({file_sentence(error)})"
        raise DataError(message) from None
    except ValueError:  # no JSON, or no text at all
        value = None
    if not isinstance(value, dict):
        message = f"{path}, {what}, is damaged: it holds no JSON object"
        raise DataError(message)
    missing = [key for key in keys if key not in value]
    if missing:
        message = f"{path}, {what}, is damaged: it has no {', '.join(missing)}"
        raise DataError(message)
    return value
