"""Folders and small files, with what can go wrong told as a sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import DataError, EngineError, StorageError, UsageError
from engine.leftovers import clear, unfinished

STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What the system says where the place is right and has no room."""


def file_sentence(error: OSError) -> str:
    """What the system says about a file: `runs/a: Permission denied`."""
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{names}: {reason}" if names else reason


def refusal(error: OSError) -> type[EngineError]:
    """The kind of an error at writing: no room, or a place that the user has to change."""
    return StorageError if error.errno in STORAGE else UsageError


def make_folder(path: Path) -> Path:
    """A folder with all those above it, made where it is not there.

    Raises:
        StorageError: there is no room for it.
        UsageError: it cannot be made at that place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder {path} cannot be made ({file_sentence(error)}); name another one"
        raise refusal(error)(message) from None
    return path


def unwritable(path: Path, error: OSError) -> EngineError:
    """What the user is told where a file cannot be written."""
    if error.errno in STORAGE:
        return StorageError(f"{path} cannot be written: {os.strerror(error.errno)}")
    reason = error.strerror or str(error) or type(error).__name__
    return UsageError(f"{path} cannot be written ({reason}); it needs a place where you may write")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around whatever writes a file: what the system says names the file, not a hidden one that it begins as.

    Raises:
        StorageError: there is no room for it.
        UsageError: it cannot be written at that place.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A name to write a file under, which gets its own when the block ends without an error and is removed otherwise.

    Raises:
        StorageError: there is no room for it.
        UsageError: it cannot be written at that place.
    """
    if path.exists() and not path.is_file():  # a device, a pipe; a folder says itself that it is one
        with writing(path):
            yield path
        return
    clear(path.parent, path.name)
    hidden = unfinished(path)
    try:
        with writing(path):
            yield hidden
            hidden.replace(path)
    finally:
        with suppress(OSError):
            hidden.unlink()


def write_text(path: Path, text: str) -> None:
    """A small text file; it appears complete or not at all.

    Raises:
        StorageError: there is no room for it.
        UsageError: it cannot be written at that place.
    """
    with complete(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """The same of a JSON value."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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
