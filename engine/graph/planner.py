"""Takes the declared layers apart, step by step, with the types that flow between them; collects every mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import Mistake, Path
from engine.graph.containers import CONTAINERS, shared_step
from engine.graph.conventions import Conventions
from engine.graph.flows import Flow, Place, by_argument, inputs_of
from engine.graph.order import order_nodes
from engine.graph.parameters import make_block, values_of
from engine.graph.planned import (
    Chain,
    Composite,
    PlannedGraph,
    PlannedNode,
    PlannedSource,
    Primitive,
    Step,
)
from engine.graph.registry import CONTROL, Block, in_short, primitive_blocks
from engine.graph.substitute import Substitution, UnknownTypeError
from engine.graph.types import RuleError, TensorType, plural
from engine.spec.layers import MalformedError
from engine.spec.sections.model import BlockSpec, LayerSpec, NodeSpec, SourceSpec
from engine.spec.suggest import hint

MOST_STEPS = 20_000
"""Layers of a network after all repetitions; a bound on what a short spec can ask for."""


class TooLargeError(Exception):
    """The network has more layers than can be meant."""


@dataclass
class Planner:
    """Plans graphs; one instance a network.

    Attributes:
        blocks: blocks written in YAML.
        conventions: what the spec does not say.
        mistakes: found so far.
        shares: layers with shared weights: as written, and as planned for their first use.
        steps: how many steps there are already.
    """

    blocks: Mapping[str, BlockSpec]
    conventions: Conventions
    mistakes: list[Mistake] = field(default_factory=list)
    shares: dict[str, tuple[Any, Chain | None, tuple[TensorType, ...]]] = field(default_factory=dict)
    steps: int = 0

    def report(self, path: Path, message: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(path, message))

    def graph(
        self,
        nodes: Mapping[str, NodeSpec],
        inputs: Mapping[str, TensorType | None],
        place: Place,
        end: str | None = None,
    ) -> PlannedGraph:
        """All nodes of a graph; those with mistakes are left out."""
        order, mistakes = order_nodes(nodes, inputs, end)
        self.mistakes += mistakes
        known: dict[str, TensorType | None] = dict(inputs)
        planned: dict[str, PlannedNode] = {}
        for name in nodes:
            if name not in order:
                self.chain(nodes[name].layers, None, place)
        for name in order:
            node = self.node(nodes[name], known, place if place.node else replace(place, node=name))
            if node is not None:
                planned[name] = node
                known.update(node.types)
        return PlannedGraph(tuple(inputs), planned)

    def node(self, spec: NodeSpec, known: Mapping[str, TensorType | None], place: Place) -> PlannedNode | None:
        """One node; None where its type is not known because of mistakes."""
        spec = replace(spec, sources=self.in_order(spec))
        sources = [self.source(source, known, place) for source in spec.sources]
        flow: Flow | None = None
        if all(source is not None for source in sources):
            types = [self.sent(source, spec.sources[i]) for i, source in enumerate(sources) if source is not None]
            flow = Flow(tuple(types), tuple(source.argument for source in spec.sources))
        steps, flow = self.chain(spec.layers, flow, place)
        if flow is None:
            return None
        if len(flow.types) != 1 and not flow.names:
            self.report(spec.path, self.open_end(spec, len(flow.types)))
            return None
        chain = Chain(tuple(steps), flow.types, flow.names)
        return PlannedNode(spec.name, tuple(source for source in sources if source is not None), chain)

    def in_order(self, spec: NodeSpec) -> tuple[SourceSpec, ...]:
        """The sources, where they are named, in the order of the inputs of the first layer's block."""
        if not spec.layers or not any(source.argument for source in spec.sources):
            return spec.sources
        first = spec.layers[0].block
        kind = primitive_blocks().get(first)
        order = self.blocks[first].inputs if first in self.blocks else kind.arguments if kind else ()
        places = {name: i for i, name in enumerate(order)}
        return tuple(sorted(spec.sources, key=lambda source: places.get(str(source.argument), len(places))))

    def open_end(self, spec: NodeSpec, count: int) -> str:
        """What to say of a node that does not end with one value."""
        if not count:
            return f"node `{spec.name}` comes from nothing; give it `from:`, or let it start with `parameter`"
        return f"node `{spec.name}` ends with {count} values; put `concat`, `add` or `multiply` at its end"

    def sent(self, source: PlannedSource, spec: SourceSpec) -> TensorType:
        """The type that a source sends on."""
        return replace(source.chain.outputs[0], broadcast=True) if spec.broadcast else source.chain.outputs[0]

    def source(self, spec: SourceSpec, known: Mapping[str, TensorType | None], place: Place) -> PlannedSource | None:
        """One source of a node, with what it goes through first."""
        value = known.get(spec.name)
        if value is None:
            if spec.name not in known:
                self.report_unknown_output(spec, known)
            self.chain(spec.layers, None, place)
            return None
        layers = spec.layers
        if spec.select:
            layers = (LayerSpec("select", {"features": list(spec.select)}, (*spec.path, "select")), *layers)
        steps, flow = self.chain(layers, Flow((value,), (None,)), place)
        if flow is None:
            return None
        if len(flow.types) != 1:
            self.report(spec.path, f"this source ends with {plural(len(flow.types), 'value')}; put `concat` at its end")
            return None
        return PlannedSource(spec.name, Chain(tuple(steps), flow.types))

    def report_unknown_output(self, spec: SourceSpec, known: Mapping[str, TensorType | None]) -> None:
        """Say which outputs a node has, where the node is known but not the output."""
        node, _, output = spec.name.partition(".")
        outputs = [name for name in known if name.startswith(f"{node}.")]
        if outputs and not output:
            self.report(spec.path, f"node `{node}` has several outputs; write one of {', '.join(outputs)}")
        elif node in known or outputs:
            self.report(spec.path, f"there is no output `{spec.name}`{hint(spec.name, [*known])}")

    def chain(
        self, layers: Sequence[LayerSpec], flow: Flow | None, place: Place, steps: list[Step] | None = None
    ) -> tuple[list[Step], Flow | None]:
        """Layers one after the other; the steps found, and what comes out (None where that is not known)."""
        steps = [] if steps is None else steps
        for layer in layers:
            try:
                flow = self.layer(layer, flow, place, steps)
            except MalformedError as error:
                self.report(error.path, error.message)
                flow = None
            except UnknownTypeError:
                flow = None
        return steps, flow

    def layer(self, spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]) -> Flow | None:
        """One layer: its steps are added to `steps`."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLargeError
        if spec.block in self.blocks:
            return self.composite(spec, flow, place, steps)
        if spec.block in CONTAINERS:
            return CONTAINERS[spec.block](self, spec, flow, place, steps)
        kind = primitive_blocks().get(spec.block)
        if kind is None:
            names = [*self.blocks, *primitive_blocks(), *CONTROL]
            self.report(spec.path, f"there is no block `{spec.block}`{hint(spec.block, names)}")
            return None
        return self.primitive(kind, spec, flow, place, steps)

    def complain(self, spec: LayerSpec, place: Place, message: str, parameter: str | None) -> None:
        """Note a mistake of a layer, at the parameter where it stands in the spec."""
        path = (*spec.path, parameter) if parameter in spec.parameters else spec.path
        self.report(tuple(part for part in path if part is not None), f"`{spec.block}` {message}{place.suffix}")

    def primitive(
        self, kind: type[Block], spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]
    ) -> Flow | None:
        """A primitive block."""
        block = make_block(
            kind, spec.parameters, place.substitution, lambda message, name: self.complain(spec, place, message, name)
        )
        if block is None or flow is None:
            return None
        try:
            types = inputs_of(block, flow)
            if block.free_arguments and flow.arguments and flow.arguments[0] is not None:
                block = replace(block, names=flow.arguments)  # type: ignore[type-var]
            block = block.resolved(types)
            outcome = block.rule(types, self.conventions)
        except RuleError as error:
            self.complain(spec, place, error.message, error.parameter)
            return None
        step = Primitive(f"{len(steps)}_{kind.name}", block, types, outcome)
        shared = getattr(block, "share", None)
        if shared is not None:
            return shared_step(self, spec, shared, replace(step, key=f"0_{kind.name}"), place, steps)
        steps.append(step)
        return Flow(outcome.outputs, (None,) * len(outcome.outputs), outcome.names)

    def composite(self, spec: LayerSpec, flow: Flow | None, place: Place, steps: list[Step]) -> Flow | None:
        """A block written in YAML."""
        block = self.blocks[spec.block]
        if spec.block in place.blocks:
            way = " -> ".join([*place.blocks[place.blocks.index(spec.block) :], spec.block])
            self.report(spec.path, f"block `{spec.block}` contains itself: {way}")
            return None
        values = values_of(
            block, spec.parameters, place.substitution, lambda message, name: self.complain(spec, place, message, name)
        )
        if values is None:
            return None
        inputs: dict[str, TensorType | None] = dict.fromkeys(block.inputs)
        if flow is not None:
            try:
                inputs.update(zip(block.inputs, by_argument(flow, block.inputs), strict=True))
            except RuleError as error:
                self.complain(spec, place, error.message, None)
                return None
        inner = Place(Substitution(values, inputs), (*place.blocks, spec.block), place.node)
        before = len(self.mistakes)
        graph = self.graph(block.graph, inputs, inner, "output")
        if "output" not in block.graph:
            self.report((*block.path, "graph"), f"block `{spec.block}` has no node `output`, at which it ends")
        if flow is None or "output" not in graph.nodes or len(self.mistakes) > before:
            return None
        first = next(iter(values.values()), None)
        label = spec.block if first is None else f"{spec.block} {in_short(first)}"
        steps.append(Composite(f"{len(steps)}_{spec.block}", spec.block, label, graph))
        end = graph.nodes["output"].chain
        return Flow(end.outputs, (None,) * len(end.outputs), end.names)
