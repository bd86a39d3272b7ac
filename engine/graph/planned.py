"""A network with all sizes known: nodes, the chains of steps they consist of, types and parameter counts. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from engine.graph.conventions import Conventions
from engine.graph.registry import Block
from engine.graph.types import Outcome, TensorType


@dataclass(frozen=True)
class Primitive:
    """A primitive block at its place.

    Attributes:
        key: its name in the state of the network, `1_dense`.
        block: with all parameters.
        inputs: what comes in.
        outcome: what goes out, and the parameters of its own.
    """

    key: str
    block: Block
    inputs: tuple[TensorType, ...]
    outcome: Outcome

    @property
    def short(self) -> str:
        return self.block.describe

    @property
    def counts(self) -> tuple[int, int]:
        return self.outcome.trainable, self.outcome.fixed


@dataclass(frozen=True)
class Branches:
    """Chains side by side on the same input (`parallel`)."""

    key: str
    chains: tuple[Chain, ...]

    @property
    def short(self) -> str:
        return f"{len(self.chains)} branches [{self.chains[0].short}]"

    @property
    def counts(self) -> tuple[int, int]:
        return add_counts([chain.counts for chain in self.chains])


@dataclass(frozen=True)
class Composite:
    """A block written in YAML: a graph of its own that ends at its node `output`."""

    key: str
    name: str
    label: str
    graph: PlannedGraph

    @property
    def short(self) -> str:
        return self.label

    @property
    def counts(self) -> tuple[int, int]:
        return self.graph.counts


@dataclass(frozen=True)
class Shared:
    """Layers whose weights are used in several places; `owner` is the first, which counts them."""

    key: str
    name: str
    owner: bool
    chain: Chain

    @property
    def short(self) -> str:
        return f"{self.chain.short} (shared: {self.name})"

    @property
    def counts(self) -> tuple[int, int]:
        return self.chain.counts if self.owner else (0, 0)


Step = Primitive | Branches | Composite | Shared


@dataclass(frozen=True)
class Chain:
    """Steps one after the other.

    Attributes:
        steps: the steps.
        outputs: types of what comes out.
        names: names of the outputs where they have any.
    """

    steps: tuple[Step, ...]
    outputs: tuple[TensorType, ...]
    names: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int, int]:
        """Trainable and fixed numbers."""
        return add_counts([step.counts for step in self.steps])

    @property
    def short(self) -> str:
        """The layers in a few words; the same several times in a row once."""
        parts = []
        for short, same in groupby(step.short for step in self.steps):
            times = len(list(same))
            parts.append(short if times == 1 else f"{times} x {short}")
        return "; ".join(parts)

    @property
    def has_logits(self) -> bool:
        """Whether the last step can give the value before its softmax or sigmoid."""
        return bool(self.steps) and isinstance(self.steps[-1], Primitive) and self.steps[-1].block.has_logits


@dataclass(frozen=True)
class PlannedSource:
    """Where an input of a node comes from: a value (`tracks`, `vertex.position`) and what it goes through first."""

    reference: str
    chain: Chain


@dataclass(frozen=True)
class PlannedNode:
    """A node with all sizes known."""

    name: str
    sources: tuple[PlannedSource, ...]
    chain: Chain

    @property
    def type(self) -> TensorType:
        """The type of the node's (first) output."""
        return self.chain.outputs[0]

    @property
    def types(self) -> Mapping[str, TensorType]:
        """All values that the node offers: `node`, or `node.output` where the outputs have names, and `node.logits`."""
        if self.chain.names:
            names = (f"{self.name}.{output}" for output in self.chain.names)
            return dict(zip(names, self.chain.outputs, strict=True))
        logits = {f"{self.name}.logits": self.type} if self.chain.has_logits else {}
        return {self.name: self.type, **logits}

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes and inputs that it needs directly."""
        return tuple(dict.fromkeys(source.reference.partition(".")[0] for source in self.sources))

    @property
    def counts(self) -> tuple[int, int]:
        """Trainable and fixed numbers."""
        return add_counts([*(source.chain.counts for source in self.sources), self.chain.counts])

    @property
    def trainable(self) -> int:
        """Number of parameters that training moves."""
        return self.counts[0]

    @property
    def fixed(self) -> int:
        """Number of other values of the state."""
        return self.counts[1]

    @property
    def layers(self) -> str:
        """The layers in a few words."""
        return self.chain.short


@dataclass(frozen=True)
class PlannedGraph:
    """Nodes in an order in which they can be computed, and the names of the inputs."""

    inputs: tuple[str, ...]
    nodes: Mapping[str, PlannedNode]

    @property
    def counts(self) -> tuple[int, int]:
        """Trainable and fixed numbers."""
        return add_counts([node.counts for node in self.nodes.values()])

    def needed(self, names: Sequence[str]) -> tuple[str, ...]:
        """The nodes that the named nodes or outputs need, themselves among them, in the order of computation."""
        wanted = {name.partition(".")[0] for name in names}
        for name in reversed(list(self.nodes)):
            if name in wanted:
                wanted.update(self.nodes[name].needs)
        return tuple(name for name in self.nodes if name in wanted)


@dataclass(frozen=True)
class NodeRow:
    """A line of the table of nodes that `engine validate` prints."""

    name: str
    sources: str
    layers: str
    output: str
    trainable: int
    fixed: int


@dataclass(frozen=True)
class Plan:
    """The whole network.

    Attributes:
        inputs: types of its inputs.
        graph: its nodes.
        conventions: what the spec does not say.
    """

    inputs: Mapping[str, TensorType]
    graph: PlannedGraph
    conventions: Conventions

    @property
    def nodes(self) -> Mapping[str, PlannedNode]:
        """The nodes, in an order in which they can be computed."""
        return self.graph.nodes

    @property
    def outputs(self) -> dict[str, TensorType]:
        """Everything that can be asked for, with its type: `node`, `node.output`, `node.logits`."""
        return {name: value for node in self.nodes.values() for name, value in node.types.items()}

    def offers(self, name: str) -> bool:
        """Whether the network has an output of this name."""
        return name in self.outputs

    def inputs_needed(self, names: Sequence[str]) -> tuple[str, ...]:
        """The inputs of the network that some outputs need."""
        needed = {need for node in self.graph.needed(names) for need in self.nodes[node].needs}
        return tuple(name for name in self.inputs if name in needed)

    def unused(self, used: Sequence[str]) -> tuple[str, ...]:
        """The nodes that none of the used nodes or outputs needs."""
        needed = set(self.graph.needed(used))
        return tuple(name for name in self.nodes if name not in needed)

    @property
    def counts(self) -> tuple[int, int]:
        """Trainable and fixed numbers of the whole network."""
        return self.graph.counts

    @property
    def table(self) -> list[NodeRow]:
        """A line for each node."""
        return [
            NodeRow(
                name=node.name,
                sources=", ".join(source.reference for source in node.sources),
                layers=node.layers,
                output=", ".join(str(value) for value in node.chain.outputs),
                trainable=node.trainable,
                fixed=node.fixed,
            )
            for node in self.nodes.values()
        ]


def add_counts(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Sums of trainable and fixed numbers."""
    return sum(count[0] for count in counts), sum(count[1] for count in counts)
