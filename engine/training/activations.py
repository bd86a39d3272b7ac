"""Whether an output consists of probabilities or of logits, as its layers and its loss say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.graph.planned import Chain, Composite, PlannedGraph, Primitive, Shared, Step

if TYPE_CHECKING:
    from engine.graph.plan import Plan
    from engine.spec.experiment import Experiment

PROBABILITIES = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}
"""Losses of classes, and what makes probabilities of the logits that each of them compares."""


def logit_outputs(experiment: Experiment, plan: Plan) -> dict[str, str]:
    """The outputs whose values their (first) loss takes as logits, each with what makes probabilities of them."""
    found: dict[str, str | None] = {}
    for loss in experiment.training.losses.values():
        if loss.target is not None:
            name = loss.of.removesuffix(".logits")
            logits = not loss.options.get("probabilities") and not plan.offers(f"{name}.logits")
            found.setdefault(name, PROBABILITIES.get(loss.kind) if logits else None)
    return {name: function for name, function in found.items() if function is not None}


def bent_activation(plan: Plan, output: str) -> str | None:
    """The activation, neither softmax nor sigmoid nor linear, that the last layer of a node has."""
    node = plan.nodes.get(output)
    last = node.chain.steps[-1] if node is not None and node.chain.steps else None
    if not isinstance(last, Primitive):
        return None
    name = getattr(last.block, "activation", getattr(last.block, "function", None))
    return name if isinstance(name, str) and name not in (*PROBABILITIES.values(), "linear") else None


def squashing(step: Primitive) -> str | None:
    """The softmax or sigmoid that a layer ends in."""
    if not step.block.has_logits:
        return None
    for attribute in ("activation", "function"):
        if isinstance(value := getattr(step.block, attribute, None), str):
            return value
    return None


def hidden_activation(plan: Plan, output: str) -> str | None:
    """The softmax or sigmoid whose values reach an output through layers without parameters alone.

    None where its logits are to be had (it is the last layer of the node), and where nothing can be said: behind
    layers with parameters, and where several values come together.
    """
    if output not in plan.nodes or plan.offers(f"{output}.logits"):
        return None
    for step in _backwards(plan.graph, output):
        if not isinstance(step, Primitive) or len(step.inputs) > 1:
            return None
        if (found := squashing(step)) is not None:
            return found
        if any(step.counts):
            return None
    return None


def _backwards(graph: PlannedGraph, name: str) -> Iterator[Step | None]:
    """The layers that a node's value went through, the last one first; None where several values come together."""
    node = graph.nodes.get(name)
    if node is None:  # an input of the graph
        return
    yield from _steps(node.chain)
    if len(node.sources) > 1:
        yield None
        return
    for source in node.sources:
        yield from _steps(source.chain)
        yield from _backwards(graph, source.reference.partition(".")[0])


def _steps(chain: Chain) -> Iterator[Step | None]:
    for step in reversed(chain.steps):
        if isinstance(step, Shared):
            yield from _steps(step.chain)
        elif isinstance(step, Composite):
            yield from _backwards(step.graph, "output")
        else:
            yield step
