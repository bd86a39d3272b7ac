"""Networks from a few lines of YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from engine.graph.network import Network, build_network
from engine.graph.plan import Plan, plan_network
from engine.graph.types import PlanError, TensorType
from engine.spec.build_model import build_model

DEFAULT_INPUTS = {
    "objects": TensorType((7, 6), masked=True, names=("a", "b", "c", "d", "e", "f")),
    "others": TensorType((7, 4), masked=True),
    "row": TensorType((5,), names=("pt", "eta", "phi", "m", "n")),
}

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan() -> MakePlan:
    """Plans a model given as YAML with the keys `graph` and, where there are any, `blocks`."""

    def make(text: str, inputs: Mapping[str, TensorType] = DEFAULT_INPUTS, conventions: str = "keras") -> Plan:
        value: dict[str, Any] = yaml.safe_load(text)
        model = build_model({"graph": value["graph"]}, value.get("blocks", {}))
        return plan_network(model, inputs, conventions)

    return make


@pytest.fixture
def make_network(make_plan: MakePlan) -> Callable[..., Network]:
    """The network of a model given as YAML."""

    def make(text: str, *arguments: Any, seed: int = 3, **named: Any) -> Network:
        return build_network(make_plan(text, *arguments, **named), seed)

    return make


@pytest.fixture
def mistakes(make_plan: MakePlan) -> Callable[..., list[str]]:
    """The messages that a wrong model gives."""

    def find(text: str, *arguments: Any, **named: Any) -> list[str]:
        with pytest.raises(PlanError) as caught:
            make_plan(text, *arguments, **named)
        return [mistake.message for mistake in caught.value.mistakes]

    return find
