"""All schemas as one JSON Schema without references to other files, for editors and any other validator."""

from __future__ import annotations

from typing import Any

from engine.spec.schema import ROOT, Fragment, kinds, schemas

LIBRARY = "library.json"
"""The schema of a file of blocks, which is no part of a spec."""

OWN_KEYWORDS = ("kinds", "shorthand")
"""Keywords of this program, which the bundle says in plain JSON Schema."""


def bundle_schema() -> Fragment:
    """The schema of a whole spec, with those of the sections in `$defs`."""
    root = _plain(schemas()[ROOT])
    definitions = {_name(file): _plain(schema) for file, schema in schemas().items() if file not in (ROOT, LIBRARY)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}


def _name(file: str) -> str:
    return file.removesuffix(".json")


def _plain(value: Any) -> Any:
    """A part of a schema file in plain JSON Schema, its references pointing into the bundle."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = (*OWN_KEYWORDS, "$id", "$schema", "$ref")
    result = {key: _plain(item) for key, item in value.items() if key not in left_out}
    if isinstance(value.get("$ref"), str):
        result["$ref"] = _pointer(value["$ref"])
    if isinstance(value.get("kinds"), str):
        result.pop("type", None)
        result["anyOf"] = _choices(value)
    return result


def _pointer(reference: str) -> str:
    file, _, pointer = reference.partition("#")
    return f"#{pointer}" if file == ROOT else f"#/$defs/{_name(file)}{pointer}"


def _choices(fragment: Fragment) -> list[Fragment]:
    """What a `kinds` keyword allows: a name, or one name with settings; null where the type allows it."""
    reference = fragment["kinds"]
    names = list(kinds(reference))
    mapping = {
        "type": "object",
        "properties": {name: {"$ref": _pointer(f"{reference}/{name}")} for name in names},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return [{"enum": names}, mapping, *([{"type": "null"}] if "null" in fragment.get("type", ()) else [])]
