"""How names of a layout hang together: selections and the collections behind them, slots of wide tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.spec.sections import LayoutSpec

SLOT = "{i}"
"""What stands for the number of the slot in the branch names of a wide table."""

PAIR = ("left", "right")
"""What the two objects of a pair are called in expressions: `left.pt`."""


def base_of(layout: LayoutSpec, name: str) -> str | None:
    """The collection that a collection or (nested) selection takes its objects from; None if there is none."""
    seen: set[str] = set()
    while name in layout.selections and name not in layout.collections and name not in seen:
        seen.add(name)
        name = layout.selections[name].of
    return name if name in layout.collections else None


def base_or_name(layout: LayoutSpec, name: str) -> str:
    """The same, or the name itself, which nobody will find, where there is none."""
    return base_of(layout, name) or name
