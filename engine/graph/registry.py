"""The table of primitive blocks. A block is one file in `blocks/` and a dataclass of its parameters.

A block says three things: its parameters (the fields, whose types and meaning stand in schemas/blocks.json), its rule
(what it makes of shapes and masks, in plain Python) and how its torch module is built. A test holds rule and module
equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from engine.graph.conventions import Conventions
from engine.graph.types import Outcome, TensorType

if TYPE_CHECKING:
    from torch import nn

Types = Sequence[TensorType]


class Block:
    """Base of the primitive blocks; subclasses are frozen dataclasses.

    Attributes:
        name: the word in the spec.
        shorthand: the parameter that a bare value stands for (`dropout: 0.2`), None for no such form.
        inputs: smallest and largest number of inputs; None for no upper limit.
        arguments: names of the inputs where the block tells them apart (`from: {query: a, keys: b}`).
        free_arguments: whether the inputs may have any names, which the block's parameters then use.
        merges: whether the block can use a row for each object (`{broadcast: jet}`).
        mask_rule: one sentence for the manual: what becomes of the mask.
    """

    name: ClassVar[str]
    shorthand: ClassVar[str | None] = None
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    arguments: ClassVar[tuple[str, ...]] = ()
    free_arguments: ClassVar[bool] = False
    merges: ClassVar[bool] = False
    mask_rule: ClassVar[str] = "Keeps the mask."

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        """Types and parameter counts of the outcome.

        Raises:
            RuleError: the inputs do not fit.
        """
        raise NotImplementedError

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        """The module: it takes and returns a list of (tensor, mask or None); `inputs` have passed the rule."""
        raise NotImplementedError

    def resolved(self, inputs: Types) -> Self:
        """The block with what it takes from its inputs where the spec leaves it out."""
        return self

    @property
    def describe(self) -> str:
        """A few letters for the table of layers: `dense 64, 32 relu`."""
        value = getattr(self, self.shorthand) if self.shorthand else None
        extra = getattr(self, "activation", None)
        return " ".join([self.name, *([in_short(value)] if value is not None else []), *([extra] if extra else [])])

    @property
    def has_logits(self) -> bool:
        """Whether the last thing the block does is a softmax or sigmoid, so that the value before it is of use."""
        return False


def in_short(value: Any) -> str:
    """A parameter's value in a table: lists without brackets."""
    if isinstance(value, tuple):
        return ", ".join(map(in_short, value))
    return str(value)


B = TypeVar("B", bound=type[Block])
BLOCKS: dict[str, type[Block]] = {}


def block(name: str) -> Callable[[B], B]:
    """Enter a block into the table under the word that specs use."""

    def enter(kind: B) -> B:
        if name in BLOCKS:
            message = f"two blocks are called {name!r}: {BLOCKS[name].__module__} and {kind.__module__}"
            raise ValueError(message)
        kind.name = name
        BLOCKS[name] = kind
        return kind

    return enter


def primitive_blocks() -> Mapping[str, type[Block]]:
    """All primitive blocks by name."""
    import engine.graph.blocks  # noqa: F401  the import fills the table

    return BLOCKS


CONTROL: tuple[str, ...] = ("parallel", "repeat", "share")
"""Blocks that hold layers of their own; the planner takes them apart and they never become a module."""
