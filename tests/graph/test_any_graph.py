"""Whatever stands in a graph, planning ends with a plan or with sentences, and what is planned can be built and run."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from engine.graph.network import build_network
from engine.graph.plan import plan_network
from engine.graph.registry import CONTROL, primitive_blocks
from engine.graph.schema import definitions
from engine.graph.types import PlanError, TensorType
from engine.spec.build_model import build_model
from engine.spec.layers import MalformedError

INPUTS = {
    "x": TensorType((5, 4), masked=True, names=("a", "b", "c", "d")),
    "y": TensorType((5, 4), masked=True),
    "row": TensorType((4,)),
}

NAMES = sorted(set(primitive_blocks()) | set(CONTROL))
GARBAGE = st.sampled_from(
    [None, True, False, -1, 0, 1, 2, 3, 4, 2.5, 1e300, float("nan"), float("inf"), "", "x", "relu", "use", "ignore",
     "objects", "$a", "$n", "$n - 1", "$n / 0", "2 ** $n", "$n +", "input.channels", "x.channels", "1/0", "nf -> f",
     "nf, fg -> ng", "x + 1", "sum(x)", "x > 0", "1", [], [1], [2, 2], [-1, 2], [0], ["a", 0], [None], {}, {"g": 2},
     {"a": [1, 2]}, {"n": []}]
)  # fmt: skip
RIGHT: dict[str, Any] = {
    "units": 3, "filters": 4, "kernel": 2, "activation": "tanh", "size": 2, "vocabulary": 5, "rate": 0.5, "heads": 2,
    "function": "relu", "formula": "x * 2", "equation": "nf -> f", "shape": [-1, 2], "features": [0, 1], "times": 2,
    "along": "features", "mask": "ignore", "return": "sequence", "kind": "mean", "for": {"a": [1, 2]}, "name": "w",
}  # fmt: skip


@st.composite
def layers(draw: st.DrawFn, depth: int = 2) -> Any:
    """A layer: mostly of known blocks and parameters, with values that fit or do not."""
    name = draw(st.sampled_from([*NAMES, "mine", "nothing"]))
    form = draw(st.sampled_from(["bare", "name", "parameters", "parameters", "parameters"]))
    if form == "name":
        return name
    if form == "bare":
        return {name: draw(GARBAGE)}
    definition = definitions().get(name, {"properties": {"n": 0}})
    parameters = {each: RIGHT[each] for each in definition.get("required", []) if each in RIGHT}
    if name in ("repeat", "parallel"):
        parameters["times"] = 2
    for each in draw(st.lists(st.sampled_from([*definition["properties"], "wrong"]), max_size=2, unique=True)):
        parameters[each] = draw(st.just(RIGHT.get(each)) | GARBAGE)
    if name in CONTROL and depth:
        parameters["layers"] = draw(st.lists(layers(depth - 1), max_size=2) | GARBAGE)
    return {name: parameters}


SOURCES = st.sampled_from(
    ["x", "y", "row", "first", "second", "first.logits", "nowhere", ["x", "y"], ["x", {"broadcast": "row"}],
     {"from": "x", "select": ["a", "b"]}, {"a": "x", "b": "y"}, {"query": "x", "keys": "y"}, [], None]
)  # fmt: skip

NODES = st.fixed_dictionaries({"from": SOURCES, "layers": st.lists(layers(), max_size=2)})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=NODES, second=NODES, inner=NODES, default=GARBAGE)
def test_planning_ends_with_a_plan_or_with_sentences(first: Any, second: Any, inner: Any, default: Any) -> None:
    parameters = {"n": {"type": "integer", "default": default}}
    blocks = {"mine": {"parameters": parameters, "graph": {"output": {**inner, "from": "input"}}}}
    try:
        model = build_model({"graph": {"first": first, "second": second}}, blocks)
        plan = plan_network(model, INPUTS, "keras")
    except (MalformedError, PlanError):
        event("mistakes")
        return
    event("planned")
    if sum(plan.counts) > 100_000:
        return
    network = build_network(plan, 1).eval()  # in training, embeddings refuse codes that they have not got
    inputs = {name: torch.randn(2, *value.shape) for name, value in INPUTS.items()}
    masks = {name: torch.rand(2, *value.objects) < 0.6 for name, value in INPUTS.items() if value.masked}
    values = network(inputs, masks, list(plan.outputs))
    for name, expected in plan.outputs.items():
        assert values[name].shape == (2, *expected.shape)
    assert sum(each.numel() for each in network.parameters()) == plan.counts[0]
