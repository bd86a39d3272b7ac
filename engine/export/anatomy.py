"""What an ONNX file consists of: its operators grouped by the node of the network that they were written for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import ExportError
from engine.graph.picture import INPUT, NODE, OUTPUT, Box, Edge, draw
from engine.graph.types import plural

FEATURES = "features"
"""Everything between the raw fields and the network."""
MOST_GROUPS = 80


@dataclass
class Group:
    """The operators of one node.

    Attributes:
        name: of the node.
        layers: what they were written for, each once, in order.
        operators: how many there are.
        parameters: numbers that the file holds for them.
        needs: names of the groups and inputs that they get something from.
    """

    name: str
    layers: list[str] = field(default_factory=list)
    operators: int = 0
    parameters: int = 0
    needs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Anatomy:
    """The file: shapes of inputs, groups in the order of computation, shapes of outputs and where they come from."""

    inputs: dict[str, str]
    groups: dict[str, Group]
    outputs: dict[str, tuple[str, str]]

    @property
    def parameters(self) -> int:
        """All numbers that the file holds."""
        return sum(group.parameters for group in self.groups.values())


def read_anatomy(path: Path) -> Anatomy:
    """Read the structure of a file.

    Raises:
        ExportError: it is no ONNX file.
    """
    import onnx

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # the parser's errors have no class in common
        message = f"{path} cannot be read as ONNX: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise ExportError(message) from error
    if not graph.node:
        message = f"{path} cannot be read as ONNX: it has no operators"
        raise ExportError(message)
    sizes = {each.name: math.prod(each.dims) for each in graph.initializer if each.dims}
    constants = {each.name for each in graph.initializer}
    owners = {each.name: each.name for each in graph.input if each.name not in constants}
    inputs = {name: _shape(each) for each in graph.input if (name := each.name) in owners}
    groups: dict[str, Group] = {}
    for node in graph.node:
        if node.op_type == "Constant" or (node.op_type == "Identity" and set(node.input) <= constants):
            constants.update(node.output)
            sizes.update({out: sizes.get(node.input[0], 0) for out in node.output} if node.input else {})
            continue
        name, layer = _scope(node.name) or _beside(node, owners, groups) or (node.name or node.op_type, node.op_type)
        group = groups.setdefault(name, Group(name))
        group.operators += 1
        if layer and layer not in group.layers:
            group.layers.append(layer)
        for used in _used(node):
            group.parameters += sizes.pop(used, 0)
            owner = owners.get(used)
            if owner not in (None, name, *group.needs):
                group.needs.append(str(owner))
        owners.update(dict.fromkeys(node.output, name))
    outputs = {each.name: (_shape(each), owners.get(each.name, "")) for each in graph.output}
    return Anatomy(inputs, groups, outputs)


def _scope(name: str) -> tuple[str, str] | None:
    """Group and layer of an operator by its name, `/network/vertex/0_vertex_fit/Mul`; None where that says nothing."""
    parts = [part for part in name.split("/") if part]
    if parts[:1] == ["front"]:
        return FEATURES, parts[1] if len(parts) > 2 else ""
    if parts[:1] == ["network"] and len(parts) > 2:
        layer = parts[2].partition(".")[0].partition("_") if len(parts) > 3 else ("", "", "")
        return parts[1], layer[2] if layer[0].isdigit() else ""
    return (parts[0], "") if len(parts) > 1 else None


def _beside(node: Any, owners: Mapping[str, str], groups: Mapping[str, Group]) -> tuple[str, str] | None:
    """The group that an operator without a telling name takes its values from, where it is only one."""
    found = {owners[used] for used in _used(node) if used in owners} & set(groups)
    return (found.pop(), "") if len(found) == 1 else None


def _used(node: Any) -> Iterator[str]:
    """Names of the values that an operator takes, those that its inner graphs take from outside among them."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from _used(inner)


def _shape(value: Any) -> str:
    """A shape as `rows x n_tracks x 13`; a size without a name of its own is any."""
    sizes = [each.dim_param or str(each.dim_value) for each in value.type.tensor_type.shape.dim]
    return " x ".join("any" if value.name.partition(".")[0] in size and "_dim_" in size else size for size in sizes)


def picture(anatomy: Anatomy) -> str:
    """The graph of groups as SVG.

    Raises:
        ExportError: the operators have no names to group them by, and are too many to draw one by one.
    """
    if len(anatomy.groups) > MOST_GROUPS:
        message = f"the file has {plural(len(anatomy.groups), 'operator')} without names to group them by: no picture"
        raise ExportError(message)
    boxes = [Box(name, INPUT, (), shape) for name, shape in anatomy.inputs.items()]
    edges: list[Edge] = []
    for group in anatomy.groups.values():
        known = {box.name for box in boxes}
        boxes.append(Box(group.name, NODE, tuple(group.layers), plural(group.operators, "operator"), group.parameters))
        edges += [Edge(need, group.name) for need in group.needs if need in known]
    for name, (shape, owner) in anatomy.outputs.items():
        title = name if name not in {box.name for box in boxes} else f"{name} (output)"
        boxes.append(Box(title, OUTPUT, (), shape))
        edges += [Edge(owner, title)] if owner else []
    return draw(boxes, edges, f"{anatomy.parameters:,} parameters")
