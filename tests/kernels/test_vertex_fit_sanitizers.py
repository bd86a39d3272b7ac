"""The C++ of the vertex fit and the extrapolation under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "native"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_no_byte_outside_the_arrays_is_touched(tmp_path: Path, repository: Path) -> None:
    kernels = repository / "kernels"
    program = tmp_path / "check_vertex_fit"
    # Packs of one level, scarcely optimised, without the checks of every member access: more takes longer to build.
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wno-psabi", "-ffp-contract=off", "-fsanitize=address,undefined"]
    flags += [
        "-fno-sanitize=null,object-size,alignment",
        "-fno-sanitize-recover=all",
        "-DENGINE_NO_CLONES",
        f"-I{kernels}",
    ]
    sources = [HERE / "check_vertex_fit.cpp", kernels / "vertex_fit" / "cpu.cpp", kernels / "extrapolate" / "cpu.cpp"]
    build = subprocess.run(
        ["g++", *flags, *map(str, sources), "-o", str(program)], capture_output=True, text=True, check=False
    )
    if "cannot find -lasan" in build.stderr or "cannot find -lubsan" in build.stderr:
        pytest.skip("this g++ comes without the sanitizers")
    assert build.returncode == 0, build.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all claims hold" in run.stdout
