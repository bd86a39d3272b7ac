"""What the schemas of this program say beyond JSON Schema, and where they are read more strictly.

    kinds       the value is a name, or a mapping of one name to settings, and the name picks the schema of the settings
                from the table that the keyword refers to. In place of `oneOf`, whose messages speak of all choices.
    shorthand   a bare value in place of a mapping stands for this key of it (`dropout: 0.2`).
    format      `expression`: the text must parse; `constant`: it must parse and hold numbers alone; `fit`: the word.

Whole numbers are never written `512.0`, and a number is finite unless the format is `constant`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from engine.spec.constants import constant
from engine.spec.expressions import ExpressionError, parse
from engine.spec.nodes import describe
from engine.spec.schema import kinds
from engine.spec.suggest import hint

SENTENCE = "sentence"
"""Marks an error whose message is already what the user is told."""

Errors = Iterator[ValidationError]

_LIMITS: dict[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}


def sentence(message: str, path: tuple[str | int, ...] = (), of_key: bool = False, offset: int = 0) -> ValidationError:
    """An error whose message is what the user is told; `offset` letters into the value, or at the value's key."""
    return ValidationError(message, validator=SENTENCE, path=path, validator_value=(of_key, offset))


def _type(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(instance, float) and "number" in names and str(schema.get("format")).startswith("constant"):
        return
    if not any(validator.is_type(instance, name) for name in names):
        yield ValidationError("", validator="type", validator_value=names)


def _kinds(validator: Any, reference: str, instance: Any, schema: Any) -> Errors:
    what = schema.get("title", "kind").lower()
    if isinstance(instance, str):
        name, path = instance, None
        options: Any = {}
    elif isinstance(instance, dict) and len(instance) == 1:
        name, options = next(iter(instance.items()))
        path = name
    elif isinstance(instance, dict):
        found = ", ".join(f"`{key}`" for key in instance) or "none"
        yield sentence(f"one {what} is expected here, found {len(instance)}: {found}", of_key=True)
        return
    else:
        return
    known = kinds(reference)
    if name not in known:
        yield sentence(f"there is no {what} `{name}`{hint(name, known)}", (path,) if path else (), of_key=bool(path))
        return
    value = {} if options is None else options
    yield from validator.descend(value, {"$ref": f"{reference}/{name}"}, path=path)


def _shorthand(validator: Any, key: str, instance: Any, schema: Any) -> Errors:
    """A bare value is checked as the value of the key; errors of its type are those of `type`."""
    if instance is None or isinstance(instance, dict) or next(_type(validator, schema["type"], instance, schema), None):
        return
    for error in validator.descend({key: instance}, schema):
        if error.relative_path and error.relative_path[0] == key:
            error.relative_path.popleft()
            error.path = error.relative_path
        yield error


def _property_names(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    if isinstance(instance, dict):
        for key in instance:
            if next(validator.descend(key, wanted), None) is not None:
                yield ValidationError("", validator="propertyNames", validator_value=wanted, instance=key, path=(key,))


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Errors:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    for key, value in instance.items():
        if key in known:
            continue
        if allowed is False:
            yield ValidationError("", validator="additionalProperties", validator_value=known, path=(key,))
        elif isinstance(allowed, dict):
            yield from validator.descend(value, allowed, path=key)


def _format(validator: Any, name: str, instance: Any, schema: Any) -> Errors:
    if not isinstance(instance, str):
        return
    if name in ("fit", "constant-or-fit") and instance == "fit":
        return
    if name == "fit":
        yield sentence(
            f"two limits or the word `fit` are expected, found {describe(instance)}{hint(instance, ['fit'])}"
        )
        return
    try:
        value = constant(instance) if name.startswith("constant") else parse(instance)
    except ExpressionError as error:
        yield sentence(f"in the expression `{_short(instance)}`: {error.message}", offset=error.offset)
        return
    if name.startswith("constant"):
        yield from _limits(validator, value, schema)


def _limits(validator: Any, value: Any, schema: Any) -> Errors:
    """The limits of a number that is written as an expression."""
    if isinstance(value, float) and math.isnan(value):
        yield sentence("this is not a number: its value is NaN")
        return
    for name, fits in _LIMITS.items():
        if name in schema and not fits(value, schema[name]):
            yield ValidationError("", validator=name, validator_value=schema[name], instance=value)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _is_whole(checker: Any, instance: Any) -> bool:
    return isinstance(instance, int) and not isinstance(instance, bool)


def _is_number(checker: Any, instance: Any) -> bool:
    return _is_whole(checker, instance) or (isinstance(instance, float) and math.isfinite(instance))


SpecValidator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={
        "type": _type,
        "kinds": _kinds,
        "shorthand": _shorthand,
        "propertyNames": _property_names,
        "additionalProperties": _additional_properties,
        "format": _format,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole).redefine("number", _is_number),
)
