"""Scores of objects and pairs in files: a list a row, of the real objects alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import uproot
import yaml

from engine.data.columns import Jagged
from engine.data.rows import make_rows
from engine.export.predict import prediction_layout
from engine.export.scoring import Scorer, named_scores
from engine.export.writers import open_writer
from engine.graph.types import TensorType
from engine.spec.build_data import build_data

SPEC = """
seed: 1
collections:
  jets: {number: number}
  tracks: {owner: implicit, d0: d0}
samples: {all: {files: [none.parquet], rows: jets}}
inputs: {tracks: {of: tracks, keep: 3, features: {d0: {}}}}
targets:
  origin: {of: tracks, expression: "where(d0 > 2, 1, 0)", classes: {near: 0, far: 1}}
  place: {expression: {x: jets.number, y: 2}}
split: {by: [number], train: 1, validation: 0, test: 0}
columns: {number: jets.number}
predict: {rows: jets}
"""
COUNTS = np.array([2, 0, 5, 1])


class Doubles:
    """Two values an object, one a pair, two a row, made of the only feature."""

    plan = SimpleNamespace(
        outputs={
            "origin": TensorType((3, 2), masked=True),
            "both": TensorType((3, 3, 1), masked=True),
            "place.mean": TensorType((2,)),
        }
    )

    def eval(self) -> Doubles:
        return self

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def compute(self, known: Any, outputs: Any) -> Any:
        values, mask = known["tracks"]
        pairs = values[:, :, None, :] - values[:, None, :, :]
        return {
            "origin": (torch.cat([values, 2 * values], -1), mask),
            "both": (pairs, mask[:, :, None] & mask[:, None, :]),
            "place.mean": (values.sum(1).repeat(1, 2), None),
        }


def scores_of(counts: np.ndarray[Any, Any]) -> dict[str, Any]:
    data = build_data(yaml.safe_load(SPEC))
    d0 = np.arange(counts.sum(), dtype=np.float32)
    chunk = {"number": np.arange(len(counts)), "d0": Jagged.from_counts(counts, d0)}
    table = make_rows(data, data.layouts["default"], prediction_layout(data)[0].rows, None, chunk)
    contract = {"inputs": {"tracks": {"features": ["d0"]}}, "transforms": {"tracks": [{}]}}
    network: Any = Doubles()
    found = Scorer(network, data, contract, tuple(Doubles.plan.outputs)).columns(table, batch=2)
    experiment: Any = SimpleNamespace(data=data, trained_on={"origin": "origin", "place.mean": "place"})
    return named_scores(found, experiment)


@pytest.fixture
def scores() -> dict[str, Any]:
    return scores_of(COUNTS)


EXPECTED = {
    "origin_near": [[0, 1], [], [2, 3, 4], [7]],
    "origin_far": [[0, 2], [], [4, 6, 8], [14]],
    "both": [[0, -1, 1, 0], [], [0, -1, -2, 1, 0, -1, 2, 1, 0], [0]],
}


def read_back(path: Path, name: str) -> list[Any]:
    """A column as plain lists, by libraries other than the writer."""
    if path.suffix == ".root":
        with uproot.open(path) as file:
            return list(file["scores"][name].array().to_list())
    if path.suffix == ".parquet":
        return list(pq.read_table(path)[name].to_pylist())
    with h5py.File(path) as file:
        return [np.asarray(each).tolist() for each in file["scores"][name][:]]


@pytest.mark.parametrize("ending", [".root", ".parquet", ".h5"])
def test_lists_hold_real_objects_alone_and_are_named_after_classes(
    scores: dict[str, Any], tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"scored{ending}"
    with open_writer(path) as writer:
        writer.write(scores)
        writer.write(scores)
    assert {name: read_back(path, name) for name in EXPECTED} == {n: v + v for n, v in EXPECTED.items()}
    assert read_back(path, "place_mean_x") == [1.0, 0.0, 9.0, 7.0] * 2


def test_a_chunk_without_rows_has_the_columns_of_all_others(scores: dict[str, Any]) -> None:
    none = scores_of(COUNTS[:0])
    assert list(none) == list(scores)
    for name, column in none.items():
        assert (len(column), type(column)) == (0, type(scores[name]))


def test_a_vector_is_named_after_its_components(scores: dict[str, Any]) -> None:
    assert list(scores) == ["origin_near", "origin_far", "both", "place_mean_x", "place_mean_y"]


@pytest.mark.parametrize("ending", [".root", ".parquet", ".h5"])
@pytest.mark.parametrize("counts", [[2, 2], [1], [0], [0, 0], []])
def test_lists_of_equal_length_and_pieces_without_rows_are_written(
    tmp_path: Path, ending: str, counts: list[int]
) -> None:
    """What a library could take for a table, or for nothing at all."""
    path = tmp_path / f"scored{ending}"
    lists = Jagged.from_counts(np.array(counts, np.int64), np.arange(sum(counts), dtype=np.float32))
    more = Jagged.from_counts(np.array([3, 1]), np.arange(4, dtype=np.float32))
    with open_writer(path) as writer:
        for piece in (lists, more):
            writer.write({"score": piece, "entry": np.arange(len(piece))})
    expected = [list(range(start, start + n)) for start, n in zip(np.cumsum([0, *counts]), counts, strict=False)]
    assert read_back(path, "score") == [*expected, [0, 1, 2], [3]]
    assert read_back(path, "entry") == [*range(len(counts)), 0, 1]
