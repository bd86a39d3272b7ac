"""What asks the program to stop ends every command with 130; in a training it is noted, and a checkpoint follows."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.progress import Progress
from engine.signals import leave_lost_terminal
from engine.training.interrupt import StopRequest

SLOW = """
import sys, time
from engine import pipeline
from engine.cli import main
def work(*_):
    print("at work", flush=True)
    time.sleep(60)
setattr(pipeline, sys.argv[1], work)
main()
"""
COMMANDS = {"prepare": ("a.yaml",), "evaluate": ("run",), "export": ("run",), "predict": ("run", "f", "-o", "o.root")}


def at_work(command: str, before: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    """A command in the middle of its work, in a process of its own."""
    program = [sys.executable, "-c", SLOW, command, *COMMANDS[command]]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(program, text=True, preexec_fn=before, **pipes)  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process  # type: ignore[no-any-return]


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_command_that_is_stopped_says_so(command: str, number: signal.Signals) -> None:
    process = at_work(command, lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told == "interrupted\n"


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    process = at_work("prepare", lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_training_notes_both_hang_ups_of_a_lost_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with StopRequest() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop.requested
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_training_under_nohup_goes_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_more_is_written_to_a_terminal_that_is_gone(tmp_path: Path) -> None:
    child, master = pty.fork()
    if child == 0:  # the shell of a terminal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.write(1, b"ready")
        signal.sigtimedwait([], 1)
        try:
            os.write(1, b"into the void")
        except OSError:
            leave_lost_terminal()
            os.write(1, b"nowhere")
            (tmp_path / "survived").touch()
        os._exit(0)
    assert os.read(master, 5) == b"ready"
    os.close(master)
    os.waitpid(child, 0)
    assert (tmp_path / "survived").exists()


def test_a_line_that_cannot_be_written_does_not_end_the_work() -> None:
    class Lost(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    with Progress(Lost()) as progress, progress.task("training", 1) as task:
        progress.say("a line")
        task.advance()
