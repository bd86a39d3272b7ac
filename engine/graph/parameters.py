"""The parameters of a layer: substituted, checked, made into a block or into the values of a block written in YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from engine.graph.registry import Block
from engine.graph.schema import definitions, fits, kinds, shown, value_schema, wrong
from engine.graph.substitute import Substitution
from engine.graph.types import RuleError
from engine.spec.layers import BARE
from engine.spec.sections.model import BlockParameter, BlockSpec
from engine.spec.suggest import hint

Report = Callable[[str, str | None], None]
"""Takes the end of a sentence that starts with the block's name, and the parameter that is to blame."""


def public_name(field: Field[Any]) -> str | None:
    """What a field is called in the spec; None for what the planner sets."""
    name: str | None = field.metadata.get("name", field.name)
    return name


def written(parameters: Mapping[str, Any], shorthand: str | None, report: Report) -> dict[str, Any]:
    """The parameters by name, a bare value under the name of what it stands for."""
    if BARE not in parameters:
        return dict(parameters)
    if shorthand is None:
        report(f"takes no value of its own, but {shown(parameters[BARE])} stands there; name its parameters", None)
        return {}
    return {shorthand: parameters[BARE]}


def make_block(
    kind: type[Block], parameters: Mapping[str, Any], substitution: Substitution, report: Report
) -> Block | None:
    """A primitive block from the parameters of a layer; None where there are mistakes, which are reported.

    Raises:
        UnknownTypeError: a size is asked for that is not known because of another mistake.
    """
    known = {name: field for field in fields(kind) if (name := public_name(field))}  # type: ignore[arg-type]
    properties = definitions().get(kind.name, {}).get("properties", {})
    arguments: dict[str, Any] = {}
    good = True

    def wrong_here(message: str, parameter: str | None) -> None:
        nonlocal good
        good = False
        report(message, parameter)

    for name, raw in written(parameters, kind.shorthand, wrong_here).items():
        if name not in known:
            wrong_here(f"has no parameter `{name}`{hint(name, known)}", name)
            continue
        arguments[known[name].name] = None
        value = checked(name, raw, properties.get(name, {}), substitution, wrong_here)
        arguments[known[name].name] = frozen(value)
    for name, field in known.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in arguments and good:
            wrong_here(f"needs `{name}`", None)
    return kind(**arguments) if good else None


def checked(name: str, raw: Any, schema: Mapping[str, Any], substitution: Substitution, report: Report) -> Any:
    """The value of one parameter, with everything put in."""
    rest = value_schema(schema)
    try:
        value = substitution.resolve(raw, text=kinds(rest) == ("string",))
    except RuleError as error:
        report(f"{error.message} (in `{name}`)", name)
        return None
    if problem := wrong(value, schema):
        report(f"has `{name}`, which {problem}", name)
        return None
    return as_integer(value) if "integer" in kinds(rest) else value


def as_integer(value: Any) -> Any:
    """16.0 as 16."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def frozen(value: Any) -> Any:
    """Lists as tuples, so that blocks can be compared."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def values_of(
    spec: BlockSpec, parameters: Mapping[str, Any], substitution: Substitution, report: Report
) -> dict[str, Any] | None:
    """What the `$names` inside of a block written in YAML stand for; None where there are mistakes, which are reported.

    Raises:
        UnknownTypeError: a size is asked for that is not known because of another mistake.
    """
    good = True

    def wrong_here(message: str, parameter: str | None) -> None:
        nonlocal good
        good = False
        report(message, parameter)

    given = written(parameters, next(iter(spec.parameters), None), wrong_here)
    values = {name: parameter.default for name, parameter in spec.parameters.items()}
    for name, raw in given.items():
        if name not in spec.parameters:
            advice = hint(name, spec.parameters) if spec.parameters else "; it has none"
            wrong_here(f"has no parameter `{name}`{advice}", name)
            continue
        try:
            values[name] = substitution.resolve(raw)
        except RuleError as error:
            wrong_here(f"{error.message} (in `{name}`)", name)
            continue
        if problem := unfit(values[name], spec.parameters[name]):
            wrong_here(f"has `{name}`, which {problem}", name)
    for name, parameter in spec.parameters.items():
        if parameter.required and name not in given and good:
            wrong_here(f"needs `{name}`", None)
    return values if good else None


def unfit(value: Any, parameter: BlockParameter) -> str | None:
    """What is wrong with the value of a parameter of a block written in YAML."""
    if value is None and not parameter.required and parameter.default is None:
        return None
    kind = {"list": "array"}.get(parameter.type, parameter.type)
    schema: dict[str, Any] = {"type": kind}
    if parameter.minimum is not None and fits(value, "number"):
        schema["minimum"] = parameter.minimum
    return wrong(value, schema)
