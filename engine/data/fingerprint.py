"""What a prepared dataset was made of, as hashes: when they are unchanged, nothing has to be done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from engine.data.sources import Source
from engine.spec.expressions import Expression
from engine.spec.sections.data import DataSpec, FeatureSpec

VERSION = 2
"""Version of the prepared dataset; part of every hash."""
REVISION = 2
"""Of how files are read and checked, part of every hash too: data of another one are made again, and stay of use."""

_APPLIED_LATER = ("absolute", "log1p", "clip", "scale", "offset", "range", "range_from", "one_hot", "fill")


def fingerprint(data: DataSpec, sources: Iterable[Source]) -> str:
    """The hash of everything a prepared dataset depends on: the data section, the seed and the files."""
    files = [[source.sample, source.path, source.size, source.modified] for source in sources]
    return _hash({"version": [VERSION, REVISION], "data": data.raw, "seed": data.seed, "files": files})


def shard_key(data: DataSpec, source: Source) -> str:
    """The hash of everything that the rows of one file depend on.

    Other samples, the transforms that are applied when a batch is made, and derived weights are not part of it: a
    change of those keeps the shard. The expressions of weights are.
    """
    sample = data.samples[source.sample]
    return _hash(
        {
            "version": [VERSION, REVISION],
            "file": [source.path, source.size, source.modified],
            "sample": [_plain(getattr(sample, name)) for name in ("rows", "labels", "weight", "constants")],
            "layout": _plain(data.layouts[sample.layout]),
            "inputs": _plain(data.inputs),
            "targets": _plain(data.targets),
            "factors": {name: _plain(each.expression) for name, each in data.weights.items() if each.expression},
            "columns": _plain(data.columns),
            "split": [_plain(data.split), data.seed],
        }
    )


def shard_name(source: Source) -> str:
    """Name of the shard of a file without its ending: the same whatever other files there are."""
    return f"{source.sample}-{hashlib.sha256(source.path.encode()).hexdigest()[:12]}"


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A typed section as lists and plain values; mappings keep their order, since features and classes have one."""
    if isinstance(value, Expression):
        return value.text
    if is_dataclass(value):
        skipped = ("path", *(_APPLIED_LATER if isinstance(value, FeatureSpec) else ()))
        return [[each.name, _plain(getattr(value, each.name))] for each in fields(value) if each.name not in skipped]
    if isinstance(value, Mapping):
        return [[key, _plain(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
