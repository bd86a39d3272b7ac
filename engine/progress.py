"""How long work tells where it is: a bar with a rate on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

REFRESH = 0.1  # seconds between two updates of a bar


@contextmanager
def _lines_may_be_lost() -> Iterator[None]:
    """A terminal that is gone, or a log on a full disk, does not end the work; a reader that went away does."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


class Progress:
    """One for a whole command; every stage opens its tasks on it.

    Example:
        >>> import io
        >>> with Progress(io.StringIO()) as progress, progress.task("reading", total=3, unit="files") as task:
        ...     task.advance()
    """

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        """
        Args:
            stream: where it writes; the standard error by default. Bars are drawn where it is a terminal.
            interval: seconds between two lines of a task where it is not.
        """
        self.stream = stream if stream is not None else sys.stderr
        self.interval = interval
        self.terminal = self.stream.isatty()
        self._bars: Bars | None = None
        self._open = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def say(self, sentence: str) -> None:
        """Write one line; the bars stay below it."""
        with _lines_may_be_lost():
            if self._bars is not None:
                self._bars.console.print(sentence, markup=False, highlight=False)
            else:
                self.stream.write(sentence + "\n")
                self.stream.flush()

    def task(self, label: str, total: float | None = None, unit: str = "steps") -> Task:
        """Open a task: `total` of `unit`, or an unknown number of them."""
        return Task(self, label, total, unit)

    def _start(self) -> Bars | None:
        self._open += 1
        if self.terminal and self._bars is None:
            self._bars = _make_bars(self.stream)
            self._bars.start()
        return self._bars

    def _finish(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._stop()

    def _stop(self) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            with _lines_may_be_lost():
                bars.stop()


class Task:
    """A piece of work with a known or unknown end; a context manager."""

    def __init__(self, progress: Progress, label: str, total: float | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0.0
        self.text = ""
        self._progress = progress
        self._bars: Bars | None = None
        self._id: TaskID | None = None

    def __enter__(self) -> Task:
        self._begin = self._told = time.monotonic()
        self._first = self.done
        self._bars = self._progress._start()
        if self._bars is not None:
            self._id = self._bars.add_task(self.label, total=self.total, rate="", text="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bars is not None and self._id is not None:
            self._show_bar()
            self._bars.remove_task(self._id)
        self._progress._finish()
        if kind is None and (self.done or self.total):
            self._progress.say(self.line())

    def start_at(self, done: float) -> None:
        """Begin in the middle: what was done by an earlier run does not count for the rate."""
        self.done = self._first = done

    def advance(self, amount: float = 1.0) -> None:
        """Count work that was done; cheap enough to be called at every step."""
        self.done += amount
        now = time.monotonic()
        if now - self._told < (REFRESH if self._bars is not None else self._progress.interval):
            return
        self._told = now
        if self._bars is not None:
            self._show_bar()
        else:
            self._progress.say(self.line())

    def note(self, text: str) -> None:
        """Set what stands behind the rate, the losses for example."""
        self.text = text

    @property
    def rate(self) -> float:
        """Units a second, of the work done since the task was opened."""
        return (self.done - self._first) / max(time.monotonic() - self._begin, 1e-9)

    def line(self) -> str:
        """The task in one line: `epoch 3: 40/120 steps (33 %), 5.21 steps/s, tagging 0.71`."""
        known = (
            f"/{self.total:.0f} {self.unit} ({100 * self.done / self.total:.0f} %)" if self.total else f" {self.unit}"
        )
        parts = [
            f"{self.label}: {self.done:.0f}{known}",
            f"{short(self.rate)} {self.unit}/s",
            *filter(None, [self.text]),
        ]
        return ", ".join(parts)

    def _show_bar(self) -> None:
        if self._bars is not None and self._id is not None:
            rate = f"{short(self.rate)} {self.unit}/s"
            self._bars.update(self._id, completed=self.done, rate=rate, text=self.text)


def short(number: float) -> str:
    """A number in three digits: 0.0123, 5.21, 812, 12.3k, 1.20M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            divisor = 1e3 if letter == "k" else limit
            return f"{number / divisor:#.3g}{letter}".replace(f".{letter}", letter)
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"


def _make_bars(stream: TextIO) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TextColumn("{task.fields[text]}", markup=False),
    )
    return Bars(*columns, console=Console(file=stream), transient=True)
