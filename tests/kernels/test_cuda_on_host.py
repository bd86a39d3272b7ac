"""The CUDA kernels, compiled for the processor, pass the tests of the kernels.

No CUDA device is needed: this holds the arithmetic and the indices of the device's code, not its compiler or its speed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from engine_kernels import backends

TESTS = Path(__file__).parent
HOST = TESTS / "native" / "cuda_on_host"
LAUNCH = re.compile(r"([A-Za-z_]\w*(?:<[^;()]*?>)?)<<<(\w+), (\w+), 0, (?:\w+|static_cast<\w+>\(\w+\))>>>\(")
VERTEX_FIT = ("reference_data", "identities", "edge_cases", "gradients")
LAUNCHES = {"vertex_fit": 7, "extrapolate": 4, "gather": 1, "sanitize": 1}
FILES = ("device", "extrapolate", *(f"vertex_fit_{name}" for name in VERTEX_FIT))


@pytest.fixture
def emulated(tmp_path: Path, repository: Path) -> Path:
    """The folder with the module `cuda_on_host`."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    if backends.native()[0] is None:
        pytest.skip(backends.native()[1])
    pybind11 = pytest.importorskip("pybind11")
    kernels = repository / "kernels"
    sources = [HOST / "module.cpp", kernels / "gather" / "cpu.cpp", *(kernels / "sanitize").glob("cpu*.cpp")]
    for name, expected in LAUNCHES.items():
        text, launches = LAUNCH.subn(r"launch(\1, \2, \3, ", (kernels / name / "cuda.cu").read_text())
        assert launches == expected, "the launches of a kernel are written in another way than this test knows"
        translated = tmp_path / f"{name}.cpp"
        translated.write_text(
            f"#define __CUDACC__\n#include <cuda_runtime.h>\n{text}".replace('#include "', f'#include "{name}/')
        )
        sources += [translated, kernels / name / "bindings.cpp"]
    target = tmp_path / f"cuda_on_host{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [HOST, kernels, pybind11.get_include(), sysconfig.get_path("include")]
    flags = [
        "-std=c++17",
        "-O1",
        "-w",
        "-fPIC",
        "-shared",
        "-ffp-contract=off",
        "-DENGINE_HAS_CUDA",
        "-DENGINE_NO_CLONES",
        *(f"-I{folder}" for folder in includes),
    ]
    command = ["g++", *flags, *map(str, sources), "-o", str(target)]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    return tmp_path


@pytest.mark.slow
def test_the_cuda_kernels_pass_the_suite_on_the_processor(emulated: Path) -> None:
    files = [str(TESTS / f"test_{name}.py") for name in FILES]
    chosen = "(native and not instruction_set) or (test_device and compiled)"
    options = ["-q", "-k", chosen, "-p", "use_cuda_on_host", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(emulated), str(HOST), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed.group(1)) >= 45, run.stdout[-2000:]
