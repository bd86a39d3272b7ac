"""The losses and classification scores on the whole validation split, last partial batch included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.data.loader import Batch, sequential
from engine.spec.sections import TrainingSpec
from engine.spec.sections.training import CLASSIFICATION
from engine.training.objectives import Objective, combine
from engine.training.scores import accuracy, mean_area
from engine.training.streams import to_device
from engine.training.updates import by_stream, forward, mixed_precision

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network


@dataclass
class _Sums:
    """What one loss adds up over the split."""

    total: Tensor
    count: Tensor
    rows: int = 0
    probabilities: list[Tensor] = field(default_factory=list)
    classes: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


@dataclass
class Validation:
    """Runs the network over the validation split of each loss's samples.

    Attributes:
        training: the section of the spec.
        network: on its device.
        objectives: all declared losses.
        dataset: prepared data.
        device: where the network is.
    """

    training: TrainingSpec
    network: Network
    objectives: Mapping[str, Objective]
    dataset: PreparedDataset
    device: torch.device

    def run(self, stopped: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """Compute `validation.<loss>`, its `.accuracy` and `.auc` where it classifies, and `validation.total`.

        A loss is the mean of weight times loss over the whole split, as over one large batch in training. Losses
        without validation rows are absent. None is returned when `stopped` says so in between.
        """
        metrics: dict[str, float] = {}
        self.network.eval()
        try:
            for stream, objectives in by_stream(self.objectives).items():
                sums = {name: _Sums(*torch.zeros(2, dtype=torch.float64, device=self.device)) for name in objectives}
                for batch in self._batches(stream):
                    if stopped():
                        return None
                    self._add(batch, objectives, sums)
                for name, objective in objectives.items():
                    metrics.update(_finish(name, objective, sums[name]))
        finally:
            self.network.train()
        return self._with_total(metrics)

    def _batches(self, stream: str) -> Iterator[Batch]:
        samples = self.training.streams[stream].samples
        for batch in sequential(self.dataset, samples, "validation", self.training.validation_batch):
            yield to_device(batch, self.device)

    @torch.inference_mode()
    def _add(self, batch: Batch, objectives: Mapping[str, Objective], sums: Mapping[str, _Sums]) -> None:
        with mixed_precision(self.training.precision, self.device):
            outputs, masks = forward(self.network, batch, objectives.values())
        for name, objective in objectives.items():
            values, count = objective.parts(outputs, batch, masks)
            sums[name].total += values.sum(dtype=torch.float64)
            sums[name].count += count
            sums[name].rows += len(batch.rows)
            if objective.spec.kind in CLASSIFICATION:
                probabilities, classes, weights = objective.scored(outputs, batch)
                sums[name].probabilities.append(probabilities)
                sums[name].classes.append(classes)
                sums[name].weights.append(weights)

    def _with_total(self, metrics: dict[str, float]) -> dict[str, float]:
        last = self.training.updates[-1].minimize
        losses = {name: metrics[f"validation.{name}"] for name in last.names if f"validation.{name}" in metrics}
        if losses.keys() == last.names:
            metrics["validation.total"] = float(combine(last, losses))
        return metrics


def _finish(name: str, objective: Objective, sums: _Sums) -> dict[str, float]:
    """The metrics of one loss."""
    if not sums.rows:
        return {}
    metrics = {f"validation.{name}": float(sums.total / sums.count)}
    if sums.classes:
        classes = torch.cat(sums.classes).cpu().numpy()
        probabilities = torch.cat(sums.probabilities).cpu().numpy()
        weights = torch.cat(sums.weights).cpu().numpy().astype(np.float64)
        metrics[f"validation.{name}.accuracy"] = accuracy(probabilities, classes, weights)
        metrics[f"validation.{name}.auc"] = mean_area(probabilities, classes, weights)
    return metrics
