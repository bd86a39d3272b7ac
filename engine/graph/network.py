"""A plan as a torch module: computes only what is asked for, and knows which parameters belong to which node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from engine.graph.initialise import initialise
from engine.graph.modules.activations import FUNCTIONS
from engine.graph.modules.pair_layers import merged
from engine.graph.modules.values import Value
from engine.graph.packing import Carrier, Item, Items, Known, needs_padding, pack, run, unpack
from engine.graph.planned import Branches, Chain, Composite, Plan, PlannedGraph, PlannedNode, Primitive, Step

if TYPE_CHECKING:
    from engine.graph.conventions import Conventions

SHARED = "shared"


class Builder:
    """Makes modules of steps; keeps the layers with shared weights, which several places use.

    Attributes:
        shared: layers with shared weights.
        needs_padding: whether any of the layers does.
    """

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.shared: dict[str, nn.Module] = {}
        self.needs_padding = False

    def step(self, step: Step) -> nn.Module:
        """The module of a step."""
        if isinstance(step, Primitive):
            self.needs_padding |= needs_padding(step)
            return step.block.build(step.inputs, self.conventions)
        if isinstance(step, Branches):
            return BranchesModule([ChainModule(chain, self) for chain in step.chains])
        if isinstance(step, Composite):
            return CompositeModule(step.graph, self)
        if step.name not in self.shared:
            self.shared[step.name] = ChainModule(step.chain, self)
        return Borrowed(self.shared[step.name])


def adopt(parent: nn.Module, name: str, child: nn.Module) -> nn.Module:
    """Add a child under any name: torch refuses those of its own methods, but a node may well be called `train`."""
    parent._modules[name] = child
    return child


class ChainModule(Carrier):
    """Steps one after the other."""

    def __init__(self, chain: Chain, builder: Builder) -> None:
        super().__init__()
        self.steps = merged([adopt(self, step.key, builder.step(step)) for step in chain.steps])

    def forward(self, items: Items) -> Items:
        for step in self.steps:
            items = run(step, items)
        return items


class BranchesModule(Carrier):
    """Chains side by side on the same input."""

    def __init__(self, chains: Iterable[nn.Module]) -> None:
        super().__init__()
        self.chains = tuple(adopt(self, str(i), chain) for i, chain in enumerate(chains))

    def forward(self, items: Items) -> Items:
        return [item for chain in self.chains for item in chain(items)]


class Borrowed(Carrier):
    """Layers whose weights live elsewhere: called here, but no child, so that the state has them once."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.lent = (module,)

    def forward(self, items: Items) -> Items:
        result: Items = self.lent[0](items)
        return result


class NodeModule(Carrier):
    """A node: what its sources go through, and its layers."""

    def __init__(self, node: PlannedNode, builder: Builder) -> None:
        super().__init__()
        self.references = tuple(source.reference for source in node.sources)
        self.before = tuple(
            adopt(self, f"source_{i}", ChainModule(source.chain, builder)) if source.chain.steps else None
            for i, source in enumerate(node.sources)
        )
        self.steps = merged([adopt(self, step.key, builder.step(step)) for step in node.chain.steps])
        self.outputs = tuple(f"{node.name}.{output}" for output in node.chain.names) or (node.name,)
        self.logits = f"{node.name}.logits" if node.chain.has_logits else None

    def forward(self, known: Known, anchor: Item) -> Known:
        """The values that the node offers, by name.

        Args:
            known: what is computed already.
            anchor: any input; tells how many rows there are to a node that has no source.
        """
        items: Items = [anchor] if not self.references else []
        for reference, before in zip(self.references, self.before, strict=True):
            items += [known[reference]] if before is None else before([known[reference]])
        for step in self.steps[: len(self.steps) - (self.logits is not None)]:
            items = run(step, items)
        if self.logits is None:
            return dict(zip(self.outputs, items, strict=True))
        before_last = run(self.steps[-1], items, "body")
        return {self.outputs[0]: run(self.steps[-1], before_last, "finish")[0], self.logits: before_last[0]}


class NodeGraph(Carrier):
    """Nodes that are computed in order, as far as they are needed."""

    def __init__(self, graph: PlannedGraph, builder: Builder) -> None:
        super().__init__()
        self.graph = graph
        self.nodes = {name: adopt(self, name, NodeModule(node, builder)) for name, node in graph.nodes.items()}
        self.orders: dict[tuple[str, ...], tuple[str, ...]] = {}

    def all_values(self, known: Known, outputs: Sequence[str]) -> Known:
        """All values that the outputs need, themselves among them.

        Args:
            known: the inputs.
            outputs: names of nodes or of their outputs.
        """
        wanted = tuple(outputs)
        if wanted not in self.orders:
            self.orders[wanted] = self.graph.needed(wanted)
        known = dict(known)
        anchor = next(iter(known.values()))
        for name in self.orders[wanted]:
            known.update(self.nodes[name](known, anchor))
        return known


class CompositeModule(NodeGraph):
    """A block written in YAML."""

    def __init__(self, graph: PlannedGraph, builder: Builder) -> None:
        super().__init__(graph, builder)
        names = graph.nodes["output"].chain.names
        self.results = tuple(f"output.{name}" for name in names) or ("output",)

    def forward(self, items: Items) -> Items:
        known = self.all_values(dict(zip(self.graph.inputs, items, strict=True)), ("output",))
        return [known[name] for name in self.results]


class Network(NodeGraph):
    """The whole network.

    The state has a key `<node>.<layer index>_<block>.<tensor>` for each tensor, `shared.<name>...` for shared weights.

    Args:
        plan: with all sizes.

    Attributes:
        finish: a function (`sigmoid`) for each output whose values leave the network through one that the layers lack;
            other nodes get the values without it.
    """

    def __init__(self, plan: Plan) -> None:
        builder = Builder(plan.conventions)
        super().__init__(plan.graph, builder)
        self.plan = plan
        self.finish: Mapping[str, str] = {}
        self.needs_padding = builder.needs_padding
        if builder.shared:
            shared = adopt(self, SHARED, nn.Module())
            for name, module in builder.shared.items():
                adopt(shared, name, module)

    def forward(
        self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor], outputs: Sequence[str]
    ) -> dict[str, Tensor]:
        """The values of the named outputs.

        Args:
            inputs: (B, objects, features) or (B, features) float32 for each input that the outputs need.
            masks: (B, objects) bool, true for real objects, for each of them that has objects.
            outputs: nodes, `node.output` or `node.logits`.
        """
        known = self.compute({name: (tensor, masks.get(name)) for name, tensor in inputs.items()}, outputs)
        return {name: known[name][0] for name in outputs}

    def compute(self, values: Mapping[str, Value], outputs: Sequence[str]) -> dict[str, Value]:
        """The named outputs with their masks; arguments as of `forward`, each input with its mask.

        What stands in the padding of outputs has no meaning: in training it may be 0.
        """
        known: Known = pack(values) if self.training and not self.needs_padding else dict(values)
        found = unpack(self.all_values(known, outputs), outputs)
        for name, function in self.finish.items():
            if name in found:
                found[name] = FUNCTIONS[function](found[name][0]), found[name][1]
        return found

    def parameters_of(self, nodes: Iterable[str]) -> list[nn.Parameter]:
        """The parameters of some nodes, shared weights that they use among them."""
        found = {id(each): each for module in self.modules_of(nodes) for each in module.parameters(recurse=False)}
        return list(found.values())

    def modules_of(self, nodes: Iterable[str]) -> list[nn.Module]:
        """Every module of some nodes, at any depth, those with shared weights among them."""
        found = {id(each): each for name in nodes for each in within(self.nodes[name])}
        return list(found.values())

    @property
    def summary(self) -> str:
        """A line for each node: its layers, what comes out, its parameters."""
        return "\n".join(
            f"{row.name}: {row.layers} -> {row.output}, {row.trainable:,} trainable, {row.fixed:,} fixed"
            for row in self.plan.table
        )


def within(module: nn.Module) -> Iterator[nn.Module]:
    """A module and all in it, borrowed ones too."""
    for each in module.modules():
        yield each
        if isinstance(each, Borrowed):
            yield from within(each.lent[0])


def build_network(plan: Plan, seed: int) -> Network:
    """The network of a plan, with its parameters at their start.

    Args:
        plan: with all sizes.
        seed: each parameter depends on this and on its own name.
    """
    network = Network(plan)
    initialise(network, seed)
    return network
