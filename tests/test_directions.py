"""Imports point one way through the rooms of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

BELOW = {
    "spec": set(),
    "graph": {"spec"},
    "data": {"graph", "spec"},
    "simulate": {"data", "spec"},
    "training": {"data", "graph", "spec"},
    "evaluation": {"data", "graph", "spec"},
    "export": {"data", "graph", "spec"},
}
"""Room -> the rooms that it may import."""


def _imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_imports_only_those_below_it(repository: Path, room: str) -> None:
    files = sorted((repository / "engine" / room).rglob("*.py"))
    assert files
    for path in files:
        rooms = {module.split(".")[1] for module in _imported(path) if module.startswith("engine.")}
        above = rooms & set(BELOW) - BELOW[room] - {room}
        assert not above, f"{path.name} imports {', '.join(sorted(above))}"
        assert not rooms & {"cli", "pipeline", "repeat", "stages", "job"}, path.name


def test_kernels_import_nothing_of_the_program(repository: Path) -> None:
    files = sorted((repository / "kernels").rglob("*.py"))
    assert files
    for path in files:
        assert not {module for module in _imported(path) if module.split(".")[0] == "engine"}, path.name


def _lines(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def test_no_source_is_longer_than_400_lines(repository: Path) -> None:
    sources = [path for folder in ("engine", "kernels") for path in (repository / folder).rglob("*")]
    sources = [path for path in sources if path.suffix in (".py", ".h", ".cpp", ".cu")]
    assert len(sources) > 300
    assert not [path for path in sources if _lines([path]) > (250 if "kernels" in path.parts else 400)]


@pytest.mark.parametrize("kernel", ["extrapolate", "gather", "sanitize", "vertex_fit"])
@pytest.mark.parametrize("suffix", [".cpp", ".cu"])
def test_a_kernel_is_short_in_either_language(repository: Path, kernel: str, suffix: str) -> None:
    sources = list((repository / "kernels" / kernel).glob(f"*{suffix}"))
    assert sources
    assert _lines(sources) < 400


FIT = {
    "C++": ("tile.h", "kinds.h", "cpu.cpp", "cpu_v3.cpp", "cpu_v4.cpp"),
    "CUDA": ("thread.h", "cuda.cu"),
    "numba": ("numba_fit.py", "numba_gradient.py"),
    "torch": ("reference.py", "iteration.py", "implicit.py"),
}
"""What a language alone has of the vertex fit. The mathematics that C++ and CUDA, or torch and numba, share is not in
it, nor what hands arrays over.
"""


@pytest.mark.parametrize("language", sorted(FIT))
def test_the_vertex_fit_is_short_in_every_language(repository: Path, language: str) -> None:
    assert _lines(repository / "kernels" / "vertex_fit" / name for name in FIT[language]) < 400
