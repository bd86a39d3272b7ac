"""Ranks, and values of the row, in the features of objects: the exported graph computes what preparation does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform

from engine.data.columns import Jagged
from engine.data.rows import make_rows
from engine.export.front import Front
from engine.export.raw import raw_inputs
from engine.export.raw_table import raw_tensors
from engine.spec.build_data import build_data

SPEC = """
seed: 1
collections:
  jets: {pt: jet_pt, eta: jet_eta, phi: jet_phi}
  tracks: {owner: implicit, pt: trk_pt, d0: trk_d0, eta: trk_eta, phi: trk_phi}
samples: {all: {files: [none.parquet], rows: jets}}
inputs:
  tracks:
    of: tracks
    where: rank(-pt) < 5
    order: rank(-abs(d0))
    keep: 4
    features:
      log_pt_fraction: {expression: log(pt / jets.pt)}
      dr: {expression: "delta_r(eta, phi, jets.eta, jets.phi)"}
      hardest: {expression: rank(-pt) == 0}
      place: {expression: rank(d0), one_hot: 4}
      gap: {expression: d0 - first(d0)}
  again: {of: tracks, keep: 2, features: {pt: {scale: 0.1}, place: {expression: rank(-pt)}}}
  jet:
    of: jets
    features: {pt: {}, tracks: {expression: count(tracks)}, far: {expression: maximum(rank(tracks.d0))}}
split: {by: [], train: 1, validation: 0, test: 0}
predict: {rows: jets}
"""


@pytest.mark.parametrize("most", [0, 3, 9])
def test_the_graph_ranks_as_preparation_does(most: int) -> None:
    data = build_data(yaml.safe_load(SPEC))
    layout, predict = data.layouts["default"], data.predict
    assert predict is not None
    random = np.random.default_rng(most)
    counts = random.integers(0, most + 1, 50)
    flat = {name: random.choice([-3.0, -1.0, 0.5, 0.5, 2.0, 7.0], counts.sum()) for name in ("d0", "eta", "phi")}
    flat["pt"] = random.choice([1.0, 2.0, 2.0, 5.0, 9.0], counts.sum())
    flat["d0"][::5] = np.nan
    chunk = {f"trk_{name}": Jagged.from_counts(counts, values) for name, values in flat.items()}
    chunk |= {f"jet_{name}": random.uniform(0.5, 3.0, 50) for name in ("pt", "eta", "phi")}
    table = make_rows(data, layout, predict.rows, None, chunk)
    one_hot = FeatureTransform(one_hot=(0.0, 1.0, 2.0, 3.0))
    plain = FeatureTransform()
    transforms = {"tracks": [plain, plain, plain, one_hot, plain], "again": [plain] * 2, "jet": [plain] * 3}
    raw = raw_inputs(data, layout, "jets")
    found, masks = Front(data, layout, raw, transforms)(raw_tensors(layout, predict, raw, chunk))
    for name, values in table.inputs.items():
        piece = (values.offsets, values.values) if isinstance(values, Jagged) else (None, values)
        gather = Gather([piece], transforms[name], data.inputs[name].keep)
        expected, mask = gather(np.zeros(50, np.int32), np.arange(50))
        torch.testing.assert_close(found[name], torch.from_numpy(expected), rtol=1e-5, atol=1e-6)
        assert mask is None or np.array_equal(masks[name].numpy(), mask)
