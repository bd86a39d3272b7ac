"""Names in the graph: sources of nodes, blocks of layers. Shapes, cycles and unused nodes are the planner's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.experiment import Experiment
from engine.spec.schema import lookup
from engine.spec.sections import BlockSpec, LayerSpec, NodeSpec
from engine.spec.suggest import hint


def primitive_names() -> list[str]:
    """The blocks that come with the program."""
    return list(lookup("model.json#/$defs/layer")["properties"])


def check_model(experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of names in `model:` and `blocks:`."""
    model, inputs = experiment.model, experiment.data.inputs
    for name, node in model.graph.items():
        if name in inputs:
            message = f"`{name}` is the name of an input too; choose another"
            yield Mistake(node.path, message, of_key=True)
    primitives = primitive_names()
    for block in model.blocks.values():
        if block.name in primitives:
            message = f"`{block.name}` is the name of a block of the program; choose another"
            yield Mistake(block.path, message, of_key=True)
        yield from _unused_parameters(block, experiment.document.get((*block.path, "graph")))
    known = [*primitives, *model.blocks]
    yield from _graph(model.graph, [*inputs, *model.graph], known)
    for block in model.blocks.values():
        yield from _graph(block.graph, [*block.inputs, *block.graph], known)


def _unused_parameters(block: BlockSpec, graph: Any) -> Iterator[Mistake]:
    """Parameters that no layer of the block depends on, so that to set them would change nothing."""
    used = {name for text in _texts(graph) for name in re.findall(r"\$(\w+)", text)}
    for name in block.parameters:
        if name not in used:
            message = (
                f"`{block.name}` does not use its parameter `{name}`; write `${name}` where it is meant, or remove it"
            )
            yield Mistake((*block.path, "parameters", name), message, of_key=True)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in items:
        yield from _texts(item)


def _graph(graph: Mapping[str, NodeSpec], sources: list[str], blocks: list[str]) -> Iterator[Mistake]:
    for node in graph.values():
        for source in node.sources:
            name = source.name.partition(".")[0]
            if name not in sources:
                yield Mistake(source.path, f"there is no input or node `{name}`{hint(name, sources)}")
            yield from _layers(source.layers, blocks)
        yield from _layers(node.layers, blocks)


def _layers(layers: Iterable[LayerSpec], blocks: list[str]) -> Iterator[Mistake]:
    for layer in layers:
        written = len(layer.path) > 0 and layer.path[-1] == layer.block
        yield from _block(layer.block, layer.path, written, blocks)
        yield from _inner(layer.block, layer.parameters, layer.path, blocks)


def _block(name: str, path: Path, is_key: bool, blocks: list[str]) -> Iterator[Mistake]:
    if name not in blocks:
        yield Mistake(path, f"there is no block `{name}`{hint(name, blocks)}", of_key=is_key)


def _inner(block: str, parameters: Any, path: Path, blocks: list[str]) -> Iterator[Mistake]:
    """The layers inside `repeat`, `parallel` and `share`."""
    if block not in ("repeat", "parallel", "share") or not isinstance(parameters, Mapping):
        return
    layers = parameters.get("layers") or []
    listed = isinstance(layers, list)
    for index, layer in enumerate(layers if listed else [layers]):
        where = (*path, "layers", index) if listed else (*path, "layers")
        if isinstance(layer, str):
            yield from _block(layer, where, False, blocks)
        elif isinstance(layer, Mapping) and len(layer) == 1:
            name, inner = next(iter(layer.items()))
            yield from _block(name, (*where, name), True, blocks)
            yield from _inner(name, inner, (*where, name), blocks)
