"""Errors of JSON Schema in the user's words: one sentence each, with what is there and what is expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.keywords import SENTENCE
from engine.spec.nodes import describe
from engine.spec.schema import ROOT, lookup, schemas
from engine.spec.suggest import hint, nearest

Error = Any
"""`jsonschema.ValidationError`, whose attributes have no useful types."""

IDENTIFIER = "^[A-Za-z_][A-Za-z0-9_]*$"

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
    "null": "`null`",
}


def mistakes(error: Error) -> Iterator[Mistake]:
    """What the user is told about an error of the schema."""
    path: Path = tuple(error.absolute_path)
    if error.validator == SENTENCE:
        of_key, offset = error.validator_value
        yield Mistake(path, error.message, offset, of_key)
    elif error.validator == "anyOf":
        yield from _alternatives(error, path)
    elif error.validator == "required" and _is_mistyped(error):
        return
    else:
        tell = _SENTENCES.get(str(error.validator), _other)
        of_key = error.validator in ("additionalProperties", "propertyNames")
        yield Mistake(path, tell(error, path), of_key=of_key)


def _alternatives(error: Error, path: Path) -> Iterator[Mistake]:
    """The alternative that was meant, by the type of the value; all of them where that does not tell."""
    groups = groupby(error.context or [], key=lambda each: each.relative_schema_path[0])
    meant = [list(errors) for _, errors in groups]
    meant = [errors for errors in meant if not any(_is_of_other_type(each) for each in errors)]
    if len(meant) == 1:
        for each in meant[0]:
            yield from mistakes(each)
        return
    wanted = _either([_expected(schema) for schema in error.validator_value])
    yield Mistake(path, f"{name(path)} must be {wanted}, found {describe(error.instance)}{_width(error.instance)}")


def _is_of_other_type(error: Error) -> bool:
    return not error.relative_path and error.validator in ("type", "enum", "const")


def name(path: Path) -> str:
    """What a message calls the value at a path: its key, or the number of the item in its list."""
    if not path:
        return "the spec"
    if isinstance(path[-1], str):
        return f"`{path[-1]}`"
    return f"item {path[-1] + 1} of {name(path[:-1])}"


def _either(words: list[str]) -> str:
    """`a, b or c`; that a value may be `null` goes without saying."""
    unique = [word for word in dict.fromkeys(words) if word != "`null`"] or ["`null`"]
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"


def _expected(schema: Any) -> str:
    """What a schema asks for, in a few words."""
    if not isinstance(schema, dict):
        return "something else"
    if "enum" in schema:
        return _either([_value(each) for each in schema["enum"]])
    if "const" in schema:
        return _value(schema["const"])
    if "anyOf" in schema:
        return _either([_expected(each) for each in schema["anyOf"]])
    if "$ref" in schema:
        return _expected(lookup(schema["$ref"]))
    types = schema.get("type", "object")
    return _either([_TYPES[each] for each in ([types] if isinstance(types, str) else types)])


def _value(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else describe(value) if value is not None else "`null`"


def _type(error: Error, path: Path) -> str:
    wanted = error.validator_value
    message = f"{name(path)} must be {_either([_TYPES[each] for each in wanted])}, found {describe(error.instance)}"
    if isinstance(error.instance, float) and error.instance.is_integer() and "integer" in wanted:
        message += f"; write {int(error.instance)}"
    return message + _width(error.instance)


def _width(value: Any) -> str:
    """What to write where a size of the input was meant, which sounds as if it were called otherwise."""
    is_size = isinstance(value, str) and value.startswith("input.")
    return "; the number of features that come in is `input.channels`" if is_size else ""


def _enum(error: Error, path: Path) -> str:
    choices = error.validator_value
    message = f"{name(path)} must be {_either([_value(each) for each in choices])}, found {describe(error.instance)}"
    if isinstance(error.instance, str):
        near = nearest(error.instance, [each for each in choices if isinstance(each, str)])
        message += f"; did you mean `{near}`?" if near else ""
    return message


def _unknown_key(error: Error, path: Path) -> str:
    key, parent = str(path[-1]), path[:-1]
    message = f"unknown key `{key}` in {name(parent)}"
    if nearest(key, error.validator_value) is None:
        section = _section_with(key)
        if section and section != (parent[-1] if parent else ""):
            return f"{message}; it belongs into `{section}`"
        if not error.validator_value:
            return f"{message}, which takes none"
    return message + hint(key, error.validator_value)


def _section_with(key: str) -> str | None:
    """The section of the spec that has this key."""
    for section, reference in schemas()[ROOT]["properties"].items():
        if "$ref" in reference and key in lookup(reference["$ref"]).get("properties", {}):
            return str(section)
    return None


def _key_form(error: Error, path: Path) -> str:
    wanted = error.validator_value
    if wanted.get("not", {}).get("const") == error.instance:
        return f"`{error.instance}` cannot be used as a name here"
    if wanted.get("pattern") == IDENTIFIER:
        return f"`{error.instance}` cannot be a name: letters, digits and `_` alone, and no digit first"
    return f"`{error.instance}` cannot be a key of {name(path[:-1])}"


def _missing(error: Error) -> str:
    keys: list[str] = error.validator_value
    return next(key for key in keys if key not in error.instance and f"'{key}'" in error.message)


def _is_mistyped(error: Error) -> bool:
    """Whether the missing key is there under a similar, unknown name, about which there is a message already."""
    known = error.schema.get("properties", {})
    unknown = [key for key in error.instance if key not in known]
    return error.schema.get("additionalProperties") is False and _missing(error) in (nearest(k, known) for k in unknown)


def _required(error: Error, path: Path) -> str:
    missing = _missing(error)
    schema = error.schema if path else schemas()[ROOT]
    entry = schema.get("properties", {}).get(missing, {})
    meaning = entry.get("description") or (lookup(entry["$ref"]).get("description", "") if "$ref" in entry else "")
    first = meaning.split(". ")[0].rstrip(".").split(": ")[0]
    return f"{name(path)} needs the key `{missing}`" + (f" ({first[:1].lower()}{first[1:]})" if first else "")


def _limit(words: str) -> Callable[[Error, Path], str]:
    def tell(error: Error, path: Path) -> str:
        return f"{name(path)} must be {words} {error.validator_value}, found {error.instance}"

    return tell


def _count(words: str, unit: str) -> Callable[[Error, Path], str]:
    def tell(error: Error, path: Path) -> str:
        found = len(error.instance)
        many = "" if error.validator_value == 1 else "s"
        return f"{name(path)} must have {words} {error.validator_value} {unit}{many}, found {found}"

    return tell


def _unique(error: Error, path: Path) -> str:
    items = error.instance
    double = next(item for i, item in enumerate(items) if item in items[:i])
    return f"{name(path)} holds {describe(double)} twice"


def _pattern(error: Error, path: Path) -> str:
    if error.validator_value == IDENTIFIER:
        return f"`{error.instance}` cannot be a name: letters, digits and `_` alone, and no digit first"
    schema = error.schema if isinstance(error.schema, dict) else {}
    meaning = schema.get("description", "").rstrip(".")
    return f"{name(path)} cannot be {describe(error.instance)}: {meaning}"


def _one_key(error: Error, path: Path) -> str:
    keys = ", ".join(f"`{key}`" for key in list(error.instance)[:6])
    return f"{name(path)} must be a mapping of a single key, found {len(error.instance)}: {keys}"


def _not(error: Error, path: Path) -> str:
    keys = error.validator_value.get("required", []) if isinstance(error.validator_value, dict) else []
    if keys:
        others = ", ".join(f"`{key}`" for key in error.instance if key not in keys)
        return f"`{keys[0]}` cannot stand beside {others} in {name(path)}"
    return f"{name(path)} cannot be {describe(error.instance)}"


def _other(error: Error, path: Path) -> str:
    return f"{name(path)} cannot be {describe(error.instance)} ({error.validator})"


def _const(error: Error, path: Path) -> str:
    return f"{name(path)} must be {_value(error.validator_value)}, found {describe(error.instance)}"


_SENTENCES: dict[str, Callable[[Error, Path], str]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "additionalProperties": _unknown_key,
    "propertyNames": _key_form,
    "minimum": _limit("at least"),
    "maximum": _limit("at most"),
    "exclusiveMinimum": _limit("larger than"),
    "exclusiveMaximum": _limit("smaller than"),
    "minItems": _count("at least", "item"),
    "maxItems": _count("at most", "item"),
    "minLength": _count("at least", "letter"),
    "maxLength": _count("at most", "letter"),
    "minProperties": _count("at least", "key"),
    "maxProperties": _one_key,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "not": _not,
}
