"""Scores for raw files: the rows that training would make of them, through the trained network, with their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.branches import needed_branches
from engine.data.collections import Chunk
from engine.data.columns import Array
from engine.data.readers.base import Reader, expand_files, open_reader
from engine.data.rows import RowTable, make_rows
from engine.data.targets import is_condition
from engine.data.worker import present_branches, read_chunks
from engine.errors import DataError, UsageError
from engine.export.scoring import Scorer, named_scores
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
        DataError: a branch is missing, is not what the layout takes it for, or cannot be read.
    """
    layout = data.layouts[predict.layout]
    needed = needed_branches(data, layout, predict.rows, None)
    start = 0
    for chunk in read_chunks(reader, present_branches(reader, needed, layout)):
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
        outputs: nodes to write, as `scoring.named_scores` names them.
        run: whose contract says how the features are transformed.
        files: paths or patterns; the column `file` counts what they name in this order, each once.
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
    paths = list(dict.fromkeys(path for pattern in files for path in expand_files([pattern])))
    _spare_inputs(output, paths, data)
    skipped: dict[str, str] = {}
    absent: dict[str, None] = {}
    rows = 0
    with open_writer(output, paths) as writer, progress.task("predicting", len(paths), "files") as task:
        for number, path in enumerate(paths):
            try:
                for table, entries in _tables(path, data, predict, layout):
                    known = {name: table.columns.get(name, np.full(len(table), np.nan)) for name in data.columns}
                    absent |= {name: None for name in known if name not in table.columns}
                    columns = {"file": np.full(len(table), number, np.int32), "entry": entries, **known}
                    writer.write({**columns, **named_scores(scorer.columns(table, batch), experiment)})
                    rows += len(table)
            except DataError as error:
                if data.on_error == "stop" or len(paths) == 1:
                    raise
                skipped[path] = str(error)
            task.advance()
    read = len(paths) - len(skipped)
    lines = [f"{rows} row{'s' * (rows != 1)} of {read} file{'s' * (read != 1)} scored in {output}"]
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
