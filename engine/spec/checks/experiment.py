"""All cross-checks of a typed experiment."""

from __future__ import annotations

from engine.errors import Mistake
from engine.spec.checks.exporting import check_exporting
from engine.spec.checks.features import check_inputs
from engine.spec.checks.layouts import check_layouts
from engine.spec.checks.model import check_model
from engine.spec.checks.results import check_results
from engine.spec.checks.samples import check_samples
from engine.spec.checks.targets import check_targets
from engine.spec.checks.training import check_training
from engine.spec.checks.weights import check_split, check_weights
from engine.spec.experiment import Experiment


def check_experiment(experiment: Experiment) -> list[Mistake]:
    """All mistakes that can be seen without planning the graph and without opening a file."""
    data = experiment.data
    return [
        *check_layouts(data),
        *check_samples(data),
        *check_inputs(data),
        *check_targets(data),
        *check_weights(data),
        *check_split(data),
        *check_model(experiment),
        *check_training(experiment),
        *check_results(experiment),
        *check_exporting(experiment),
    ]
