"""One process at a time works in a folder; whatever ends it, the next one may."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.locks import held

HOLDER = """
import sys, time
from pathlib import Path
from engine.locks import held
with held(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def refuse(owner: str) -> None:
    raise RuntimeError(owner)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_holder_is_named_and_leaves_nothing_behind_when_it_is_killed(
    holder: subprocess.Popen[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match=rf"process {holder.pid} on {socket.gethostname()}, since 20"):
        held(tmp_path, refuse).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with held(tmp_path, refuse):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    assert (tmp_path / ".lock").read_text() == ""
    assert not caplog.records


def test_who_is_not_refused_waits(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    owners: list[str] = []

    def end_it(owner: str) -> None:
        owners.append(owner)
        holder.kill()

    with held(tmp_path, end_it):
        assert len(owners) == 1


def test_a_holder_on_another_host_that_never_said_it_ended_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".lock").write_text("process 3 on elsewhere, since 2026-01-01 00:00:00 UTC")
    with held(tmp_path, refuse):
        pass
    assert "was held by process 3 on elsewhere" in caplog.text


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with caplog.at_level(logging.WARNING), held(tmp_path, refuse):
        assert "has no locks" in caplog.text
