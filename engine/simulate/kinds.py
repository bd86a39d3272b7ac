"""The kinds of stand-in files that there are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import UsageError

Simulator = Callable[..., list[Path]]

KINDS = {
    "calratio": {"toy": "engine.simulate.calratio"},
    "ndive": {"toy": "engine.simulate.ndive_toy", "pythia": "engine.simulate.ndive_pythia"},
    "smartbkg": {"toy": "engine.simulate.smartbkg"},
}
"""Kind -> generator -> module, imported when it is asked for; the first generator is the default.

Each module has `simulate(directory, events, seed, workers, progress)`.
"""


def simulator(kind: str, generator: str | None = None) -> Simulator:
    """What writes the files of a kind: (directory, events, seed, workers, progress) -> paths.

    Args:
        kind: one of `KINDS`.
        generator: one that the kind has; the first without it.

    Raises:
        UsageError: there is no such kind, or it has no such generator.
    """
    if kind not in KINDS:
        message = f"there is no simulation {kind!r}; there are {', '.join(KINDS)}"
        raise UsageError(message)
    generators = KINDS[kind]
    name = generator or next(iter(generators))
    if name not in generators:
        message = f"the simulation {kind!r} has no generator {name!r}; it has {', '.join(generators)}"
        raise UsageError(message)
    module: Any = import_module(generators[name])
    function: Simulator = module.simulate
    return function
