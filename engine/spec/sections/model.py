"""The `model:` and `blocks:` sections of a spec: nodes, the layers they go through, blocks written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import Path


@dataclass(frozen=True)
class LayerSpec:
    """One layer: the block's name and its parameters as written; `$name` not yet replaced.

    The parameter of a bare value has the name "": {"": 0.2} for `dropout: 0.2`.
    """

    block: str
    parameters: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class SourceSpec:
    """Where a node's input comes from: a data input, another node (`vertex.position`: one of its outputs), a chain.

    `name` is the input's or node's name; `layers` are applied to it first (`{from: pdg, layers: [...]}`);
    `select` picks features by name or index; `argument` is the block's named input that it feeds (`{tracks: perigee}`);
    `broadcast` says that it is a row to be used for each object of the other sources (`{broadcast: jet}`).
    """

    name: str
    layers: tuple[LayerSpec, ...]
    select: tuple[str | int, ...]
    argument: str | None
    path: Path
    broadcast: bool = False


@dataclass(frozen=True)
class NodeSpec:
    """A node of the graph: a name, its sources, the layers they go through."""

    name: str
    sources: tuple[SourceSpec, ...]
    layers: tuple[LayerSpec, ...]
    path: Path


@dataclass(frozen=True)
class BlockParameter:
    """A parameter of a block written in YAML."""

    name: str
    type: str  # integer, number, string, boolean, list
    default: Any
    required: bool
    minimum: float | None
    description: str


@dataclass(frozen=True)
class BlockSpec:
    """A block written in YAML: nodes that start at `input` (or named `inputs`) and end at `output`."""

    name: str
    description: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, BlockParameter]
    graph: Mapping[str, NodeSpec]
    path: Path


@dataclass(frozen=True)
class ModelSpec:
    """The whole `model:` section, with the blocks written in YAML that it may use."""

    graph: Mapping[str, NodeSpec]
    blocks: Mapping[str, BlockSpec]
    path: Path = ("model",)
