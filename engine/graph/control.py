"""The parameters of the blocks that hold layers: `repeat`, `parallel`, `share`."""

from __future__ import annotations

from typing import Any

from engine.graph.parameters import Report, checked
from engine.graph.schema import definitions
from engine.graph.substitute import Substitution
from engine.spec.layers import BARE
from engine.spec.sections.model import LayerSpec
from engine.spec.suggest import hint

MOST_ROUNDS = 1000


def known_parameters(spec: LayerSpec, report: Report) -> bool:
    """Whether all parameters are those of the block; others are reported."""
    properties = definitions()[spec.block]["properties"]
    good = True
    for name in spec.parameters:
        if name not in properties and name != BARE:
            report(f"has no parameter `{name}`{hint(name, properties)}", name)
            good = False
    return good


def branch_values(spec: LayerSpec, substitution: Substitution, report: Report) -> list[dict[str, Any]] | None:
    """What the names of `for:` stand for in each round, or as many empty rounds as `times:` says.

    Returns:
        None where there are mistakes, which are reported.

    Raises:
        UnknownTypeError: a size is asked for that is not known because of another mistake.
    """
    if not known_parameters(spec, report):
        return None
    if BARE in spec.parameters or "layers" not in spec.parameters:
        report("needs `layers`, and `times` or `for`", None)
        return None
    times, lists = spec.parameters.get("times"), spec.parameters.get("for")
    if (times is None) == (lists is None):
        report("needs either `times: 3` or `for: {name: [values]}`", None)
        return None
    properties = definitions()[spec.block]["properties"]
    mistakes: list[str] = []

    def wrong_here(message: str, parameter: str | None) -> None:
        mistakes.append(message)
        report(message, parameter)

    if times is not None:
        count = checked("times", times, properties["times"], substitution, wrong_here)
        return None if mistakes else [{} for _ in range(count)]
    values = checked("for", lists, properties["for"], substitution, wrong_here)
    if mistakes:
        return None
    lengths = {name: len(each) for name, each in values.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        report(f"has lists of different lengths in `for` ({found})", "for")
        return None
    return [dict(zip(values, each, strict=True)) for each in zip(*values.values(), strict=True)]


def share_parts(spec: LayerSpec, substitution: Substitution, report: Report) -> tuple[str, Any] | None:
    """Name and layers (as written, None where left out) of a `share`; None where there are mistakes."""
    if not known_parameters(spec, report):
        return None
    raw_name = spec.parameters.get("name", spec.parameters.get(BARE))
    if raw_name is None:
        report("needs a `name`", None)
        return None
    mistakes: list[str] = []

    def wrong_here(message: str, parameter: str | None) -> None:
        mistakes.append(message)
        report(message, parameter)

    schema = definitions()["share"]["properties"]["name"]
    name = checked("name", raw_name, schema, substitution, wrong_here)
    return None if mistakes else (name, spec.parameters.get("layers"))
