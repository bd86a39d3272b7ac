"""The manifest of a prepared dataset: what is in it, what it was made of, and the fitted numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.fingerprint import VERSION
from engine.data.inputs import is_row_input
from engine.data.ledger import LedgerEntry
from engine.data.shards import Receipt, ShardInfo
from engine.data.targets import stored_type
from engine.errors import DataError
from engine.files import write_text
from engine.spec.layouts import base_or_name
from engine.spec.sections.data import DataSpec, FeatureSpec, InputSpec, TargetSpec

NAME = "manifest.json"
SHARDS = "shards"


def build_manifest(data: DataSpec, fingerprint: str, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """Everything but the fitted transforms and weights, which are taken from the finished shards."""
    shards = [(receipt.ledger, receipt.shard) for receipt in receipts if receipt.shard is not None]
    return {
        "version": VERSION,
        "fingerprint": fingerprint,
        "inputs": {name: _input(data, spec) for name, spec in data.inputs.items()},
        "targets": {name: _target(spec) for name, spec in data.targets.items()},
        "columns": {name: _common_type(name, [shard for _, shard in shards]) for name in data.columns},
        "samples": {
            name: {
                "labels": list(sample.labels),
                "rows": sum(shard.rows for ledger, shard in shards if ledger.sample == name),
            }
            for name, sample in data.samples.items()
        },
        "shards": [_shard(ledger, shard) for ledger, shard in shards],
        "ledger": [receipt.ledger.to_dict() for receipt in receipts],
        "transforms": {},
        "weights": {},
    }


def write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Store the manifest; it appears complete or not at all."""
    write_text(directory / NAME, json.dumps(manifest, indent=1, allow_nan=False))


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a prepared dataset.

    Raises:
        DataError: there is none, it is damaged, or another version of the program wrote it.
    """
    path = directory / NAME
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{directory} holds no prepared dataset: there is no {NAME}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise DataError(f"{path} is not of version {VERSION}; prepare the dataset again")
    return manifest


def _input(data: DataSpec, spec: InputSpec) -> dict[str, Any]:
    return {
        "kind": "row" if is_row_input(spec) else "objects",
        "keep": spec.keep,
        "features": list(spec.features),
        "units": [_unit(data, spec, name) for name in spec.features],
        "dtype": spec.dtype,
        "vocabularies": {name: vocabulary(each) for name, each in spec.features.items() if each.vocabulary is not None},
    }


def _target(spec: TargetSpec) -> dict[str, Any]:
    return {
        "classes": list(spec.classes) or None,
        "kind": spec.kind,
        "of": spec.input,
        "components": list(spec.components),
        "unit": spec.unit,
        "dtype": stored_type(spec),
    }


def vocabulary(feature: FeatureSpec) -> dict[str, Any]:
    """What the codes of a feature stand for: 0 is padding, 1 .. n the tokens in their order."""
    spec = feature.vocabulary
    return {} if spec is None else {"tokens": list(spec.tokens), "unknown": spec.unknown}


def _unit(data: DataSpec, spec: InputSpec, feature: str) -> str | None:
    """Unit of a feature that is a plain field, from the first layout that states it; None where nobody does."""
    chosen = spec.features[feature]
    if chosen.expression is not None or chosen.fraction_of:
        return None
    for layout in data.layouts.values():
        collection = layout.collections.get(base_or_name(layout, spec.of))
        field = collection.fields.get(feature) if collection else None
        if field is not None and field.unit is not None:
            return field.unit
    return None


def _common_type(name: str, shards: Sequence[ShardInfo]) -> str:
    """The type that holds a column of all shards: their own where they agree, else float64."""
    types = {shard.columns[name] for shard in shards}
    return str(np.result_type(*types)) if types else "float64"


def _shard(ledger: LedgerEntry, shard: ShardInfo) -> dict[str, Any]:
    return {
        "file": f"{SHARDS}/{shard.file}",
        "sample": ledger.sample,
        "source": ledger.source,
        "rows": shard.rows,
        "splits": list(shard.splits),
        "sha256": shard.sha256,
        "bytes": shard.bytes,
    }
