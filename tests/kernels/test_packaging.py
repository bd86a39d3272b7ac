"""Wheels with and without a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
