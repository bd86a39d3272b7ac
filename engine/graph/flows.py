"""What flows from layer to layer while a graph is planned, and which input of a block each value is meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph.registry import Block, primitive_blocks
from engine.graph.substitute import Substitution
from engine.graph.types import RuleError, TensorType, plural
from engine.spec.suggest import hint


@dataclass(frozen=True)
class Flow:
    """What comes into a layer: types, and the names of the block's inputs that they are meant for."""

    types: tuple[TensorType, ...]
    arguments: tuple[str | None, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where we are: what `$names` stand for, the blocks written in YAML around us, the node of the network."""

    substitution: Substitution
    blocks: tuple[str, ...] = ()
    node: str = ""

    @property
    def suffix(self) -> str:
        """The end of a message from inside of a block written in YAML."""
        return f" (inside `{self.blocks[-1]}` as node `{self.node}` uses it)" if self.blocks else ""


def inputs_of(block: Block, flow: Flow) -> tuple[TensorType, ...]:
    """What comes in, in the order of the block's inputs.

    Raises:
        RuleError: too few or too many inputs, or names that the block does not know.
    """
    types = flow.types
    if any(argument is not None for argument in flow.arguments) and not block.free_arguments:
        if not block.arguments:
            raise RuleError("does not tell its inputs apart; write `from:` as a list")
        types = by_argument(flow, block.arguments, optional=len(block.arguments) - block.inputs[0])
    least, most = block.inputs
    if len(types) < least or (most is not None and len(types) > most):
        wanted = plural(least, "input") if most == least else f"at least {plural(least, 'input')}"
        if most is not None and most != least:
            wanted = f"{least} to {most} inputs"
        advice = "; put `concat`, `add` or `multiply` in front of it" if most == 1 else ""
        raise RuleError(f"takes {'no input' if most == 0 else wanted}, but gets {len(types)}{advice}")
    if not block.merges and any(value.broadcast for value in types):
        merging = ", ".join(f"`{name}`" for name, kind in sorted(primitive_blocks().items()) if kind.merges)
        raise RuleError(f"cannot use a row for each object; put one of {merging} in front of it")
    return types


def by_argument(flow: Flow, names: Sequence[str], optional: int = 0) -> tuple[TensorType, ...]:
    """What comes in, in the order of a block's input names; the last `optional` ones may be missing.

    Raises:
        RuleError: names that the block does not know, or too few or too many inputs.
    """
    if all(argument is None for argument in flow.arguments):
        if not len(names) - optional <= len(flow.types) <= len(names):
            raise RuleError(f"takes {plural(len(names), 'input')} ({', '.join(names)}), but gets {len(flow.types)}")
        return flow.types
    given = dict(zip(flow.arguments, flow.types, strict=True))
    for argument in given:
        if argument not in names:
            raise RuleError(f"has no input `{argument}`{hint(str(argument), names)}")
    present = [name for name in names if name in given]
    if present != list(names[: len(present)]) or len(present) < len(names) - optional:
        missing = next(name for name in names if name not in given)
        raise RuleError(f"needs an input `{missing}`: write `from: {{{missing}: ...}}`")
    if list(given) != present:
        raise RuleError(f"takes its inputs in the order {', '.join(present)}; write them like that")
    return flow.types
