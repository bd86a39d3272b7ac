"""From the declared model to a plan: the network with all sizes known, or every mistake in it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import Mistake
from engine.graph.conventions import CONVENTIONS
from engine.graph.flows import Place
from engine.graph.order import order_nodes
from engine.graph.planned import NodeRow, Plan
from engine.graph.planner import MOST_STEPS, Planner, TooLargeError
from engine.graph.registry import CONTROL, primitive_blocks
from engine.graph.substitute import Substitution
from engine.graph.types import PlanError, TensorType
from engine.spec.sections.data import DataSpec
from engine.spec.sections.model import ModelSpec

__all__ = ["NodeRow", "Plan", "PlanError", "input_types", "plan_network", "unused"]

RESERVED = ("shared",)
"""Names that the state of a network uses itself."""
MOST_PARAMETERS = 10**11


def input_types(data: DataSpec) -> dict[str, TensorType]:
    """The types of the inputs that the data section declares: objects have a mask, the row itself has none."""
    types = {}
    for name, spec in data.inputs.items():
        names = tuple(feature.name for feature in spec.features.values() for _ in range(len(feature.one_hot or (1,))))
        shape = (spec.width,) if spec.keep is None else (spec.keep, spec.width)
        codes = spec.vocabulary.size if spec.vocabulary is not None else None
        types[name] = TensorType(shape, masked=spec.keep is not None, names=names, vocabulary=codes)
    return types


def plan_network(model: ModelSpec, inputs: Mapping[str, TensorType | None], conventions: str) -> Plan:
    """Infer every size of a network and count its parameters.

    Args:
        model: the checked `model:` section with the blocks written in YAML.
        inputs: types of the inputs of the network; None where one is not known because of mistakes in it.
        conventions: "keras" or "torch": what the spec does not say.

    Raises:
        PlanError: every mistake in the graph.
    """
    planner = Planner(model.blocks, CONVENTIONS[conventions])
    for name, node in model.graph.items():
        if name in RESERVED:
            planner.report(node.path, f"`{name}` is a name that the network uses itself; call the node something else")
    check_names(planner, model)
    try:
        graph = planner.graph(model.graph, dict(inputs), Place(Substitution({}, {})))
    except (TooLargeError, RecursionError):
        message = f"the network has more than {MOST_STEPS} layers after all repetitions"
        raise PlanError([*planner.mistakes, Mistake(model.path, message)]) from None
    for name, planned in graph.nodes.items():
        if sum(planned.counts) > MOST_PARAMETERS:
            count = sum(planned.counts)
            planner.report(model.graph[name].path, f"node `{name}` has {count:.3g} parameters, more than fit anywhere")
    if planner.mistakes:
        raise PlanError(planner.mistakes)
    known = {name: each for name, each in inputs.items() if each is not None}
    return Plan(known, graph, CONVENTIONS[conventions])


def unused(plan: Plan, used: Sequence[str]) -> tuple[str, ...]:
    """The nodes that nothing needs.

    Args:
        plan: the network.
        used: nodes or outputs that losses, metrics and exports name.
    """
    return plan.unused(used)


def check_names(planner: Planner, model: ModelSpec) -> None:
    """Report blocks written in YAML that hide a primitive, and wrong names in them even where nothing uses them."""
    primitives = primitive_blocks()
    for name, block in model.blocks.items():
        if name in primitives or name in CONTROL:
            planner.report(block.path, f"`{name}` is a block already; give yours another name")
        _, mistakes = order_nodes(block.graph, block.inputs, "output")
        planner.mistakes += mistakes
