"""Files for libraries that do not bear it when a write fails: HDF5 crashes as the program ends, torch hides why."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Sink:
    """A new file whose writes never fail: the first error is kept until `check` raises it, the rest is thrown away."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: it cannot be made.
        """
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: a write failed.
        """
        self._file.close()
        self.check()

    def check(self) -> None:
        """Raise the error of the first write that failed.

        Raises:
            OSError: there was one.
        """
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of `data`, or keep the error."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self._error is None and len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def read(self, size: int) -> bytes:
        """The next bytes."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; with zeros where nothing was written, which may be because it failed."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (got := self._file.readinto(view[filled:])):
            filled += got
        view[filled:] = bytes(len(view) - filled)
        return len(view)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to a position."""
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def truncate(self, size: int) -> int:
        """Cut or lengthen the file."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size

    def flush(self) -> None:
        """Nothing waits."""
