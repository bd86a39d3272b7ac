"""Every layer of a network on a line of its own: what comes out of it, and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.graph.planned import Branches, Chain, Composite, Plan, PlannedGraph, Primitive, Shared, Step
from engine.graph.types import TensorType, words


@dataclass(frozen=True)
class LayerRow:
    """A line of the table.

    Attributes:
        depth: 0 for a node, 1 for its layers, more for what these consist of.
        name: of the node, or what the layer is.
        output: shape in words.
        trainable, fixed: numbers of parameters; those of a line are the sum of the lines below it.
    """

    depth: int
    name: str
    output: str
    trainable: int
    fixed: int


def layer_rows(plan: Plan, *, deep: bool = False) -> list[LayerRow]:
    """The inputs' shapes, then node by node the layers.

    Args:
        plan: the network.
        deep: also what the blocks that are written in YAML consist of.
    """
    rows = [LayerRow(0, name, words(kind), 0, 0) for name, kind in plan.inputs.items()]
    return [*rows, *_graph(plan.graph, 0, deep)]


def _graph(graph: PlannedGraph, depth: int, deep: bool) -> Iterator[LayerRow]:
    for node in graph.nodes.values():
        sources = ", ".join(source.reference for source in node.sources)
        name = f"{node.name} (from {sources})" if sources else node.name
        yield LayerRow(depth, name, _shapes(node.chain), *node.counts)
        for source in node.sources:
            for step in source.chain.steps:
                yield from _step(step, f"{source.reference}: ", depth + 1, deep)
        for step in node.chain.steps:
            yield from _step(step, "", depth + 1, deep)


def _step(step: Step, prefix: str, depth: int, deep: bool) -> Iterator[LayerRow]:
    outputs = outputs_of(step)
    shapes = ", ".join(map(words, outputs)) if len(set(outputs)) > 1 else words(outputs[0])
    many = f"{len(outputs)} times " if len(outputs) > 1 and len(set(outputs)) == 1 else ""
    yield LayerRow(depth, prefix + step.short, many + shapes, *step.counts)
    if not deep:
        return
    if isinstance(step, Composite):
        if len(step.graph.nodes) > 1:
            yield from _graph(step.graph, depth + 1, deep)
            return
        for each in step.graph.nodes["output"].chain.steps:  # its only node needs no line
            yield from _step(each, "", depth + 1, deep)
    elif isinstance(step, Branches):
        for number, chain in enumerate(step.chains):
            for each in chain.steps:
                yield from _step(each, f"{number + 1}: ", depth + 1, deep)
    elif isinstance(step, Shared) and step.owner and len(step.chain.steps) > 1:
        for each in step.chain.steps:
            yield from _step(each, "", depth + 1, deep)


def outputs_of(step: Step) -> tuple[TensorType, ...]:
    """The types of what comes out of a step."""
    if isinstance(step, Primitive):
        return step.outcome.outputs
    if isinstance(step, Branches):
        return tuple(kind for chain in step.chains for kind in chain.outputs)
    if isinstance(step, Composite):
        return step.graph.nodes["output"].chain.outputs
    return step.chain.outputs


def _shapes(chain: Chain) -> str:
    if chain.names:
        return ", ".join(f"{name}: {words(kind)}" for name, kind in zip(chain.names, chain.outputs, strict=True))
    return words(chain.outputs[0])
