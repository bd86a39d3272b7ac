"""The JSON Schemas of the spec: where they are, what they say about a value, every error as a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.resources import folder

ROOT = "experiment.json"
REFERENCES = ("$ref", "kinds")
"""Keywords whose value names a part of a schema."""

Fragment = dict[str, Any]


@cache
def schemas() -> dict[str, Fragment]:
    """All schema files by name, each reference in them with the file that it means."""
    files = sorted(folder("schemas").glob("*.json"))
    return {path.name: _absolute(json.loads(path.read_text(encoding="utf-8")), path.name) for path in files}


def _absolute(value: Any, file: str) -> Any:
    """The value with references such as `#/$defs/rows` made `data.json#/$defs/rows`."""
    if isinstance(value, list):
        return [_absolute(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    whole = {key: _absolute(item, file) for key, item in value.items()}
    for key in REFERENCES:
        if isinstance(value.get(key), str) and value[key].startswith("#"):
            whole[key] = file + value[key]
    return whole


def lookup(reference: str) -> Fragment:
    """The part of a schema that a reference such as `blocks.json#/$defs/dense` names."""
    file, _, pointer = reference.partition("#")
    fragment: Fragment = schemas()[file]
    for step in pointer.split("/"):
        fragment = fragment[step] if step else fragment
    return fragment


def kinds(reference: str) -> Fragment:
    """The table of kinds (losses, optimizers, ...) that a `kinds` keyword names: name to fragment."""
    return lookup(reference)


def errors(value: Any) -> Iterator[tuple[Any, Path]]:
    """Every error of the schemas in a spec (plain values), and every place that it speaks of."""
    from engine.spec.messages import mistakes

    for error in _validator().iter_errors(value):
        found = list(mistakes(error))
        for mistake in found:
            yield error, mistake.path
        if not found:  # another message tells it already
            yield error, tuple(error.absolute_path)


def check(value: Any) -> list[Mistake]:
    """All that the schemas find wrong with a spec (plain values), as sentences."""
    from engine.spec.messages import mistakes

    return [mistake for error in _validator().iter_errors(value) for mistake in mistakes(error)]


def check_part(value: Any) -> list[Mistake]:
    """What the schemas find wrong with a file that specs include: as `check`, but sections need not be complete."""
    from engine.spec.messages import mistakes

    errors = (
        error
        for error in _validator().iter_errors(value)
        if error.validator != "required" or len(error.absolute_path) > 1
    )
    return [mistake for error in errors for mistake in mistakes(error)]


@cache
def _validator() -> Any:
    """The validator of a whole spec. The schemas themselves are checked by a test, not at each start.

    Their `$schema` is left out, or jsonschema would go on with its own validator, without the keywords of ours.
    """
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    from engine.spec.keywords import SpecValidator

    plain = {name: {k: v for k, v in schema.items() if k != "$schema"} for name, schema in schemas().items()}
    resources = [(name, DRAFT202012.create_resource(schema)) for name, schema in plain.items()]
    registry: Any = Registry().with_resources(resources)
    return SpecValidator(plain[ROOT], registry=registry)
