"""The kinds of stand-in files that there are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import UsageError

Simulator = Callable[..., list[Path]]

KINDS = {"calratio": "engine.simulate.calratio", "jets": "engine.simulate.jets"}
"""Kind -> module, imported when it is asked for; each has `simulate(directory, events, seed, workers, progress)`."""


def simulator(kind: str) -> Simulator:
    """What writes the files of a kind: (directory, events, seed, workers, progress) -> paths.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in KINDS:
        message = f"there is no simulation {kind!r}; there are {', '.join(KINDS)}"
        raise UsageError(message)
    module: Any = import_module(KINDS[kind])
    function: Simulator = module.simulate
    return function
