"""The `model:` and `blocks:` sections: plain values that the schema finds right to typed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.spec.defaults import complete
from engine.spec.layers import read_layers
from engine.spec.sections import BlockParameter, BlockSpec, ModelSpec, NodeSpec, SourceSpec

Plain = Mapping[str, Any]


def build_model(model: Plain, blocks: Plain) -> ModelSpec:
    """The typed sections, of the plain values of `model:` and `blocks:`."""
    graph = {name: _node(name, value, ("model", "graph", name)) for name, value in model["graph"].items()}
    return ModelSpec(graph, {name: _block(name, value, ("blocks", name)) for name, value in blocks.items()})


def _node(name: str, value: Plain, path: Path) -> NodeSpec:
    layers = read_layers(value.get("layers"), (*path, "layers"))
    return NodeSpec(name, _sources(value.get("from"), (*path, "from")), layers, path)


def _sources(value: Any, path: Path) -> tuple[SourceSpec, ...]:
    """The sources of `from:`: one, a list, or a mapping of the block's named inputs."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(_source(item, None, (*path, index)) for index, item in enumerate(value))
    if isinstance(value, dict) and "from" not in value and "broadcast" not in value:
        return tuple(_source(item, argument, (*path, argument)) for argument, item in value.items())
    return (_source(value, None, path),)


def _source(value: str | Plain, argument: str | None, path: Path) -> SourceSpec:
    if isinstance(value, str):
        return SourceSpec(value, (), (), argument, path)
    broadcast = "broadcast" in value
    select = value.get("select", [])
    return SourceSpec(
        name=value["broadcast"] if broadcast else value["from"],
        layers=read_layers(value.get("layers"), (*path, "layers")),
        select=tuple(select) if isinstance(select, list) else (select,),
        argument=argument,
        path=path,
        broadcast=broadcast,
    )


def _block(name: str, value: Plain, path: Path) -> BlockSpec:
    whole = complete(dict(value), "model.json#/$defs/block")
    return BlockSpec(
        name=name,
        description=whole["description"],
        inputs=tuple(whole["inputs"]),
        parameters={key: _parameter(key, each) for key, each in whole["parameters"].items()},
        graph={node: _node(node, each, (*path, "graph", node)) for node, each in value["graph"].items()},
        path=path,
    )


def _parameter(name: str, value: str | Plain) -> BlockParameter:
    written = {"type": value} if isinstance(value, str) else dict(value)
    whole = complete(written, "model.json#/$defs/parameter")
    return BlockParameter(
        name=name,
        type=whole["type"],
        default=whole.get("default"),
        required="default" not in whole,
        minimum=whole["minimum"],
        description=whole["description"],
    )
