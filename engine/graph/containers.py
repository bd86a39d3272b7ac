"""The layers inside of `repeat`, `parallel` and `share`, planned by the planner that comes upon them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.graph.control import branch_values, share_parts
from engine.graph.flows import Flow, Place
from engine.graph.planned import Branches, Chain, Primitive, Shared, Step
from engine.spec.layers import read_layers
from engine.spec.sections.model import LayerSpec

if TYPE_CHECKING:
    from engine.graph.planner import Planner


def repeat(planner: Planner, spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]) -> Flow | None:
    """The same layers several times, one after the other."""
    layers = read_layers(spec.parameters.get("layers"), (*spec.path, "layers"))
    rounds = rounds_of(planner, spec, place)
    for values in rounds or ():
        planner.steps += 1
        inner = replace(place, substitution=place.substitution.within(values))
        _, flow = planner.chain(layers, flow, inner, steps)
    return flow if rounds is not None else None


def parallel(planner: Planner, spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]) -> Flow | None:
    """The same layers several times, side by side."""
    layers = read_layers(spec.parameters.get("layers"), (*spec.path, "layers"))
    rounds = rounds_of(planner, spec, place)
    chains: list[Chain] = []
    for values in rounds or ():
        planner.steps += 1
        inner = replace(place, substitution=place.substitution.within(values))
        branch, end = planner.chain(layers, flow, inner)
        if end is not None:
            chains.append(Chain(tuple(branch), end.types))
    if not rounds or len(chains) < len(rounds):
        if rounds is not None and not rounds:
            planner.complain(spec, place, "needs at least one branch", "times")
        return None
    steps.append(Branches(f"{len(steps)}_parallel", tuple(chains)))
    types = tuple(value for chain in chains for value in chain.outputs)
    return Flow(types, (None,) * len(types))


def rounds_of(planner: Planner, spec: LayerSpec, place: Place) -> list[dict[str, Any]] | None:
    """What the names of `for:` stand for in each round; None where there are mistakes."""
    return branch_values(spec, place.substitution, lambda message, name: planner.complain(spec, place, message, name))


def share(planner: Planner, spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]) -> Flow | None:
    """Layers whose weights are used wherever the name stands."""
    parts = share_parts(spec, place.substitution, lambda message, name: planner.complain(spec, place, message, name))
    if parts is None:
        return None
    name, raw = parts
    path = (*spec.path, "layers")
    if name not in planner.shares:
        if raw is None:
            planner.complain(spec, place, f"uses `{name}` for the first time and needs its `layers`", None)
            return None
        inner, end = planner.chain(read_layers(raw, path), flow, place)
        chain = Chain(tuple(inner), end.types, end.names) if end is not None else None
        planner.shares[name] = (raw, chain, flow.types if flow is not None else ())
        owner = True
    else:
        first, chain, types = planner.shares[name]
        owner = False
        if raw is not None and raw != first:
            planner.complain(spec, place, f"has other layers than the first `{name}`; leave them out here", "layers")
            return None
        if chain is not None and flow is not None and flow.types != types:
            now, then = (", ".join(map(str, each)) for each in (flow.types, types))
            planner.complain(spec, place, f"gets {now}, but the weights of `{name}` are for {then}", None)
            return None
    if chain is None:
        return None
    steps.append(Shared(f"{len(steps)}_share", name, owner, chain))
    return Flow(chain.outputs, (None,) * len(chain.outputs), chain.names)


def shared_step(
    planner: Planner, spec: LayerSpec, name: str, step: Primitive, place: Place, steps: list[Step]
) -> Flow | None:
    """A single block with shared weights (`embedding: {share: pdg}`), for any number of objects."""
    first = planner.shares.setdefault(name, (step.block, None, ()))[0]
    owner = planner.shares[name][1] is None
    if first != step.block:
        here, there = step.block.describe, first.describe
        what = f"an {there}, but is an {here} here" if here != there else "a block that has other parameters"
        planner.complain(spec, place, f"shares `{name}` with {what}", "share")
        return None
    chain = Chain((step,), step.outcome.outputs)
    if owner:
        planner.shares[name] = (first, chain, ())
    steps.append(Shared(f"{len(steps)}_{spec.block}", name, owner, chain))
    return Flow(chain.outputs, (None,))


CONTAINERS = {"parallel": parallel, "repeat": repeat, "share": share}
"""The blocks that hold layers."""
