"""Rows of files that hold no truth: what columns say about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from engine.data.columns import Jagged
from engine.data.rows import make_rows
from engine.export.predict import prediction_layout, with_known_columns
from engine.spec.build_data import build_data

SPEC = """
seed: 1
collections:
  jets: {pt: jet_pt, flavour: jet_flav, number: eventnb}
  hadrons: {owner: implicit, x: {branch: hadron_x, default: 0}, y: hadron_y}
  tracks: {owner: implicit, d0: trk_d0}
samples: {all: {files: [none.parquet], rows: jets}}
inputs: {tracks: {of: tracks, keep: 4, features: {d0: {}}}}
targets: {flavour: {expression: jets.flavour, classes: {light: 0, b: 5}}}
columns:
  number: jets.number
  id: jets.number * 2
  flavour: jets.flavour
  heavy: jets.flavour > 3
  flight: abs(first(hadrons.y))
  flown: first(hadrons.x)
  tracks: count(tracks)
split: {by: [id], train: 1, validation: 0, test: 0}
predict: {rows: jets}
"""


def known(*branches: str) -> list[str]:
    data = build_data(yaml.safe_load(SPEC))
    reader: Any = SimpleNamespace(branches=dict.fromkeys(branches))
    return list(with_known_columns(data, prediction_layout(data)[0], reader).columns)


def test_columns_of_truth_are_left_out_where_a_file_has_none() -> None:
    everything = ("jet_pt", "jet_flav", "eventnb", "hadron_x", "hadron_y", "trk_d0")
    names = ["number", "id", "flavour", "heavy", "flight", "flown", "tracks"]
    assert known(*everything) == names
    names.remove("flight")
    assert known("jet_pt", "eventnb", "trk_d0") == names  # the others are needed, whole numbers, or have a default


def test_a_list_of_objects_without_a_branch_has_no_objects() -> None:
    data = build_data(yaml.safe_load(SPEC.replace("  flight: abs(first(hadrons.y))\n", "")))
    chunk = {
        "eventnb": np.arange(2),
        "jet_flav": np.array([0, 5]),
        "trk_d0": Jagged.from_counts(np.array([1, 2]), np.ones(3)),
    }
    table = make_rows(data, data.layouts["default"], prediction_layout(data)[0].rows, None, chunk)
    assert table.columns["flown"].tolist() == [0.0, 0.0]
    assert table.columns["tracks"].tolist() == [1.0, 2.0]
