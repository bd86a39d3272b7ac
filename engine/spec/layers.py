"""The forms in which layers may be written, read into typed values.

Nested layers (those of `repeat`, `parallel`, `share`) stay as written inside the parameters of their layer, since their
`$names` have no values yet; the planner of the graph reads them with the same functions when it takes the layer apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.spec.sections.model import LayerSpec

BARE = ""
"""The key of a bare value: `dropout: 0.2` is read as {BARE: 0.2}; the block knows which of its parameters is meant."""


class MalformedError(Exception):
    """Something that is neither a layer nor a source; carries its path and a sentence."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def read_layer(raw: Any, path: Path) -> LayerSpec:
    """A layer: a block's name, or a mapping of the name to its parameters or to a bare value.

    Raises:
        MalformedError: it is something else.
    """
    if isinstance(raw, str):
        return LayerSpec(raw, {}, path)
    if not isinstance(raw, Mapping) or len(raw) != 1:
        many = isinstance(raw, Mapping) and len(raw) > 1
        advice = (
            "put each block into a list item of its own" if many else "write a block's name, or `name: {parameters}`"
        )
        raise MalformedError(path, f"a layer is one block; {advice}")
    ((name, value),) = raw.items()
    if value is None:
        value = {}
    parameters = value if isinstance(value, Mapping) else {BARE: value}
    return LayerSpec(str(name), parameters, (*path, str(name)))


def read_layers(raw: Any, path: Path) -> tuple[LayerSpec, ...]:
    """A list of layers; one layer may stand without the list.

    Raises:
        MalformedError: one of them is not a layer.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        return (read_layer(raw, path),)
    return tuple(read_layer(layer, (*path, i)) for i, layer in enumerate(raw))
