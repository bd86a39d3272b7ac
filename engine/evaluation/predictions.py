"""What a network says about the rows of a split, with everything that an evaluation needs to know about these rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.data.columns import Array
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network

Split = Literal["train", "validation", "test"]
METADATA = b"engine.predictions"


@dataclass(frozen=True)
class Predictions:
    """The outputs of a network on n rows.

    Attributes:
        outputs: values of each evaluated node, float, shape (n, values).
        targets: class index (-1: the row has no class of that target) or number of each target, shape (n,).
        weights: `weight` and the derived weights, shape (n,).
        columns: what identifies a row or is used for categories and bins, shape (n,).
        samples: name of the sample of each row, shape (n,).
        classes: names of the classes of each target; () for a target that is a number.
        trained_on: for each output the target that a loss compares it with; its classes name the output's values.
        which: the split that the rows are from.
    """

    outputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    weights: Mapping[str, Array]
    columns: Mapping[str, Array]
    samples: Array
    classes: Mapping[str, tuple[str, ...]]
    trained_on: Mapping[str, str] = field(default_factory=dict)
    which: Split = "test"

    def __len__(self) -> int:
        return len(self.samples)

    def save(self, path: Path) -> None:
        """Write an Arrow IPC file, complete or not at all."""
        import pyarrow as pa

        columns: dict[str, Any] = {
            "sample": pa.array(self.samples.astype(str).tolist(), pa.string()).dictionary_encode()
        }
        for node, values in self.outputs.items():
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            columns[f"output:{node}"] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        for kind, arrays in (("target", self.targets), ("weight", self.weights), ("column", self.columns)):
            columns.update({f"{kind}:{name}": pa.array(values) for name, values in arrays.items()})
        facts = {
            "classes": {k: list(v) for k, v in self.classes.items()},
            "trained_on": dict(self.trained_on),
            "which": self.which,
        }
        table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(facts).encode()})
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Predictions:
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
        metadata = table.schema.metadata or {}
        if METADATA not in metadata:
            message = f"{path} is an Arrow file, but not one of predictions"
            raise DataError(message)
        facts = json.loads(metadata[METADATA])
        groups: dict[str, dict[str, Array]] = {"output": {}, "target": {}, "weight": {}, "column": {}}
        for name in table.column_names:
            kind, _, key = name.partition(":")
            if kind in groups:
                groups[kind][key] = _values(table.column(name))
        return cls(
            outputs=groups["output"],
            targets=groups["target"],
            weights=groups["weight"],
            columns=groups["column"],
            samples=np.asarray(table.column("sample").to_pylist(), dtype=str),
            classes={name: tuple(classes) for name, classes in facts["classes"].items()},
            trained_on=facts["trained_on"],
            which=facts["which"],
        )


def _values(column: Any) -> Array:
    """An Arrow column as NumPy: (n,) or, for fixed-size lists, (n, size)."""
    array = column.combine_chunks()
    if hasattr(array.type, "list_size"):
        flat: Array = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, array.type.list_size)
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def predict_dataset(
    network: Network,
    dataset: PreparedDataset,
    split: Split,
    device: str,
    outputs: Sequence[str],
    batch: int = 4096,
    trained_on: Mapping[str, str] | None = None,
) -> Predictions:
    """Run the network over all rows of a split, in the order of the files, the last partial batch included.

    Args:
        network: the trained network; dropout and batch norm are in inference mode while it runs.
        dataset: prepared data.
        split: `train`, `validation` or `test`.
        device: torch device that the network is on.
        outputs: nodes to keep, such as those that a loss or a metric refers to.
        batch: rows a step; has no influence on the result.
        trained_on: for each output the target that a loss compares it with.
    """
    import torch

    from engine.data.loader import sequential

    names = list(dataset.manifest["samples"])
    kept: dict[str, list[Array]] = {node: [] for node in outputs}
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for piece in sequential(dataset, names, split, batch):
            inputs = {name: tensor.to(device) for name, tensor in piece.inputs.items()}
            masks = {name: tensor.to(device) for name, tensor in piece.masks.items()}
            for node, values in network(inputs, masks, outputs).items():
                kept[node].append(values.float().cpu().numpy().reshape(len(piece.rows), -1))
    network.train(was_training)
    stacked = {node: np.concatenate(parts) if parts else np.empty((0, 1), np.float32) for node, parts in kept.items()}
    return _with_facts(dataset, names, split, stacked, trained_on or {})


def _with_facts(
    dataset: PreparedDataset,
    names: Sequence[str],
    split: Split,
    outputs: Mapping[str, Array],
    trained_on: Mapping[str, str],
) -> Predictions:
    """Join the outputs, in the order of `dataset.rows`, with what the dataset knows about the rows."""
    manifest = dataset.manifest
    rows = dataset.rows(names, split)
    wanted = {
        "target": list(manifest["targets"]),
        "weight": list(manifest.get("weights", {})),
        "column": list(manifest["columns"]),
    }
    keys = [f"{kind}:{name}" for kind, members in wanted.items() for name in members]
    values = dataset.read([*keys, "weight"], rows)
    sample_of_segment = np.asarray([segment.sample for segment in dataset.segments], dtype=str)
    samples = sample_of_segment[rows.segment] if len(sample_of_segment) else np.empty(0, str)
    picked = {kind: {name: values[f"{kind}:{name}"] for name in members} for kind, members in wanted.items()}
    return Predictions(
        outputs=outputs,
        targets=picked["target"],
        weights={"weight": values["weight"], **picked["weight"]},
        columns=picked["column"],
        samples=samples,
        classes={name: tuple(facts["classes"] or ()) for name, facts in manifest["targets"].items()},
        trained_on=dict(trained_on),
        which=split,
    )
