"""What schemas/blocks.json says of the parameters of a block: to check values that `$names` gave, and for the manual.

The spec's own validation has seen every value that is written out; what it could not see is what a substitution makes.
The few keywords that blocks.json uses are read here directly, since this runs for every layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from engine.spec.resources import folder

KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list, tuple),
    "object": (Mapping,),
}
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a word",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """The definition of each block, by its name."""
    text = (folder("schemas") / "blocks.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)["$defs"]
    return {name: definition for name, definition in found.items() if name != "substitution"}


def value_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a value must be once every substitution is made: the `else` of `if it is a substitution`."""
    rest = schema.get("else")
    return rest if isinstance(rest, Mapping) else schema


def kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON types that a schema allows; () where it says nothing."""
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a JSON type; a bool is no number."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def wrong(value: Any, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a value: the end of a sentence that starts with the parameter's name; None for nothing."""
    schema = value_schema(schema)
    if "enum" in schema and value not in schema["enum"]:
        return f"must be one of {', '.join(map(shown, schema['enum']))}, not {shown(value)}"
    allowed = kinds(schema)
    if allowed and not any(fits(value, kind) for kind in allowed):
        return f"must be {' or '.join(WORDS[kind] for kind in allowed)}, not {shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return wrong_number(value, schema)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return f"must be a name of letters, digits and underscores, not {shown(value)}"
    if isinstance(value, list | tuple):
        return wrong_list(value, schema)
    if isinstance(value, Mapping) and isinstance(schema.get("additionalProperties"), Mapping):
        for key, item in value.items():
            if problem := wrong(item, schema["additionalProperties"]):
                return f"has `{key}`, which {problem}"
    return None


def wrong_number(value: float, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a number."""
    if value != value or value in (float("inf"), -float("inf")):
        return f"must be finite, not {value}"
    limits = (
        ("minimum", value < schema.get("minimum", value), "at least"),
        ("maximum", value > schema.get("maximum", value), "at most"),
        ("exclusiveMinimum", value <= schema.get("exclusiveMinimum", value - 1), "above"),
        ("exclusiveMaximum", value >= schema.get("exclusiveMaximum", value + 1), "below"),
    )
    for keyword, broken, sense in limits:
        if broken and keyword in schema:
            return f"must be {sense} {schema[keyword]}, not {shown(value)}"
    return None


def wrong_list(value: list[Any] | tuple[Any, ...], schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a list."""
    if len(value) < schema.get("minItems", 0):
        return f"must have at least {schema['minItems']} entries, not {len(value)}"
    if len(value) > schema.get("maxItems", len(value)):
        return f"must have at most {schema['maxItems']} entries, not {len(value)}"
    for i, item in enumerate(value):
        if problem := wrong(item, schema.get("items", {})):
            return f"has entry {i + 1}, which {problem}"
    return None
