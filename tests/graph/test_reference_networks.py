"""The networks that the language must hold: their published parameter counts come out of a few lines of YAML."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from engine.graph.plan import Plan
from engine.graph.types import TensorType
from engine.spec.resources import folder

MakePlan = Callable[..., Plan]

SMARTBKG = {
    "decay": TensorType((150, 1), masked=True),
    "particles": TensorType((100, 13), masked=True),
    "pdg": TensorType((100, 1), masked=True),
    "mother": TensorType((100, 1), masked=True),
}
TFLAT = {
    "tracks": TensorType((10, 27), masked=True),
    "clusters": TensorType((20, 6), masked=True),
    "event": TensorType((1, 4), masked=True),
}

TRUNK = """
  trunk:
    from:
      - {from: particles, layers: [unmask]}
      - {from: pdg, layers: [unmask, embedding: {size: 8, vocabulary: 542, share: pdg}]}
      - {from: mother, layers: [unmask, embedding: {size: 8, vocabulary: 542, share: pdg}]}
    layers: [concat]
"""
DECAY = """
  decays:
    from: decay
    layers:
      - unmask
      - embedding: {size: 8, vocabulary: 542}
      - parallel: {for: {kernel: [4, 5, 6, 7, 8, 9]}, layers: [conv_node: {filters: 64, kernel: $kernel}, mean_pool]}
      - concat
"""

NETWORKS = {
    "CNN_ResNet": (
        193_274,
        191_762,
        f"""
{TRUNK}
{DECAY}
      - dense_node: 128
      - dropout: 0.2
      - dense_node: 32
  particle:
    from: trunk
    layers: [residual: {{filters: 64, kernel: 4}}, repeat: {{times: 3, layers: [residual: {{filters: 64}}]}}, mean_pool]
  passes: {{from: [decays, particle], layers: [concat, dense_node: 256, dropout: 0.4, dense_node: 128, dense: 1]}}
""",
    ),
    "CNN_decay": (
        79_281,
        None,
        f"{DECAY}\n      - dense_node: 128\n      - dropout: 0.3\n      - dense_node: 32\n      - dense: 1\n",
    ),
    "decay_CNN_LSTM": (
        72_305,
        None,
        """
  out:
    from: decay
    layers:
      - unmask
      - embedding: {size: 8, vocabulary: 542}
      - conv_node: {filters: 64, kernel: 3}
      - pool1d: 2
      - lstm: 64
      - dense_node: 256
      - dropout: 0.5
      - dense_node: 64
      - dense: 1
""",
    ),
    "particles_CNN_1x1": (
        179_345,
        None,
        f"""
{TRUNK}
  out:
    from: trunk
    layers:
      - repeat: {{times: 3, layers: [pooled_node: {{filters: 32, kernel: 1}}]}}
      - repeat: {{times: 3, layers: [pooled_node: {{filters: 64, kernel: 3}}]}}
      - mean_pool
      - dense_node: 512
      - dropout: 0.5
      - dense_node: 128
      - dense: 1
""",
    ),
    "particles_ResNet_preact": (
        2_568_625,
        None,
        f"""
{TRUNK}
  out:
    from: trunk
    layers:
      - conv1d: {{filters: 64, kernel: 3, bias: false}}
      - repeat: {{times: 100, layers: [preactivation: {{filters: 64, kernel: 3}}]}}
      - batch_norm
      - activation: leaky_relu
      - mean_pool
      - dense_node: 256
      - dense_node: 128
      - dense: 1
""",
    ),
    "particles_attention": (
        59_490,
        None,
        f"""
{TRUNK}
  out:
    from: trunk
    layers:
      - repeat: {{times: 13, layers: [additive_attention: 32, batch_norm]}}
      - mean_pool
      - dense_node: 128
      - dense_node: 128
      - dense_node: 64
      - dense: 1
""",
    ),
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


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_smartbkg_counts(make_plan: MakePlan, name: str) -> None:
    total, trainable, graph = NETWORKS[name]
    plan = make_plan(with_library(graph), SMARTBKG)
    assert sum(plan.counts) == total
    assert trainable in (None, plan.counts[0])


def test_tflat_counts(make_plan: MakePlan) -> None:
    plan = make_plan(with_library(TFLAT_GRAPH), TFLAT)
    assert (sum(plan.counts), plan.counts[0]) == (2_302_741, 2_301_131)
    assert plan.nodes["tokens"].type == TensorType((31, 128), masked=True)
