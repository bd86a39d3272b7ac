"""Files written with std::vector branches: uproot reads the same types and values back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from engine.data.columns import Jagged
from engine.simulate.root_writer import RootWriter


def block(count: int, rng: np.random.Generator) -> dict[str, object]:
    """One branch of every type."""
    outer = rng.poisson(2, count)
    inner = rng.poisson(1.5, int(outer.sum()))
    total = int(outer.sum())
    return {
        "run": rng.integers(0, 2**32, count).astype(np.uint32),
        "event": rng.integers(0, 2**63, count).astype(np.uint64),
        "int": rng.integers(-9, 9, count).astype(np.int32),
        "long": rng.integers(-9, 9, count),
        "float": rng.normal(size=count).astype(np.float32),
        "double": rng.normal(size=count),
        "bool": rng.uniform(size=count) < 0.5,
        "doubles": Jagged.from_counts(outer, rng.normal(size=total)),
        "floats": Jagged.from_counts(outer, rng.normal(size=total).astype(np.float32)),
        "ints": Jagged.from_counts(outer, rng.integers(-9, 9, total).astype(np.int32)),
        "chars": Jagged.from_counts(outer, rng.integers(-128, 128, total).astype(np.int8)),
        "nested": Jagged.from_counts(
            outer, Jagged.from_counts(inner, rng.integers(-1, 20, int(inner.sum())).astype(np.int32))
        ),
    }


def as_lists(column: object) -> list[object]:
    """A column as plain lists."""
    if not isinstance(column, Jagged):
        return list(np.asarray(column).tolist())
    values = as_lists(column.values)
    return [values[start:stop] for start, stop in zip(column.offsets[:-1], column.offsets[1:], strict=True)]


@pytest.mark.parametrize("sizes", [(0,), (1,), (30, 0, 1, 20), (3000,)])
def test_uproot_reads_types_and_values_back(sizes: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    blocks = [block(size, rng) for size in sizes]
    with RootWriter(tmp_path / "a.root", "tree") as writer:
        for columns in blocks:
            writer.fill(columns)  # type: ignore[arg-type]
    with uproot.open(tmp_path / "a.root", minimal_ttree_metadata=False) as file:
        tree = file["tree"]
        assert tree.typenames() == {
            "run": "uint32_t",
            "event": "uint64_t",
            "int": "int32_t",
            "long": "int64_t",
            "float": "float",
            "double": "double",
            "bool": "bool",
            "doubles": "std::vector<double>",
            "floats": "std::vector<float>",
            "ints": "std::vector<int32_t>",
            "chars": "std::vector<int8_t>",
            "nested": "std::vector<std::vector<int32_t>>",
        }
        arrays = tree.arrays(how=dict)
        assert tree.num_entries == sum(sizes)
        for name in blocks[0]:
            assert arrays[name].to_list() == [entry for columns in blocks for entry in as_lists(columns[name])]


def test_nothing_appears_under_the_name_when_writing_fails(tmp_path: Path) -> None:
    def write() -> None:
        with RootWriter(tmp_path / "a.root", "tree") as writer:
            writer.fill({"x": np.zeros(3)})
            writer.fill({"y": np.zeros(3)})

    with pytest.raises(ValueError, match="same branches"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_types_without_a_counterpart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RootWriter(tmp_path / "a.root", "tree") as writer:
        writer.fill({"x": Jagged.from_counts(np.array([1]), np.zeros(1, dtype=np.uint16))})
