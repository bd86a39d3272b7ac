"""Which node comes after which: unknown sources, cycles, nodes that nothing uses. Names only, no shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.errors import Mistake
from engine.spec.sections.model import NodeSpec
from engine.spec.suggest import hint


def order_nodes(
    graph: Mapping[str, NodeSpec], inputs: Iterable[str], end: str | None = None
) -> tuple[list[str], list[Mistake]]:
    """The nodes in an order in which they can be computed, and every mistake in their names.

    Args:
        graph: the nodes.
        inputs: names of the inputs.
        end: the node at which the graph ends (`output` of a block), None where all nodes count.

    Returns:
        The nodes that are in no cycle, and the mistakes.
    """
    known = set(inputs)
    mistakes = [
        Mistake(graph[name].path, f"node `{name}` has the name of an input; give it another one")
        for name in graph
        if name in known
    ]
    for node in graph.values():
        for source in node.sources:
            name = source.name.partition(".")[0]
            if name not in known and name not in graph:
                advice = hint(name, [*known, *graph])
                mistakes.append(Mistake(source.path, f"there is no input or node `{name}`{advice}"))
    needs = {name: [source.name.partition(".")[0] for source in node.sources] for name, node in graph.items()}
    order, cycles = sort(needs, known)
    for cycle in cycles:
        way = " -> ".join([*cycle, cycle[0]])
        mistakes.append(Mistake((*graph[cycle[0]].path, "from"), f"nodes feed themselves in a circle: {way}"))
    if end is not None and end in graph and not cycles:
        mistakes += [
            Mistake(graph[name].path, f"node `{name}` is used by nothing; the block ends at `{end}`")
            for name in without_use(needs, end)
        ]
    return [name for name in order if name not in known], mistakes


def sort(needs: Mapping[str, list[str]], inputs: set[str]) -> tuple[list[str], list[list[str]]]:
    """Nodes after all that they need, and the cycles; a node of a cycle is left out of the order."""
    order: list[str] = []
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in needs:
        way: list[str] = []
        waiting = [(start, iter(needs[start]))] if start not in done else []
        if waiting:
            way.append(start)
        while waiting:
            name, rest = waiting[-1]
            following = next((each for each in rest if each in needs and each not in inputs and each not in done), None)
            if following is None:
                waiting.pop()
                way.pop()
                done.add(name)
                order.append(name)
            elif following in way:
                cycles.append(list(reversed(way[way.index(following) :])))
            else:
                way.append(following)
                waiting.append((following, iter(needs[following])))
    in_cycle = {name for cycle in cycles for name in cycle}
    return [name for name in order if name not in in_cycle], cycles


def without_use(needs: Mapping[str, list[str]], end: str) -> list[str]:
    """The nodes that `end` does not need."""
    used = {end}
    waiting = [end]
    while waiting:
        for name in needs[waiting.pop()]:
            if name in needs and name not in used:
                used.add(name)
                waiting.append(name)
    return [name for name in needs if name not in used]
