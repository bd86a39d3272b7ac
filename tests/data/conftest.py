"""What the tests of preparation share: typed data sections from text, and real files as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.data.branches import needed_branches
from engine.data.columns import Jagged
from engine.data.readers.base import open_reader
from engine.data.rows import RowTable, make_rows
from engine.spec.build_data import build_data
from engine.spec.sections.data import DataSpec

SPECS = Path(__file__).parent / "specs"


@pytest.fixture(scope="session")
def section() -> Callable[..., DataSpec]:
    """A data section from YAML text or plain values; keywords replace its keys."""

    def build(source: str | Mapping[str, Any], **changes: Any) -> DataSpec:
        raw = yaml.safe_load(source) if isinstance(source, str) else dict(source)
        return build_data({"seed": 1, **raw, **changes})

    return build


@pytest.fixture(scope="session")
def spec_section(section: Callable[..., DataSpec], reference_data: Path) -> Callable[..., DataSpec]:
    """The data section of a file in tests/data/specs, its samples' files taken from the reference data."""

    def load(name: str, samples: tuple[str, ...] = (), **changes: Any) -> DataSpec:
        raw = yaml.safe_load((SPECS / name).read_text())["data"]
        chosen = {key: value for key, value in raw["samples"].items() if not samples or key in samples}
        for value in chosen.values():
            value["files"] = [str(reference_data / "calratio" / file) for file in value["files"]]
        return section(raw, samples=chosen, **changes)

    return load


@pytest.fixture(scope="session")
def sample_rows() -> Callable[[DataSpec, str], RowTable]:
    """All rows of the first file of a sample."""

    def rows(data: DataSpec, name: str) -> RowTable:
        sample = data.samples[name]
        layout = data.layouts[sample.layout]
        reader = open_reader(sample.files[0], layout.format, layout.tree)
        needed = needed_branches(data, layout, sample.rows, sample)
        names = [branch.branch for branch in needed if branch.branch in reader.branches]
        table = make_rows(data, layout, sample.rows, sample, reader.read(names, 0, reader.entries))
        reader.close()
        return table

    return rows


@pytest.fixture(scope="session")
def pad() -> Callable[[Jagged, int], np.ndarray]:
    """Jagged rows of objects as a table (rows, keep, features), 0 where there is no object."""

    def padded(jagged: Jagged, keep: int) -> np.ndarray:
        result = np.zeros((len(jagged), keep, jagged.values.shape[1]))
        result[jagged.parents, np.arange(jagged.offsets[-1]) - jagged.offsets[jagged.parents]] = jagged.values
        return result

    return padded
