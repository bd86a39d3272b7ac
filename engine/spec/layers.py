"""The forms in which nodes, sources and layers may be written, read into typed values.

Nested layers (those of `repeat`, `parallel`, `share`) stay as written inside the parameters of their layer, since their
`$names` have no values yet; the planner of the graph reads them with the same functions when it takes the layer apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.spec.sections.model import BlockParameter, BlockSpec, LayerSpec, ModelSpec, NodeSpec, SourceSpec

BARE = ""
"""The key of a bare value: `dropout: 0.2` is read as {BARE: 0.2}; the block knows which of its parameters is meant."""


class MalformedError(Exception):
    """Something that is neither a layer nor a source; carries its path and a sentence."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def read_layer(raw: Any, path: Path) -> LayerSpec:
    """A layer: a block's name, or a mapping of the name to its parameters or to a bare value.

    Raises:
        MalformedError: it is something else.
    """
    if isinstance(raw, str):
        return LayerSpec(raw, {}, path)
    if not isinstance(raw, Mapping) or len(raw) != 1:
        many = isinstance(raw, Mapping) and len(raw) > 1
        advice = (
            "put each block into a list item of its own" if many else "write a block's name, or `name: {parameters}`"
        )
        raise MalformedError(path, f"a layer is one block; {advice}")
    ((name, value),) = raw.items()
    if value is None:
        value = {}
    parameters = value if isinstance(value, Mapping) else {BARE: value}
    return LayerSpec(str(name), parameters, (*path, str(name)))


def read_layers(raw: Any, path: Path) -> tuple[LayerSpec, ...]:
    """A list of layers; one layer may stand without the list.

    Raises:
        MalformedError: one of them is not a layer.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        return (read_layer(raw, path),)
    return tuple(read_layer(layer, (*path, i)) for i, layer in enumerate(raw))


def read_source(raw: Any, path: Path, argument: str | None = None) -> SourceSpec:
    """A source: a name, or `{from: name}` or `{broadcast: name}` with `select:` and `layers:`.

    Raises:
        MalformedError: it is something else.
    """
    if isinstance(raw, str):
        return SourceSpec(raw, (), (), argument, path)
    if isinstance(raw, Mapping):
        for key in ("from", "broadcast"):
            if isinstance(raw.get(key), str):
                layers = read_layers(raw.get("layers"), (*path, "layers"))
                select = raw.get("select", ())
                chosen = tuple(select) if isinstance(select, list | tuple) else (select,)
                return SourceSpec(raw[key], layers, chosen, argument, path, broadcast=key == "broadcast")
    raise MalformedError(path, "a source is a name, or `{from: name, layers: [...]}`, or `{broadcast: name}`")


def read_sources(raw: Any, path: Path) -> tuple[SourceSpec, ...]:
    """What stands after `from:`: one source, a list of them, or a mapping of the block's named inputs to sources.

    Raises:
        MalformedError: one of them is not a source.
    """
    if raw is None:
        return ()
    if isinstance(raw, list | tuple):
        return tuple(read_source(source, (*path, i)) for i, source in enumerate(raw))
    if isinstance(raw, Mapping) and not ({"from", "broadcast"} & set(raw)):
        return tuple(read_source(source, (*path, str(name)), str(name)) for name, source in raw.items())
    return (read_source(raw, path),)


def read_node(name: str, raw: Mapping[str, Any], path: Path) -> NodeSpec:
    """A node: its sources and the layers they go through."""
    sources = read_sources(raw.get("from"), (*path, "from"))
    return NodeSpec(name, sources, read_layers(raw.get("layers"), (*path, "layers")), path)


def read_graph(raw: Mapping[str, Any], path: Path) -> dict[str, NodeSpec]:
    """Named nodes in the order of the file."""
    return {str(name): read_node(str(name), node, (*path, str(name))) for name, node in raw.items()}


def read_parameter(name: str, raw: Any, path: Path) -> BlockParameter:
    """A parameter of a block written in YAML: `{type: integer, default: 2}`, or just a type's name."""
    if isinstance(raw, str):
        raw = {"type": raw}
    if not isinstance(raw, Mapping):
        raise MalformedError(path, "a parameter is written as `{type: integer, default: 2}`")
    required = "default" not in raw
    kind = str(raw.get("type", "number"))
    return BlockParameter(name, kind, raw.get("default"), required, raw.get("minimum"), str(raw.get("description", "")))


def read_block(name: str, raw: Mapping[str, Any], path: Path) -> BlockSpec:
    """A block written in YAML: parameters, inputs, nodes."""
    inputs = raw.get("inputs", ["input"])
    inputs = [inputs] if isinstance(inputs, str) else inputs
    parameters = {
        str(key): read_parameter(str(key), value, (*path, "parameters", str(key)))
        for key, value in (raw.get("parameters") or {}).items()
    }
    graph = read_graph(raw["graph"], (*path, "graph"))
    return BlockSpec(name, str(raw.get("description", "")), tuple(map(str, inputs)), parameters, graph, path)


def read_model(model: Mapping[str, Any], blocks: Mapping[str, Any] | None = None) -> ModelSpec:
    """The sections `model:` and `blocks:` of a spec that has passed its schema.

    Raises:
        MalformedError: a layer, source or parameter in a form that does not exist.
    """
    written = {str(name): read_block(str(name), raw, ("blocks", str(name))) for name, raw in (blocks or {}).items()}
    return ModelSpec(read_graph(model["graph"], ("model", "graph")), written)
