"""The C++ of gather and sanitize under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "native"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_no_byte_outside_the_arrays_is_touched(tmp_path: Path, repository: Path) -> None:
    kernels = repository / "kernels"
    program = tmp_path / "check_gather"
    flags = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    flags += ["-fno-sanitize-recover=all", "-DENGINE_NO_CLONES", f"-I{kernels}"]
    sources = [HERE / "check_gather.cpp", kernels / "gather" / "cpu.cpp", *(kernels / "sanitize").glob("cpu*.cpp")]
    build = subprocess.run(
        ["g++", *flags, *map(str, sources), "-o", str(program)], capture_output=True, text=True, check=False
    )
    if "cannot find -lasan" in build.stderr or "cannot find -lubsan" in build.stderr:
        pytest.skip("this g++ comes without the sanitizers")
    assert build.returncode == 0, build.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "all claims hold" in run.stdout
