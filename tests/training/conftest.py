"""The toy experiment as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def toy_module() -> ModuleType:
    """tests/training/toy.py."""
    spec = importlib.util.spec_from_file_location("toy_experiment", Path(__file__).with_name("toy.py"))
    if spec is None or spec.loader is None:
        raise ImportError("toy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy(toy_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The toy experiment, planned and prepared; each test trains in run directories of names of its own."""
    return toy_module.Toy(tmp_path_factory.mktemp("toy"))
