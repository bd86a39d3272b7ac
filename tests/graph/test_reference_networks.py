"""The networks that the language must hold: their published parameter counts come out of a few lines of YAML."""

from __future__ import annotations

from collections.abc import Callable

import yaml

from engine.graph.plan import Plan
from engine.graph.types import TensorType
from engine.spec.resources import folder

MakePlan = Callable[..., Plan]

TFLAT = {
    "tracks": TensorType((10, 27), masked=True),
    "clusters": TensorType((20, 6), masked=True),
    "event": TensorType((1, 4), masked=True),
}

TFLAT_GRAPH = """
  track_tokens: {from: tracks, layers: [token_embedding: 128]}
  cluster_tokens: {from: clusters, layers: [token_embedding: 128]}
  event_tokens: {from: event, layers: [token_embedding: 128]}
  tokens: {from: [track_tokens, cluster_tokens, event_tokens], layers: [concat: objects]}
  encoded: {from: tokens, layers: [repeat: {times: 6, layers: [post_norm_block: {heads: 4, units: 384, key_dim: 128}]}]}
  probability:
    from: encoded
    layers:
      - mean_pool
      - repeat: {for: {units: [256, 128]}, layers: [batch_norm, dense: {units: $units, activation: selu, dropout: 0.1}]}
      - dense: {units: 1, activation: sigmoid}
"""


def with_library(graph: str) -> str:
    files = sorted((folder("specs") / "blocks").glob("*.yaml"))
    blocks = {name: block for file in files for name, block in yaml.safe_load(file.read_text())["blocks"].items()}
    return yaml.safe_dump({"blocks": blocks, "graph": yaml.safe_load(graph)}, sort_keys=False)


def test_tflat_counts(make_plan: MakePlan) -> None:
    plan = make_plan(with_library(TFLAT_GRAPH), TFLAT)
    assert (sum(plan.counts), plan.counts[0]) == (2_302_741, 2_301_131)
    assert plan.nodes["tokens"].type == TensorType((31, 128), masked=True)
