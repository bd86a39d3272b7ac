"""The export stage: every exporter of the spec, each checked against the trained network on real rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.data.readers.base import open_reader
from engine.data.rows import make_rows
from engine.data.sources import find_sources
from engine.errors import DataError, ExportError
from engine.export.check import Agreement, Array, compare
from engine.export.deployed import Deployed, deployed_network, random_rows
from engine.export.onnx import run_onnx, write_exported, write_traced
from engine.export.predict import prediction_chunks, prediction_layout
from engine.export.raw import RawInputs
from engine.export.raw_table import raw_tensors
from engine.export.scoring import Scorer
from engine.files import complete, make_folder, write_json
from engine.runs import RunDirectory, read_contract
from engine.spec.sections.choice import ChoiceSpec

if TYPE_CHECKING:
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment

CHECKED_ROWS = 512


def export_run(
    experiment: Experiment, network: Network, outputs: Sequence[str], run: RunDirectory
) -> list[tuple[Path, Agreement]]:
    """Write every file that the spec's `export:` asks for.

    Args:
        experiment: the run's spec.
        network: with the trained weights, on the CPU.
        outputs: the nodes that a file gives unless its options name others.
        run: where the files go, and whose contract says how the features are transformed.

    Returns:
        Each file, and how well it agrees with the trained network.

    Raises:
        ExportError: a network cannot be written as ONNX, or the file differs from it.
        StorageError: there is no room for a file.
    """
    contract = read_contract(run)
    make_folder(run.export)
    return [_onnx(exporter, experiment, network.eval(), outputs, run, contract) for exporter in experiment.export]


def _onnx(
    exporter: ChoiceSpec,
    experiment: Experiment,
    network: Network,
    outputs: Sequence[str],
    run: RunDirectory,
    contract: Mapping[str, Any],
) -> tuple[Path, Agreement]:
    options = exporter.options
    chosen = tuple(options["outputs"] or outputs)
    deployed, raw = deployed_network(experiment, network, chosen, contract)
    path = run.export / f"{options['name']}.onnx"
    facts = _facts(experiment, raw, chosen, contract)

    def written_by(write: Callable[..., None], unchecked: Path) -> Agreement:
        write(deployed, unchecked, facts, options["opset"])
        return check_export(experiment, deployed, unchecked, contract, options["tolerance"])

    with complete(path) as unchecked:
        try:
            agreement = written_by(write_traced, unchecked)
        except ExportError:
            agreement = written_by(write_exported, unchecked)
    write_json(path.with_suffix(".json"), {**facts, "check": vars(agreement)})
    return path, agreement


def check_export(
    experiment: Experiment, deployed: Deployed, path: Path, contract: Mapping[str, Any], tolerance: float
) -> Agreement:
    """Send rows of the experiment's own files through the file, the torch module and the training path.

    Where no file can be read, rows of random numbers are compared with the torch module alone.

    Raises:
        ExportError: they disagree.
    """
    found = _real_rows(experiment, deployed, contract)
    tensors, trained = found if found is not None else (random_rows(deployed.raw), None)
    with torch.no_grad():
        values = deployed(*(tensors[name] for name in deployed.raw.names))
    expected = {name: value.numpy() for name, value in zip(deployed.outputs, values, strict=True)}
    written = run_onnx(path, tensors, deployed.outputs)
    agreement = compare("the exported network", expected, written, tolerance)
    if trained is None:
        return agreement
    flat = {name: value.reshape(len(value), -1) for name, value in written.items()}
    return compare("the exported network with its preprocessing", trained, flat, tolerance)


def _real_rows(
    experiment: Experiment, deployed: Deployed, contract: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Array]] | None:
    """Raw tensors of the first rows of a file of the experiment, and their scores by the training path."""
    data = experiment.data
    predict, layout = prediction_layout(data)
    scorer = Scorer(deployed.network, data, contract, deployed.outputs)
    try:
        sources = [source for source in find_sources(data) if data.samples[source.sample].layout == predict.layout]
    except DataError:
        return None
    for source in sources:
        try:
            with closing(open_reader(source.path, layout.format, layout.tree)) as reader:
                for _, chunk in prediction_chunks(reader, data, predict):
                    table = make_rows(data, layout, predict.rows, None, chunk)
                    if not len(table):
                        continue
                    tensors = raw_tensors(layout, predict, deployed.raw, chunk)
                    scores = scorer(table, len(table))
                    cut = {name: tensor[:CHECKED_ROWS] for name, tensor in tensors.items()}
                    return cut, {name: values[:CHECKED_ROWS] for name, values in scores.items()}
        except DataError:
            continue
    return None


def _facts(
    experiment: Experiment, raw: RawInputs, outputs: Sequence[str], contract: Mapping[str, Any]
) -> dict[str, Any]:
    """What a program that loads the file should know."""
    targets = experiment.trained_on
    classes = {
        name: list(experiment.data.targets[targets[name]].classes)
        for name in outputs
        if targets.get(name) in experiment.data.targets
    }
    return {
        "name": experiment.name,
        **raw.describe(),
        "outputs": {name: {"classes": classes.get(name, [])} for name in outputs},
        "vocabularies": {
            f"{name}.{feature}": values
            for name, facts in contract["inputs"].items()
            for feature, values in facts.get("vocabularies", {}).items()
        },
        "trained_on": contract["content"],
    }
