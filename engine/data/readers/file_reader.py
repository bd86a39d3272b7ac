"""What the readers of all formats do alike: check what is asked for, and tell damage in a sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.data.readers.base import BranchInfo, reason, require
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.columns import Column


class FileReader(ABC):
    """A `Reader` whose subclass lists the branches and reads ranges that are known to be there.

    Attributes:
        path: the file, as it was asked for.
        word: what the format calls a branch, for messages.
    """

    word = "column"

    def __init__(self, path: str) -> None:
        self.path = path
        self._branches: dict[str, BranchInfo] = {}
        self._resources: list[Any] = []  # what `close` closes, the last one first

    @property
    @abstractmethod
    def entries(self) -> int:
        """Number of entries."""

    @property
    def branches(self) -> Mapping[str, BranchInfo]:
        """Every branch by name."""
        return self._branches

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """The named branches for entries [start, stop); see `Reader.read`."""
        require(self.path, self._branches, names)
        for name in names:
            if not self._branches[name].readable:
                kind = self._branches[name].dtype.removeprefix("unknown: ")
                raise DataError(f"{self.path}: {self.word} '{name}' cannot be read ({kind})")
        start = min(max(start, 0), self.entries)
        stop = min(max(stop, start), self.entries)
        return self._read(names, start, stop)

    def close(self) -> None:
        """Release the file."""
        while self._resources:
            resource = self._resources.pop()
            if hasattr(resource, "close"):
                resource.close()

    @abstractmethod
    def _read(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Readable branches for entries that are there."""

    @contextmanager
    def _opening(self, kind: str) -> Iterator[None]:
        """Where the file is opened and described; it is closed again where that fails.

        Raises:
            DataError: in place of anything else that goes wrong; `kind` is what the file should be.
        """
        try:
            with self._telling(f"cannot be read as {kind}"):
                yield
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Where bytes are read: libraries fail in any way on damaged ones.

        Raises:
            DataError: `what` cannot be done, with the reason.
        """
        try:
            yield
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{self.path}: {what} ({reason(error)})") from error

    def _one(self, name: str) -> Any:
        """`_telling` for one branch."""
        return self._telling(f"{self.word} '{name}' cannot be read")
