"""What can go wrong, told to the user as sentences, and the exit code each kind ends with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where something stands in a spec: the keys and list indices that lead to it."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in a spec, not yet located: where it stands, and one sentence that says what to write instead.

    `offset` is the number of letters into the value, for a mistake inside an expression; `of_key` says that the
    mistake is the key, not the value. `rests_on` are parts of the spec that must be whole for it to be a mistake: that
    no sample has a label cannot be said while one of the samples is not understood.
    """

    path: Path
    message: str
    offset: int = 0
    of_key: bool = False
    rests_on: tuple[Path, ...] = ()


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake located in a file; lines and columns count from 1, and 0 means that the file has no such place."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        if not self.line:
            return f"{self.file}: {self.message}"
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class EngineError(Exception):
    """Anything the user is told as a sentence. A traceback that reaches the user is a bug.

    `place` is where the spec asks for what cannot be had, for whoever has the spec at hand to say.
    """

    exit_code = 1
    place: Path | None = None

    def __init__(self, sentence: str = "", place: Path | None = None) -> None:
        self.place = place
        super().__init__(sentence)


class SpecError(EngineError):
    """The spec is wrong; carries every problem found, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(EngineError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class DataError(EngineError):
    """Data are missing, unreadable, or were partly skipped."""

    exit_code = 3


class TrainingError(EngineError):
    """Training failed: a loss that is not finite, a checkpoint that does not fit."""

    exit_code = 4


class ExportError(EngineError):
    """The network cannot be exported, or what is exported does not agree with it."""

    exit_code = 5


class StorageError(EngineError):
    """A file cannot be written: the disk is full or broken, or the quota is used up."""

    exit_code = 6


class Interrupted(EngineError):
    """The user asked to stop; what was done so far is kept."""

    exit_code = 130
