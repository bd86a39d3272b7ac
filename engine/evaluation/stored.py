"""Predictions as an Arrow file: a column for each output, target, weight and column, their shapes in its metadata."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.errors import DataError
from engine.evaluation.predictions import Predictions
from engine.files import complete, make_folder

if TYPE_CHECKING:
    import pyarrow as pa

METADATA = b"engine.predictions"
GROUPS = ("output", "target", "weight", "column")
CHUNK = 1 << 27  # values of one record batch: a fixed-size list counts its values with 32 bits


def save(predictions: Predictions, path: Path) -> None:
    """Write an Arrow IPC file, complete or not at all."""
    import pyarrow as pa

    names = pa.array(predictions.samples.astype(str).tolist(), pa.string()).dictionary_encode()
    columns: dict[str, Any] = {"sample": names}
    shapes: dict[str, list[int]] = {}
    for group in GROUPS:
        for name, values in getattr(predictions, f"{group}s").items():
            columns[f"{group}:{name}"] = _chunked(values)
            shapes[f"{group}:{name}"] = list(values.shape[1:])
    facts = {
        "classes": {name: list(classes) for name, classes in predictions.classes.items()},
        "trained_on": dict(predictions.trained_on),
        "which": predictions.which,
        "components": {name: list(components) for name, components in predictions.components.items()},
        "units": dict(predictions.units),
        "kinds": dict(predictions.kinds),
        "key": predictions.key,
        "shapes": shapes,
    }
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(facts).encode()})
    make_folder(path.parent)
    with (
        complete(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def _chunked(values: Array) -> pa.ChunkedArray:
    """Rows as an Arrow column: numbers, or lists of as many numbers as a row has values."""
    import pyarrow as pa

    if values.ndim == 1:
        return pa.chunked_array([pa.array(values)])
    size = math.prod(values.shape[1:])
    rows = max(1, CHUNK // max(1, size))
    starts = range(0, max(1, len(values)), rows)
    parts = [np.ascontiguousarray(values[start : start + rows]).reshape(-1) for start in starts]
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(pa.array(part), size) for part in parts])


def load(path: Path) -> Predictions:
    """Read what `save` wrote.

    Raises:
        DataError: the file is absent, no Arrow file, or not one of predictions.
    """
    import pyarrow as pa

    try:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
            table = reader.read_all()
    except (OSError, pa.ArrowInvalid) as error:
        message = f"{path} cannot be read as an Arrow file of predictions: {str(error).splitlines()[0]}"
        raise DataError(message) from error
    facts = _facts(table.schema, path)
    groups: dict[str, dict[str, Array]] = {group: {} for group in GROUPS}
    for key, shape in facts["shapes"].items():
        group, _, name = key.partition(":")
        groups[group][name] = _values(table.column(key), shape)
    return Predictions(
        outputs=groups["output"],
        targets=groups["target"],
        weights=groups["weight"],
        columns=groups["column"],
        samples=np.asarray(table.column("sample").to_pylist(), dtype=str),
        classes={name: tuple(classes) for name, classes in facts["classes"].items()},
        components={name: tuple(names) for name, names in facts["components"].items()},
        **{name: facts[name] for name in ("trained_on", "which", "units", "kinds", "key")},
    )


def stored_key(path: Path) -> str | None:
    """What the stored predictions were computed from; None where there is no readable file. Reads no values."""
    import pyarrow as pa

    try:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
            key: str = _facts(reader.schema, path)["key"]
    except (OSError, pa.ArrowInvalid, DataError):
        return None
    return key


def _facts(schema: pa.Schema, path: Path) -> dict[str, Any]:
    metadata = schema.metadata or {}
    if METADATA not in metadata:
        message = f"{path} is an Arrow file, but not one of predictions"
        raise DataError(message)
    facts: dict[str, Any] = json.loads(metadata[METADATA])
    if "shapes" not in facts:
        message = f"{path} holds predictions of an older version; `engine evaluate` makes them again"
        raise DataError(message)
    return facts


def _values(column: pa.ChunkedArray, shape: list[int]) -> Array:
    """An Arrow column as NumPy, shape (n, *shape)."""
    parts = [column.combine_chunks()] if len(column.chunks) < 2 else column.chunks
    flat = [(part.flatten() if shape else part).to_numpy(zero_copy_only=False) for part in parts]
    joined: Array = flat[0] if len(flat) == 1 else np.concatenate(flat)
    return joined.reshape(len(column), *shape)
