"""A block with several outputs: each is addressed by a dot, and the node itself by none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from engine.graph.conventions import Conventions
from engine.graph.modules.values import Values
from engine.graph.network import Network
from engine.graph.registry import BLOCKS, Block, Types
from engine.graph.types import Outcome, TensorType


class MeanAndSpread(nn.Module):
    """Mean and standard deviation over the objects."""

    def forward(self, values: Values) -> Values:
        x = values[0][0]
        return [(x.mean(1), None), (x.std(1), None)]


@dataclass(frozen=True)
class Moments(Block):
    """A block of two outputs."""

    name = "moments"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        row = TensorType((inputs[0].features,))
        return Outcome((row, row), names=("mean", "spread"))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        return MeanAndSpread()


@pytest.fixture(autouse=True)
def with_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BLOCKS, "moments", Moments)


def test_outputs_are_addressed_by_name(make_network: Callable[..., Network]) -> None:
    network = make_network(
        """
        blocks: {wrapped: {graph: {output: {from: input, layers: [moments]}}}}
        graph:
          moments: {from: objects, layers: [wrapped]}
          out: {from: [moments.mean, moments.spread], layers: [concat, dense: 3]}
        """
    )
    x = torch.randn(4, 7, 6)
    values = network({"objects": x}, {}, ["moments.spread", "out"])
    torch.testing.assert_close(values["moments.spread"], x.std(1))
    assert values["out"].shape == (4, 3)
    assert [name for name in network.plan.outputs if name.startswith("moments")] == ["moments.mean", "moments.spread"]
    assert network.plan.unused(["moments.mean"]) == ("out",)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("moments", "node `moments` has several outputs; write one of moments.mean, moments.spread"),
        ("moments.meam", "there is no output `moments.meam`; did you mean `moments.mean`?"),
        ("plain.mean", "there is no output `plain.mean`; did you mean `plain`?"),
    ],
)
def test_wrong_outputs_are_mistakes(mistakes: Callable[..., list[str]], source: str, message: str) -> None:
    text = f"""
    graph:
      moments: {{from: objects, layers: [moments]}}
      plain: {{from: row, layers: [dense: 3]}}
      out: {{from: {source}, layers: [dense: 3]}}
    """
    assert mistakes(text) == [message]
