"""Scores for raw files: the rows that training would make of them, through the trained network, with their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform

from engine.data.branches import needed_branches
from engine.data.collections import Chunk
from engine.data.columns import Array, Jagged
from engine.data.readers.base import Reader, expand_files, open_reader
from engine.data.rows import RowTable, make_rows
from engine.data.targets import is_condition
from engine.data.worker import present_branches, read_chunks
from engine.errors import DataError, UsageError
from engine.export.writers import open_writer
from engine.progress import Progress
from engine.runs import RunDirectory, read_contract
from engine.spec.sections.data import DataSpec, LayoutSpec, PredictSpec
from engine.spec.syntax import Name

if TYPE_CHECKING:
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment


@dataclass(frozen=True)
class PredictionSummary:
    """What became of the files: one sentence for the user, and the files that were skipped with the reason of each."""

    text: str
    skipped: Mapping[str, str]


class Scorer:
    """A trained network on rows as preparation makes them, with the transforms that it was trained with."""

    def __init__(self, network: Network, data: DataSpec, contract: Mapping[str, Any], outputs: Sequence[str]) -> None:
        self.network, self.data, self.outputs = network.eval(), data, tuple(outputs)
        self.device = next(network.parameters()).device
        self.transforms = contract_transforms(contract, data)

    def __call__(self, table: RowTable, batch: int) -> dict[str, Array]:
        """Outputs for all rows, each float32 of shape (rows, values)."""
        gathers = {
            name: Gather([_segment(table.inputs[name])], self.transforms[name], spec.keep)
            for name, spec in self.data.inputs.items()
        }
        parts: dict[str, list[Array]] = {name: [] for name in self.outputs}
        for start in range(0, len(table), batch):
            rows = np.arange(start, min(start + batch, len(table)))
            for name, values in self._batch(gathers, rows).items():
                parts[name].append(values)
        return {name: np.concatenate(values) if values else np.zeros((0, 1), "f4") for name, values in parts.items()}

    def _batch(self, gathers: Mapping[str, Gather], rows: Array) -> dict[str, Array]:
        inputs, masks = {}, {}
        for name, gather in gathers.items():
            values, mask = gather(np.zeros(len(rows), np.int32), rows)
            inputs[name] = torch.from_numpy(values).to(self.device)
            if mask is not None:
                masks[name] = torch.from_numpy(mask).to(self.device)
        with torch.inference_mode():
            outputs = self.network(inputs, masks, self.outputs)
        return {name: values.float().cpu().numpy().reshape(len(rows), -1) for name, values in outputs.items()}


def contract_transforms(contract: Mapping[str, Any], data: DataSpec) -> dict[str, list[FeatureTransform]]:
    """The fitted transforms that a run was trained with.

    Raises:
        DataError: the contract is not that of the spec's inputs.
    """
    for name, spec in data.inputs.items():
        trained = contract["inputs"].get(name, {}).get("features")
        if trained != list(spec.features):
            message = f"the run was trained with the features {trained} of {name}, the spec has {list(spec.features)}"
            raise DataError(message)
    return {name: [FeatureTransform.from_dict(one) for one in contract["transforms"][name]] for name in data.inputs}


def _segment(values: Array | Jagged) -> tuple[Array | None, Array]:
    if isinstance(values, Jagged):
        return values.offsets, np.ascontiguousarray(values.values)
    return None, np.ascontiguousarray(values)


def prediction_layout(data: DataSpec) -> tuple[PredictSpec, LayoutSpec]:
    """Which rows are made of a file for prediction, and how it is read.

    Raises:
        UsageError: the spec does not say.
    """
    if data.predict is None:
        message = "the spec does not say which rows to predict; write data.predict, as in `predict: {rows: good_jets}`"
        raise UsageError(message)
    return data.predict, data.layouts[data.predict.layout]


def prediction_chunks(reader: Reader, data: DataSpec, predict: PredictSpec) -> Iterator[tuple[int, Chunk]]:
    """The branches that prediction needs in chunks, each with the entry of the file that it starts at.

    Raises:
        DataError: a branch is missing or cannot be read.
    """
    needed = needed_branches(data, data.layouts[predict.layout], predict.rows, None)
    start = 0
    for chunk in read_chunks(reader, present_branches(reader, needed)):
        yield start, chunk
        start += len(next(iter(chunk.values())))


def with_known_columns(data: DataSpec, predict: PredictSpec, reader: Reader) -> DataSpec:
    """The section without those columns that a file cannot give, such as the truth about simulated rows.

    Columns that identify a row are needed. So are those that may be whole numbers, which have no NaN: a condition, and
    the name of a field, whose `default:` says what it is in such a file.
    """
    layout = data.layouts[predict.layout]
    known = {}
    for name, expression in data.columns.items():
        needed = needed_branches(replace(data, columns={name: expression}, inputs={}), layout, predict.rows, None)
        complete = all(branch.optional or branch.branch in reader.branches for branch in needed)
        whole = isinstance(expression.root, Name) or is_condition(expression)
        if complete or whole or name in data.split.by:
            known[name] = expression
    return replace(data, columns=known)


def predict_files(
    experiment: Experiment,
    network: Network,
    outputs: Sequence[str],
    run: RunDirectory,
    files: Sequence[str],
    output: Path,
    batch: int,
    progress: Progress,
) -> PredictionSummary:
    """Score files and write columns and scores to `output` (.root, .parquet or .h5).

    Args:
        experiment: the run's spec.
        network: with the trained weights, on its device.
        outputs: nodes to write; a class output becomes one column a class, `jet_class_signal`.
        run: whose contract says how the features are transformed.
        files: paths or patterns.
        output: file to write; complete or not at all.
        batch: rows a step of the network.
        progress: where it tells how far it is.

    Raises:
        DataError: a file cannot be used and the spec says `on_error: stop`, or none can.
        UsageError: `output` is one of the files, or one that the spec reads.
    """
    data = experiment.data
    predict, layout = prediction_layout(data)
    scorer = Scorer(network, data, read_contract(run), outputs)
    paths = expand_files(files)
    _spare_inputs(output, paths, data)
    skipped: dict[str, str] = {}
    absent: dict[str, None] = {}
    rows = 0
    with open_writer(output) as writer, progress.task("predicting", len(paths), "files") as task:
        for number, path in enumerate(paths):
            try:
                for table, entries in _tables(path, data, predict, layout):
                    known = {name: table.columns.get(name, np.full(len(table), np.nan)) for name in data.columns}
                    absent |= {name: None for name in known if name not in table.columns}
                    columns = {"file": np.full(len(table), number, np.int32), "entry": entries, **known}
                    writer.write({**columns, **named_scores(scorer(table, batch), experiment)})
                    rows += len(table)
            except DataError as error:
                if data.on_error == "stop" or len(paths) == 1:
                    raise
                skipped[path] = str(error)
            task.advance()
    lines = [f"{rows} rows of {len(paths) - len(skipped)} files scored in {output}"]
    lines += [f"the column {name} is NaN where a file has not got what it is made of" for name in absent]
    lines += [f"skipped {reason}" for reason in skipped.values()]  # a reason names its file
    return PredictionSummary("\n".join(lines), skipped)


def _spare_inputs(output: Path, paths: Sequence[str], data: DataSpec) -> None:
    """Refuse to write over a file that is read."""
    if not output.exists():
        return
    read = [*paths]
    for sample in data.samples.values():
        with suppress(DataError):  # files of the training that are not here cannot be lost
            read += expand_files(sample.files)
    for path in read:
        if "://" not in path and Path(path).exists() and output.samefile(path):
            message = f"{output} is a file of the experiment, which the scores would replace; give -o another name"
            raise UsageError(message)


def _tables(path: str, data: DataSpec, predict: PredictSpec, layout: LayoutSpec) -> Iterator[tuple[RowTable, Array]]:
    """Row tables of a file, with the entry of the file that each row comes from."""
    reader = open_reader(path, layout.format, layout.tree)
    try:
        data = with_known_columns(data, predict, reader)
        for start, chunk in prediction_chunks(reader, data, predict):
            table = make_rows(data, layout, predict.rows, None, chunk)
            yield table, table.entries + start
    except DataError as error:
        raise error if path in str(error) else DataError(f"{path}: {error}") from error
    finally:
        reader.close()


def named_scores(scores: Mapping[str, Array], experiment: Experiment) -> dict[str, Array]:
    """One column a value: `is_data` for a single one, `jet_class_signal` for each class, `<node>_<i>` otherwise."""
    columns = {}
    for node, values in scores.items():
        target = experiment.data.targets.get(experiment.trained_on.get(node, ""))
        classes = list(target.classes) if target is not None else []
        width = values.shape[1]
        names = classes if len(classes) == width else [str(index) for index in range(width)]
        for index, name in enumerate(names):
            columns[node if width == 1 else f"{node}_{name}"] = values[:, index]
    return columns
