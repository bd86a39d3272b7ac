"""Ctrl-C, SIGTERM (which batch systems send first), SIGHUP (a lost terminal): write a checkpoint and leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from engine.signals import STOPPING, is_ignored, leave_lost_terminal


class StopRequest:
    """Notes a signal while it is active, in the main thread. A second one acts at once, as if nobody listened.

    That does not hold for SIGHUP, which the terminal and the shell send each.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            listened = [number for number in STOPPING if not is_ignored(number)]
            self._before = {number: signal.signal(number, self._note) for number in listened}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._restore(list(self._before))

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGHUP:
            leave_lost_terminal()
        self._restore([each for each in self._before if each is not signal.SIGHUP])

    def _restore(self, numbers: list[signal.Signals]) -> None:
        for number in numbers:
            signal.signal(number, self._before.pop(number))
