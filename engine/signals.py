"""What asks the program to stop, beside Ctrl-C: SIGTERM of a batch system, SIGHUP of a terminal that is gone."""

from __future__ import annotations

import errno
import os
import signal
import termios
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_as_at_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, unless they are ignored (as `nohup` does with SIGHUP)."""
    for number, handler in ((signal.SIGTERM, signal.default_int_handler), (signal.SIGHUP, _hung_up)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)


def is_ignored(number: signal.Signals) -> bool:
    """Whether SIGHUP is ignored, which is left so."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def leave_lost_terminal() -> None:
    """Write nothing more to a terminal that is gone: that would be an error in the middle of what has to be saved."""
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


def _hung_up(number: int, frame: FrameType | None) -> None:
    """The terminal and the shell each send a SIGHUP; the first is enough."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    leave_lost_terminal()
    raise KeyboardInterrupt
