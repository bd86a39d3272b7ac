"""What a killed process leaves half written is cleared by the next one, and nothing else is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine import leftovers
from engine.files import write_text
from engine.runs import create_run

KILLED = """
import os, signal, sys
from pathlib import Path
from engine.files import complete
with complete(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_at(path: Path) -> Path:
    """Let a process be killed while it writes a file; what it leaves."""
    before = set(path.parent.iterdir())
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (left,) = set(path.parent.iterdir()) - before
    return left


def test_whoever_writes_the_file_next_removes_what_was_left_of_it(tmp_path: Path) -> None:
    left, other = kill_at(tmp_path / "report[1].html"), kill_at(tmp_path / "other.html")
    write_text(tmp_path / "report[1].html", "whole")
    assert not left.exists()
    assert other.exists()
    assert (tmp_path / "report[1].html").read_text() == "whole"


def test_the_next_run_clears_the_run_before(tmp_path: Path) -> None:
    before = create_run(tmp_path, "tagger")
    before.plots.mkdir(parents=True)
    left = kill_at(before.plots / "roc.png")
    assert create_run(tmp_path, "tagger").path.name == "0002"
    assert not left.exists()


def test_files_of_live_processes_and_of_other_hosts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = leftovers.unfinished(tmp_path / "a.json")
    parent = tmp_path / ours.name.replace(f".{os.getpid()}.", f".{os.getppid()}.")
    dead = kill_at(tmp_path / "b.json")
    foreign = [tmp_path / name for name in (".c.json.part", ".c.json.12.part", ".d.part", ".e.x.part", "f.part")]
    for path in (ours, parent, *foreign):
        path.touch()
    # Another host, and another container of this one.
    for module, function in ((socket, "gethostname"), (Path, "readlink")):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(module, function, lambda *_: "elsewhere")
            leftovers.clear(tmp_path)
        assert dead.exists()
    leftovers.clear(tmp_path)
    assert not dead.exists()
    assert all(path.exists() for path in (ours, parent, *foreign))


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    leftovers.clear(tmp_path / "nothing", below=True)
