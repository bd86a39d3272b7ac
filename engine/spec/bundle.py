"""All schemas as one JSON Schema without references to other files, for editors and any other validator."""

from __future__ import annotations

from typing import Any

from engine.spec.schema import ROOT, Fragment, kinds, schemas

OWN_KEYWORDS = ("kinds", "shorthand")
"""Keywords of this program, which the bundle says in plain JSON Schema."""


def bundle_schema() -> Fragment:
    """The schema of a whole spec, with those of the sections in `$defs`."""
    root = _plain(schemas()[ROOT], ROOT)
    definitions = {_name(file): _plain(schema, file) for file, schema in schemas().items() if file != ROOT}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}


def _name(file: str) -> str:
    return file.removesuffix(".json")


def _plain(value: Any, file: str) -> Any:
    """A part of a schema file in plain JSON Schema, its references pointing into the bundle."""
    if isinstance(value, list):
        return [_plain(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    result = {
        key: _plain(item, file) for key, item in value.items() if key not in (*OWN_KEYWORDS, "$id", "$schema", "$ref")
    }
    if isinstance(value.get("$ref"), str):
        result["$ref"] = _pointer(value["$ref"], file)
    if isinstance(value.get("kinds"), str):
        result.pop("type", None)
        result["anyOf"] = _choices(value, file)
    return result


def _pointer(reference: str, file: str) -> str:
    target, _, pointer = reference.partition("#")
    target = target or file
    return f"#{pointer}" if target == ROOT else f"#/$defs/{_name(target)}{pointer}"


def _choices(fragment: Fragment, file: str) -> list[Fragment]:
    """What a `kinds` keyword allows: a name, or one name with settings; null where the type allows it."""
    reference = fragment["kinds"]
    names = list(kinds(reference))
    settings = {name: {"$ref": _pointer(f"{reference}/{name}", file)} for name in names}
    mapping = {
        "type": "object",
        "properties": settings,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return [{"enum": names}, mapping, *([{"type": "null"}] if "null" in fragment.get("type", ()) else [])]
