"""Files that begin under a hidden name, and what is left of them where the process that wrote them was killed.

The hidden name says which process of which host or container writes the file, so that another one can tell that it
never will be complete: `.report.html.5f2c01aa.4711.part`.
"""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import suppress
from glob import escape
from pathlib import Path

ENDING = ".part"


def unfinished(path: Path) -> Path:
    """The name that this process writes a file under until it is complete."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}{ENDING}")


def clear(folder: Path, name: str = "", below: bool = False) -> None:
    """Remove what processes of this host left unfinished that are no more.

    Args:
        folder: where; that it cannot be looked at, or is not there, is no error.
        name: of the file that was to be written; "" for any.
        below: whether the folders in it are meant too.
    """
    pattern = f".{escape(name) or '*'}.*{ENDING}"
    with suppress(OSError):
        for path in folder.rglob(pattern) if below else folder.glob(pattern):
            if _is_left(path):
                with suppress(OSError):
                    path.unlink()


def _is_left(path: Path) -> bool:
    host, _, process = path.name.removesuffix(ENDING).rpartition(".")
    if not host.endswith(f".{_host()}") or not (process.isascii() and process.isdigit()):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _host() -> str:
    """This host, or the container that counts its own processes, in a few letters, as names of files are short."""
    counted = ""
    with suppress(OSError):  # Linux alone has it
        counted = str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(f'{socket.gethostname()} {counted}'.encode()):08x}"
