"""Wheels with and without a compiler, and with the CUDA kernels."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A copy of what a wheel is made of; building leaves files behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("engine", "kernels", "schemas", "specs"):
        shutil.copytree(repository / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "MANIFEST.in"):
        if (repository / name).is_file():
            shutil.copy(repository / name, copy / name)
    return copy


def wheel(checkout: Path, target: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[Path]]:
    pytest.importorskip("pip")
    command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-build-isolation", "--no-deps", "-w", str(target), "."]
    shutil.rmtree(checkout / "build", ignore_errors=True)
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    return done, sorted(target.glob("*.whl"))


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ENGINE_NO_NATIVE": "1"}, "ENGINE_NO_NATIVE is set"),
        ({"CXX": "no-such-compiler"}, "no C++ compiler was found"),
    ],
)
def test_without_a_compiler_the_wheel_is_pure_python(
    checkout: Path, tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    done, wheels = wheel(checkout, tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout + done.stderr
    assert [path.name.endswith("-none-any.whl") for path in wheels] == [True]
    with ZipFile(wheels[0]) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
        assert "engine/specs/calratio.yaml" in archive.namelist()
        assert "engine_kernels/gather/numba.py" in archive.namelist()


def test_a_compiler_that_fails_does_not_stop_the_install_unless_native_is_demanded(
    checkout: Path, tmp_path: Path
) -> None:
    broken = {"CXX": "/bin/false", "CC": "/bin/false"}
    done, wheels = wheel(checkout, tmp_path / "a", **broken)
    assert done.returncode == 0, done.stderr
    assert "numba versions will be used instead" in done.stdout + done.stderr
    assert len(wheels) == 1
    done, wheels = wheel(checkout, tmp_path / "b", ENGINE_NATIVE="1", **broken)
    assert done.returncode != 0
    assert not wheels


LOAD = """
import json
from engine_kernels import backends, _native
print(json.dumps([_native.__file__, _native.cuda_archs, *_native.device_count(), backends.cuda()]))
"""
PTX, CUBIN = 1, 2


@pytest.fixture(scope="module")
def with_cuda(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a wheel with the CUDA kernels was unpacked into, and what its build said."""
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    if not (any(Path(home, "bin/nvcc").is_file() for home in [*named, "/usr/local/cuda"]) or shutil.which("nvcc")):
        pytest.skip("nvcc is neither in CUDA_HOME, /usr/local/cuda nor on the PATH")
    asked = {"ENGINE_CUDA": "1", "ENGINE_CUDA_ARCHS": "", "ENGINE_NATIVE": "1", "ENGINE_NO_NATIVE": ""}
    done, wheels = wheel(checkout, tmp_path_factory.mktemp("wheels"), **asked)
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return folder, done.stdout + done.stderr


def test_a_wheel_with_cuda_loads_without_a_device_and_says_so(with_cuda: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = with_cuda
    # On a machine with a device, it is hidden; an empty ENGINE_KERNELS forces nothing.
    environment = {**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": "", "ENGINE_KERNELS": ""}
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file, archs, devices, reason, told = json.loads(done.stdout)
    assert Path(file).is_relative_to(folder)
    assert b"libcudart.so" not in Path(file).read_bytes(), "a machine without the toolkit does not have it"
    assert archs == "sm_80, sm_90"
    assert devices == 0
    assert reason
    assert told == f"built for sm_80, sm_90 and PTX; 0 devices ({reason})"


def test_every_cuda_file_is_there_for_each_architecture_and_as_ptx(with_cuda: tuple[Path, str], checkout: Path) -> None:
    (module,) = (with_cuda[0] / "engine_kernels").glob("_native*")
    found = list(device_code(module.read_bytes()))
    assert found == [{(CUBIN, 80), (CUBIN, 90), (PTX, 90)}] * len(list((checkout / "kernels").glob("**/*.cu")))


def test_the_kernels_compile_without_a_warning(with_cuda: tuple[Path, str]) -> None:
    # Compilers put the file or their name before the word; setuptools and pip, which warn of other things, do not.
    assert [line for line in with_cuda[1].splitlines() if re.search(r"\S.*\bwarning\b", line)] == []


def device_code(module: bytes) -> Iterator[set[tuple[int, int]]]:
    """Kind and architecture of all code for devices, for each compiled file.

    A container starts with its magic number (u32), version 1 and header size 16 (u16), and size (u64); each entry with
    kind and version (u16), header size (u32) and size (u64), and has the architecture (u32) at byte 28.
    """
    for match in re.finditer(re.escape(struct.pack("<IHH", 0xBA55ED50, 1, 16)), module):
        at, entries = match.start() + 16, set()
        end = at + int(*struct.unpack_from("<Q", module, match.start() + 8))
        while at < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", module, at)
            entries.add((kind, *struct.unpack_from("<I", module, at + 28)))
            at += header + size
        yield entries
