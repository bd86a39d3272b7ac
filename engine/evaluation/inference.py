"""The network over all rows of a split: outputs with their shapes, beside what the prepared data know of the rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.predictions import Predictions, Split
from engine.evaluation.rows import class_names

if TYPE_CHECKING:
    from torch import Tensor

    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment

VERSION = 3  # counts what stored predictions depend on besides weights, data and model


def predict_dataset(
    network: Network,
    dataset: PreparedDataset,
    split: Split,
    device: str,
    outputs: Sequence[str],
    batch: int = 4096,
    trained_on: Mapping[str, str] | None = None,
    targets: Collection[str] | None = None,
    key: str = "",
) -> Predictions:
    """Run the network over all rows of a split, in the order of the files, the last partial batch included.

    Args:
        network: the trained network; dropout and batch norm are in inference mode while it runs.
        dataset: prepared data.
        split: `train`, `validation` or `test`.
        device: torch device that the network is on.
        outputs: nodes or their outputs to keep, such as those that a loss or a metric refers to.
        batch: rows a step; has no influence on the result.
        trained_on: for each output the target that a loss compares it with.
        targets: targets of objects and pairs to keep; None for all. Those of rows are always kept.
        key: kept with the predictions.
    """
    import torch

    from engine.data.loader import sequential

    names = list(dataset.manifest["samples"])
    wide = _wide_targets(dataset, targets)
    kept: dict[str, list[Array]] = {node: [] for node in outputs}
    beside: dict[str, list[Array]] = {name: [] for name in wide}
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for piece in sequential(dataset, names, split, batch):
            known = {
                name: (tensor.to(device), piece.masks[name].to(device) if name in piece.masks else None)
                for name, tensor in piece.inputs.items()
            }
            computed = network.compute(known, outputs)
            for node in outputs:
                kept[node].append(_as_array(*computed[node]))
            for name in wide:
                values = piece.targets[name].numpy()
                beside[name].append(values.astype(np.int32) if values.dtype == np.int64 else values.copy())
    network.train(was_training)
    stacked = {node: _joined(parts, _output_shape(network, node)) for node, parts in kept.items()}
    objects = {name: _joined(parts, (1, 1)) for name, parts in beside.items()}
    return _with_facts(dataset, names, split, stacked, objects, trained_on or {}, key)


def predictions_key(
    experiment: Experiment, network: Network, dataset: PreparedDataset, outputs: Sequence[str], targets: Collection[str]
) -> str:
    """A hash of all that predictions follow from: weights, model, data, and which values are kept."""
    document = experiment.document.value
    facts = {
        "version": VERSION,
        "model": [document.get("model"), document.get("blocks"), experiment.conventions],
        "data": dataset.contract()["content"],
        "split": experiment.evaluation.split,
        "outputs": list(outputs),
        "targets": sorted(targets),
        "trained_on": dict(experiment.trained_on),
        "finish": dict(network.finish),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def _wide_targets(dataset: PreparedDataset, targets: Collection[str] | None) -> list[str]:
    facts: Mapping[str, Mapping[str, Any]] = dataset.manifest["targets"]
    return [
        name
        for name, each in facts.items()
        if each.get("kind", "row") != "row" and (targets is None or name in targets)
    ]


def _as_array(values: Tensor, mask: Tensor | None) -> Array:
    """Values with NaN where the mask says that there is no object; a plain number a row gets an axis of one value."""
    array: Array = values.float().cpu().numpy()
    if array.ndim == 1:
        array = array[:, None]
    if mask is not None and mask.ndim == array.ndim - 1 and mask.ndim > 1:
        array = array.copy()
        array[~mask.cpu().numpy()] = np.nan
    return array


def _output_shape(network: Network, node: str) -> tuple[int, ...]:
    return network.plan.outputs[node].shape or (1,)


def _joined(parts: Sequence[Array], shape: tuple[int, ...]) -> Array:
    return np.concatenate(parts) if parts else np.empty((0, *shape), np.float32)


def _with_facts(
    dataset: PreparedDataset,
    names: Sequence[str],
    split: Split,
    outputs: Mapping[str, Array],
    objects: Mapping[str, Array],
    trained_on: Mapping[str, str],
    key: str,
) -> Predictions:
    """Join the outputs, in the order of `dataset.rows`, with what the dataset knows about the rows."""
    manifest = dataset.manifest
    rows = dataset.rows(names, split)
    facts: Mapping[str, Mapping[str, Any]] = manifest["targets"]
    wanted = {
        "target": [name for name, each in facts.items() if each.get("kind", "row") == "row"],
        "weight": list(manifest.get("weights", {})),
        "column": list(manifest["columns"]),
    }
    keys = [f"{kind}:{name}" for kind, members in wanted.items() for name in members]
    values = dataset.read([*keys, "weight"], rows)
    sample_of_segment = np.asarray([segment.sample for segment in dataset.segments], dtype=str)
    samples = sample_of_segment[rows.segment] if len(sample_of_segment) else np.empty(0, str)
    picked = {kind: {name: values[f"{kind}:{name}"] for name in members} for kind, members in wanted.items()}
    found = Predictions(
        outputs=outputs,
        targets={**picked["target"], **objects},
        weights={"weight": values["weight"], **picked["weight"]},
        columns=picked["column"],
        samples=samples,
        classes={name: tuple(each["classes"] or ()) for name, each in facts.items()},
        trained_on=dict(trained_on),
        which=split,
        components={name: tuple(each["components"]) for name, each in facts.items() if each.get("components")},
        units={name: each["unit"] for name, each in facts.items() if each.get("unit")},
        kinds={name: each["kind"] for name, each in facts.items() if each.get("kind", "row") != "row"},
        key=key,
    )
    return replace(found, classes={name: class_names(found, name) for name in found.classes})
