"""A folder that one process at a time may write into, on all hosts that share it.

The lock is one of the system (`flock`; the NFS of Linux hands it to the server), on the file `.lock` of the folder. It
falls with the process that holds it, however that ends, and with a host that dies once its NFS server gives it up; the
file stays and says who holds the lock. Where a file system keeps no locks, or keeps them to one host (NFS mounted with
`local_lock=flock`, Lustre with `localflock`), all that can be done is to say so.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

NONE_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

_log = logging.getLogger(__name__)


@contextmanager
def held(folder: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: that must be there.
        busy: called where another process holds the lock, with which one: `process 12 on node7, since ...`. Where it
            returns, the lock is waited for.
    """
    with (folder / ".lock").open("a+") as file:
        if _lock(folder, file, busy):
            _warn_of_other_host(folder, _note(file))
        file.truncate(0)
        note = f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        with suppress(OSError):  # a full disk: the lock holds without it
            os.write(file.fileno(), note.encode())
        try:
            yield
        finally:
            file.truncate(0)


def _lock(folder: Path, file: IO[str], busy: Callable[[str], None]) -> bool:
    """Take the lock; False where the file system has none."""
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy(_note(file) or "another process")
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NONE_HERE:
            raise
        _log.warning("the file system of %s has no locks; see to it that one process alone writes there", folder)
        return False
    return True


def _note(file: IO[str]) -> str:
    """Who holds the lock; also who held it last, where that process was killed."""
    file.seek(0)
    return file.read()


def _warn_of_other_host(folder: Path, note: str) -> None:
    """Say that a process elsewhere has not left word that it ended: it was killed, or the locks are of each host."""
    if note and f" on {socket.gethostname()}," not in note:
        _log.warning("%s was held by %s, which never said that it ended; if it still runs, stop it", folder, note)
