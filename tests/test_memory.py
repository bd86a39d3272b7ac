"""Memory that is freed is used again, unless the user decides otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from engine import cli
from engine.memory import keep_freed_memory

FAULTS = """
import resource
from engine.memory import keep_freed_memory

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytearray(40 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain, kept = faults(), keep_freed_memory()
faults()
print(kept, plain, faults())
"""


def test_freed_blocks_come_back_without_page_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, plain, after = run.stdout.split()
    if kept != "True":
        pytest.skip("this C library has no mallopt, or does not listen to it")
    assert int(plain) > 1000
    assert int(after) < 100


@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1000000")
    assert not keep_freed_memory()


def test_the_program_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: calls.append(True))
    assert CliRunner().invoke(cli.main, ["new"]).exit_code == 0
    assert calls == [True]
