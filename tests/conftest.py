"""What all tests share: where the real reference files are, and which tests are slow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--runslow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --runslow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests belong to."""
    return REPOSITORY


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Real files and reference numbers; the test is skipped where they are absent.

    ENGINE_REFERENCE_DATA names another place.
    """
    folder = Path(os.environ.get("ENGINE_REFERENCE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the reference data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as a new user has it: the shipped CalRatio spec and small simulated files."""
    from engine import shipped
    from engine.simulate.kinds import simulator

    folder = tmp_path_factory.mktemp("workspace")
    shipped.copy("calratio", folder / "specs")
    simulator("calratio")(folder / "data" / "calratio", 150, 1, 1, None)
    return folder
