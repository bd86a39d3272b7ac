"""Embeddings take their size from the vocabulary of what comes in, and unknown codes are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine.errors import TrainingError
from engine.graph.network import Network
from engine.graph.plan import Plan
from engine.graph.types import TensorType

INPUTS = {
    "pdg": TensorType((7, 1), masked=True, vocabulary=543),
    "mother": TensorType((7, 1), masked=True, vocabulary=543),
    "decay": TensorType((9, 1), masked=True, vocabulary=12),
    "plain": TensorType((7, 1), masked=True),
}


def test_the_vocabulary_of_the_input_is_the_size_of_the_table(make_plan: Callable[..., Plan]) -> None:
    text = """
    blocks: {look_up: {graph: {output: {from: input, layers: [embedding: {size: 8}]}}}}
    graph:
      out: {from: pdg, layers: [unmask, select: 0, embedding: {size: 8}]}
      wrapped: {from: decay, layers: [look_up]}
      own: {from: decay, layers: [embedding: {size: 8, vocabulary: 20}]}
    """
    plan = make_plan(text, INPUTS)
    assert [plan.nodes[name].trainable for name in ("out", "wrapped", "own")] == [543 * 8, 12 * 8, 20 * 8]
    assert plan.nodes["wrapped"].type == TensorType((9, 8), masked=True)
    assert "embedding 543 x 8" in plan.nodes["out"].layers


def test_a_shared_table_serves_inputs_of_the_same_vocabulary(make_plan: Callable[..., Plan]) -> None:
    text = "graph: {out: {from: [{from: pdg, layers: [embedding: {size: 8, share: codes}]}," \
        " {from: mother, layers: [embedding: {size: 8, share: codes}]}], layers: [concat]}}"  # fmt: skip
    assert make_plan(text, INPUTS).counts[0] == 543 * 8


@pytest.mark.parametrize(
    ("layers", "source", "message"),
    [
        ("embedding: {size: 8}", "plain", "needs `vocabulary`, the number of codes: its input has no vocabulary"),
        ("embedding: {size: 8, vocabulary: 10}", "decay", "has 10 vectors for an input with 12 codes; leave"),
        (
            "embedding: {size: 8, share: codes}",
            "decay",
            "shares `codes` with an embedding 543 x 8, but is an embedding",
        ),
    ],
)
def test_wrong_sizes_are_mistakes(mistakes: Callable[..., list[str]], layers: str, source: str, message: str) -> None:
    text = f"""
    graph:
      first: {{from: pdg, layers: [embedding: {{size: 8, share: codes}}]}}
      out: {{from: {source}, layers: [{layers}]}}
    """
    assert message in mistakes(text, INPUTS)[0]


@pytest.mark.parametrize("code", [-1.0, 12.0])
def test_a_code_outside_of_the_table_stops_the_training(make_network: Callable[..., Network], code: float) -> None:
    network = make_network("graph: {out: {from: decay, layers: [embedding: {size: 3}]}}", INPUTS)
    x, mask = torch.zeros(2, 9, 1), torch.ones(2, 9, dtype=torch.bool)
    x[1, 4] = code
    with pytest.raises(TrainingError, match=f"an embedding with 12 vectors gets the code {int(code)}; codes count"):
        network.train()({"decay": x}, {"decay": mask}, ["out"])
    values = network.eval()({"decay": x}, {"decay": mask}, ["out"])["out"]
    torch.testing.assert_close(values[1, 4], values[0, 0])  # outside of training it counts as 0
    assert network.train()({"decay": x[:0]}, {"decay": mask[:0]}, ["out"])["out"].shape == (0, 9, 3)
