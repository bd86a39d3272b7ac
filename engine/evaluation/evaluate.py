"""Predictions to `metrics.json`, figures and report, in this order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError
from engine.evaluation.choices import chosen_metrics, chosen_plots, column_units
from engine.evaluation.history import History, best_epoch, read_history
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.metrics.result import Headline, MetricResult, finite
from engine.evaluation.plots.catalogue import PlotContext, draw
from engine.evaluation.predictions import Predictions
from engine.files import make_folder, write_json

if TYPE_CHECKING:
    from engine.evaluation.facts import ReportFacts
    from engine.graph.types import TensorType
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation wrote.

    Attributes:
        metrics, report: the files.
        figures: PNG of each figure, by name; the PDF is beside it.
        headlines: the numbers for the first page, by name (`roc.auc_signal_against_qcd`).
        reused: whether the predictions were those of an earlier evaluation.
    """

    metrics: Path
    report: Path
    figures: Mapping[str, Path]
    headlines: Mapping[str, Headline]
    reused: bool = False

    @property
    def values(self) -> dict[str, float]:
        """The headline numbers that have a value."""
        return {name: line.value for name, line in self.headlines.items() if line.value is not None}


def evaluate(
    experiment: Experiment,
    predictions: Mapping[str, Predictions],
    run: RunDirectory,
    facts: ReportFacts,
    types: Mapping[str, TensorType] | None = None,
) -> Evaluation:
    """Compute the metrics of the evaluated split, draw the figures, write the report.

    Args:
        experiment: the checked spec.
        predictions: of each split that is at hand; that of `evaluation.split` is used.
        run: where everything goes; its `metrics.jsonl` gives the history of the training.
        facts: what the report says besides.
        types: of everything that the network can be asked for; the default metrics depend on it.

    Raises:
        DataError: there are no predictions of the split.
    """
    from engine.evaluation.report import Picture, write_report

    split = experiment.evaluation.split
    if split not in predictions:
        message = f"there are no predictions of the {split} split; `engine evaluate {run.path}` makes them"
        raise DataError(message)
    rows = predictions[split]
    metrics = chosen_metrics(experiment, types)
    results = [compute(metric.kind, metric.name, metric.options, rows) for metric in metrics]
    headlines = headline_names(results)
    write_json(run.metrics, metrics_document(rows, results, headlines))
    history = _history(experiment, run)
    context = PlotContext(experiment.name, rows, results, history, column_units(experiment))
    pictures: dict[str, Picture] = {}
    make_folder(run.plots)
    for plot in chosen_plots(experiment, metrics):
        for drawing in draw(plot.kind, plot.name, plot.options, context):
            if drawing.name not in pictures:
                pictures[drawing.name] = (drawing.name, drawing.caption, drawing.save(run.plots))
    write_report(run.report, facts, results, history, list(pictures.values()))
    figures = {name: png for name, _, png in pictures.values() if png is not None}
    return Evaluation(run.metrics, run.report, figures, headlines)


def headline_names(results: Sequence[MetricResult]) -> dict[str, Headline]:
    """A name without blanks for each headline."""
    names: dict[str, Headline] = {}
    for result in results:
        for line in result.headlines:
            plain = f"{result.name}.{re.sub(r'[^a-z0-9]+', '_', line.label.lower()).strip('_')}"
            name, count = plain, 1
            while name in names:  # classes such as e+ and e- differ in nothing that stays
                count += 1
                name = f"{plain}_{count}"
            names[name] = line
    return names


def metrics_document(
    rows: Predictions, results: Sequence[MetricResult], headlines: Mapping[str, Headline]
) -> dict[str, object]:
    """The content of `metrics.json`: plain values, null with a reason where there is no number."""
    lines = {name: headline.to_json() for name, headline in headlines.items()}
    return {
        "split": rows.which,
        "rows": len(rows),
        "headlines": finite(lines),
        "metrics": {result.name: result.to_json() for result in results},
    }


def _history(experiment: Experiment, run: RunDirectory) -> History:
    training = experiment.training
    updates = () if training.phases else tuple(update.minimize.text for update in training.updates)
    named = tuple(text if updates.count(text) == 1 else f"{text} ({i})" for i, text in enumerate(updates, 1))
    history = read_history(run.metrics_log, named)
    if training.best is None or history.best is not None or training.phases:
        return history
    return replace(history, best=best_epoch(history, training.best.metric, training.best.mode))
