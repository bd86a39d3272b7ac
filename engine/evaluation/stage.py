"""The evaluation of a trained run: the network over the split, then metrics, figures and report."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import DataError
from engine.evaluation.choices import evaluated_outputs, wide_targets
from engine.evaluation.evaluate import Evaluation, evaluate
from engine.evaluation.facts import collect_facts
from engine.evaluation.inference import predict_dataset, predictions_key
from engine.evaluation.predictions import Predictions
from engine.evaluation.stored import stored_key
from engine.runs import RunDirectory

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.graph.planned import Plan
    from engine.spec.experiment import Experiment


def evaluate_run(
    experiment: Experiment, plan: Plan, network: Network, dataset: PreparedDataset, run: RunDirectory, device: str
) -> Evaluation:
    """Evaluate a trained network.

    The predictions are kept in the run (`predictions/<split>.arrow`), beside metrics, figures and report. They are used
    again where weights, model, data and what is looked at are those that they were made with.

    Raises:
        DataError: the prepared data cannot be read.
    """
    predictions, reused = predictions_of(experiment, plan, network, dataset, run, device)
    facts = collect_facts(experiment, plan, dataset, run)
    found = evaluate(experiment, {experiment.evaluation.split: predictions}, run, facts, plan.outputs)
    return replace(found, reused=reused)


def predictions_of(
    experiment: Experiment, plan: Plan, network: Network, dataset: PreparedDataset, run: RunDirectory, device: str
) -> tuple[Predictions, bool]:
    """The predictions of the evaluated split: those that the run has (true), or new ones (false)."""
    split = experiment.evaluation.split
    own, path = (each.predictions / f"{split}.arrow" for each in (RunDirectory(run.path), run))
    outputs = evaluated_outputs(experiment, plan.outputs)
    targets = wide_targets(experiment, outputs, plan.outputs)
    key = predictions_key(experiment, network, dataset, outputs, targets)
    for known in dict.fromkeys((own, path)):
        if stored_key(known) == key:
            with suppress(DataError):
                return Predictions.load(known), True
    batch = experiment.training.validation_batch
    trained_on = experiment.trained_on
    predictions = predict_dataset(network, dataset, split, device, outputs, batch, trained_on, targets, key)
    predictions.save(path)
    return predictions, False


def headline_lines(evaluation: Evaluation) -> list[str]:
    """`AUC, signal against qcd: 0.9497 ± 0.0021` and the like."""
    from engine.evaluation.metrics.result import told_apart

    labels = told_apart({name: line.title for name, line in evaluation.headlines.items()})
    lines = [f"{labels[name]}: {line.text}" for name, line in evaluation.headlines.items()]
    return ["the predictions that the run had were used again", *lines] if evaluation.reused else lines
