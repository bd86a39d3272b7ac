"""The evaluation of a trained run: the network over the split, then metrics, figures and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.evaluation.choices import evaluated_outputs
from engine.evaluation.evaluate import Evaluation, evaluate
from engine.evaluation.facts import collect_facts
from engine.evaluation.predictions import predict_dataset

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network
    from engine.graph.planned import Plan
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment


def evaluate_run(
    experiment: Experiment, plan: Plan, network: Network, dataset: PreparedDataset, run: RunDirectory, device: str
) -> Evaluation:
    """Evaluate a trained network.

    The predictions are kept in the run (`predictions/<split>.arrow`), beside metrics, figures and report.

    Raises:
        DataError: the prepared data cannot be read.
    """
    split = experiment.evaluation.split
    batch = experiment.training.validation_batch
    outputs = evaluated_outputs(experiment)
    predictions = predict_dataset(network, dataset, split, device, outputs, batch, experiment.trained_on)
    predictions.save(run.predictions / f"{split}.arrow")
    return evaluate(experiment, {split: predictions}, run, collect_facts(experiment, plan, dataset, run))


def headline_lines(evaluation: Evaluation) -> list[str]:
    """`AUC, signal against qcd: 0.9497 ± 0.0021` and the like."""
    from engine.evaluation.numbers import with_error

    return [f"{line.label}: {with_error(line.value, line.error)}" for line in evaluation.headlines.values()]
