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
    fragment, base = lookup(reference)
    return _complete(value, fragment, base)


def choice(value: Any, reference: str) -> tuple[str, dict[str, Any]]:
    """Name and completed settings of a value that is a name or a mapping of a name to settings."""
    name, options = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    return name, complete(options or {}, f"{reference}/{name}")


def _complete(value: Any, fragment: Fragment, base: str) -> Any:
    if "$ref" in fragment:
        target, base_of_target = lookup(fragment["$ref"], base)
        value = _complete(value, target, base_of_target)
    if isinstance(value, str) and str(fragment.get("format")).startswith("constant") and value != "fit":
        return constant(value)
    if isinstance(value, dict):
        return _mapping(value, fragment, base)
    if isinstance(value, list) and isinstance(fragment.get("items"), dict):
        return [_complete(item, fragment["items"], base) for item in value]
    return value


def _mapping(value: dict[str, Any], fragment: Fragment, base: str) -> dict[str, Any]:
    properties = fragment.get("properties", {})
    others = fragment.get("additionalProperties")
    result: dict[str, Any] = {}
    for key, item in value.items():
        inner = properties.get(key, others)
        result[key] = _complete(item, inner, base) if isinstance(inner, dict) else item
    for key, inner in properties.items():
        if key not in result:
            known, default = _default(inner, base)
            if known:
                result[key] = _complete(default, inner, base)
    return result


def _default(fragment: Fragment, base: str) -> tuple[bool, Any]:
    """Whether a schema (or the one it refers to) has a default, and a copy of it."""
    if "default" in fragment:
        return True, copy.deepcopy(fragment["default"])
    if "$ref" in fragment:
        target, base_of_target = lookup(fragment["$ref"], base)
        return _default(target, base_of_target)
    return False, None
