"""Weights of another run put into nodes of this network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import TrainingError
from engine.training.checkpoint import read_weights
from engine.training.sources import Kept, loaded_nodes, shared_layers

if TYPE_CHECKING:
    from engine.graph.network import Network


def load_nodes(network: Network, kept: Kept) -> str:
    """Load what a `load:` names; returns a sentence that says what was loaded.

    Raises:
        TrainingError: as `fit`.
    """
    weights, names = fit(network, kept)
    state = network.state_dict()
    with torch.no_grad():
        for theirs, ours in names.items():
            state[ours].copy_(weights[theirs])
    nodes = loaded_nodes(kept.load, network.plan).values()
    return f"loaded {_listed(nodes)} from {kept.load.source} ({len(names)} tensors)" + _left(weights, names)


def fit(network: Network, kept: Kept) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Hold what a `load:` names against the network.

    Returns:
        The tensors of the file, and the name there -> name here of those to load.

    Raises:
        TrainingError: the file cannot be read, a node is not in it, or a tensor has another shape.
    """
    weights, state = read_weights(kept.path), network.state_dict()
    names = dict(_names(network, loaded_nodes(kept.load, network.plan).items()))
    for theirs, ours in names.items():
        if theirs not in weights:
            raise TrainingError(
                f"{kept.load.source} cannot be loaded: it has no {theirs}, which {ours} should start from",
                kept.load.path,
            )
        if weights[theirs].shape != state[ours].shape:
            shapes = f"{list(weights[theirs].shape)} there and {list(state[ours].shape)} here"
            raise TrainingError(f"{kept.load.source} cannot be loaded: {theirs} is {shapes}", kept.load.path)
    return weights, names


def _names(network: Network, nodes: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Name there and name here of every tensor of the nodes."""
    nodes = list(nodes)
    state = network.state_dict()
    shared = shared_layers(network.plan.nodes[ours] for _, ours in nodes)
    for theirs, ours in [*nodes, *((f"shared.{name}", f"shared.{name}") for name in shared)]:
        for name in state:
            if name.startswith(f"{ours}."):
                yield f"{theirs}{name.removeprefix(ours)}", name


def _left(weights: dict[str, Tensor], used: dict[str, str]) -> str:
    """What the other run has besides."""
    left = dict.fromkeys(name.partition(".")[0] for name in weights if name not in used)
    return f"; not used: {_listed(left)}" if left else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
