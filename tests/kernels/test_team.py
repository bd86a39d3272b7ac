"""The threads that the compiled kernels keep: who calls, from where and how often makes no difference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from engine_kernels.vertex_fit.api import VertexFit, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys

JETS = 2000


def fitted(threads: int) -> VertexFit:
    toys = make_toys(JETS, 5, seed=3)
    ones = torch.ones(JETS, 5, dtype=torch.float64)
    return vertex_fit(torch.tensor(toys.tracks), torch.tensor(toys.variances), ones, threads=threads)


def test_many_callers_at_once_get_what_one_gets(native: str) -> None:
    alone = fitted(1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(fitted, [2, 3, 2, 5] * 5):
            assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_work_is_shared_out_without_races(tmp_path: Path, repository: Path) -> None:
    program, source = tmp_path / "check_team", Path(__file__).parent / "native" / "check_team.cpp"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=thread", f"-I{repository / 'kernels'}"]
    build = ["g++", *flags, str(source), "-o", str(program), "-pthread"]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    if "cannot find -ltsan" in built.stderr or "libtsan" in built.stderr:
        pytest.skip("this g++ comes without the thread sanitizer")
    assert built.returncode == 0, built.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=120)
    if "unexpected memory mapping" in run.stderr:
        pytest.skip("the thread sanitizer does not run on this kernel")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all claims hold" in run.stdout


def fit_in_a_fork() -> None:
    """Exits with 0 where a child, which has none of its parent's threads, fits with threads of its own."""
    torch.set_num_threads(1)
    before = fitted(2).vertex
    child = os.fork()
    if child == 0:
        same = torch.equal(fitted(2).vertex, before)
        os._exit(0 if same and len(list(Path("/proc/self/task").iterdir())) == 2 else 1)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) or not torch.equal(fitted(2).vertex, before))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list its threads")
def test_a_fork_has_threads_of_its_own(native: str) -> None:
    call = f"import runpy; runpy.run_path({__file__!r})['fit_in_a_fork']()"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
