"""Defaults of the schemas put into the values of a spec: the schemas are the one place where defaults stand."""

from __future__ import annotations

import copy
from typing import Any

from engine.spec.constants import constant
from engine.spec.schema import Fragment, lookup


def complete(value: Any, reference: str) -> Any:
    """A copy of a valid value with all defaults filled in, and numbers written as expressions computed.

    Args:
        value: plain values that the schema finds right.
        reference: the schema, such as `data.json` or `losses.json#/$defs/huber`.
    """
    return _complete(value, lookup(reference))


def choice(value: Any, reference: str) -> tuple[str, dict[str, Any]]:
    """Name and completed settings of a value that is a name or a mapping of a name to settings."""
    name, options = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    return name, complete(options or {}, f"{reference}/{name}")


def _complete(value: Any, fragment: Fragment) -> Any:
    if "$ref" in fragment:
        value = _complete(value, lookup(fragment["$ref"]))
    if isinstance(value, str) and str(fragment.get("format")).startswith("constant") and value != "fit":
        return constant(value)
    if isinstance(value, dict):
        return _mapping(value, fragment)
    if isinstance(value, list) and isinstance(fragment.get("items"), dict):
        return [_complete(item, fragment["items"]) for item in value]
    return value


def _mapping(value: dict[str, Any], fragment: Fragment) -> dict[str, Any]:
    properties = fragment.get("properties", {})
    others = fragment.get("additionalProperties")
    result: dict[str, Any] = {}
    for key, item in value.items():
        inner = properties.get(key, others)
        result[key] = _complete(item, inner) if isinstance(inner, dict) else item
    for key, inner in properties.items():
        if key not in result:
            known, default = _default(inner)
            if known:
                result[key] = _complete(default, inner)
    return result


def _default(fragment: Fragment) -> tuple[bool, Any]:
    """Whether a schema (or the one it refers to) has a default, and a copy of it."""
    if "default" in fragment:
        return True, copy.deepcopy(fragment["default"])
    return _default(lookup(fragment["$ref"])) if "$ref" in fragment else (False, None)
