"""What is told when a loss or a parameter is not finite: where, ranges of the inputs, the last good checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import TrainingError

if TYPE_CHECKING:
    from engine.data.loader import Batch
    from engine.graph.network import Network

MOST_LISTED = 12  # ranges of features in one message


@dataclass(frozen=True)
class Range:
    """The values of a column of a batch: smallest and largest finite one (NaN if none), how many are not finite."""

    label: str
    low: float
    high: float
    lost: int
    values: int

    def __str__(self) -> str:
        lost = f" ({self.lost} of {self.values} not finite)" if self.lost else ""
        return f"{self.label} {self.low:.4g} to {self.high:.4g}{lost}"

    @property
    def size(self) -> float:
        """The largest absolute value."""
        return -1.0 if math.isnan(self.low) else max(abs(self.low), abs(self.high))


def non_finite_loss(
    step: int,
    epoch: int,
    values: Mapping[str, float],
    batches: Mapping[str, Batch],
    features: Mapping[str, Sequence[str]],
    checkpoint: Path | None,
) -> TrainingError:
    """The error for a loss that is NaN or infinite.

    Args:
        step: the iteration, counted from 1.
        epoch: counted from 1.
        values: losses and totals of the iteration.
        batches: of each stream, at this iteration.
        features: names of the columns of each input.
        checkpoint: the last one, which is good.
    """
    losses = ", ".join(f"{name} = {value:.6g}" for name, value in values.items())
    lines = [f"the loss is not finite at step {step} (epoch {epoch}): {losses}"]
    ranges = [each for stream, batch in batches.items() for each in _ranges(stream, batch, features)]
    bad = [each for each in ranges if each.lost]
    if bad:
        lines.append(f"values that are not finite stand in {_listed(bad)}")
    else:
        lines.append(f"the inputs are finite; their ranges, the widest first: {_listed(ranges)}")
    kept = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no checkpoint yet"
    advice = "`fill` or `clip` these features" if bad else "a smaller learning rate, `clip_norm` or `clip` may help"
    first = next((name for name, value in values.items() if not math.isfinite(value)), None)
    return TrainingError(
        "\n".join([*lines, f"{kept}; {advice}"]), None if first is None else ("training", "losses", first)
    )


def _listed(ranges: Sequence[Range]) -> str:
    ordered = sorted(ranges, key=lambda each: each.size, reverse=True)
    more = f"; and {len(ordered) - MOST_LISTED} more" if len(ordered) > MOST_LISTED else ""
    return "; ".join(str(each) for each in ordered[:MOST_LISTED]) + more


def _ranges(stream: str, batch: Batch, features: Mapping[str, Sequence[str]]) -> list[Range]:
    """The range of each column of each input, over the real objects, and of each weight."""
    ranges = []
    for name, tensor in batch.inputs.items():
        mask = batch.masks.get(name)
        values = _array(tensor if mask is None else tensor[mask]).reshape(-1, tensor.shape[-1])
        known = features.get(name, ())
        for column in range(values.shape[1]):
            label = known[column] if column < len(known) else str(column)
            ranges.append(_range(f"{stream}: {name}.{label}", values[:, column]))
    ranges.extend(_range(f"{stream}: weight {name}", _array(weight)) for name, weight in batch.weights.items())
    return ranges


def _range(label: str, values: NDArray[np.float32]) -> Range:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
    return Range(label, low, high, len(values) - len(finite), len(values))


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array


def refuse_lost_parameters(network: Network, epoch: int, saved: Path | None) -> None:
    """See to it that a training does not go on with a part of its network lost, which losses need not show.

    Args:
        network: what is trained.
        epoch: in which, counted from 1.
        saved: the last checkpoint, if there is one.

    Raises:
        TrainingError: parameters are not finite; with the nodes they are of.
    """
    lost = [name for name in network.nodes if any(not each.isfinite().all() for each in network.parameters_of([name]))]
    if not lost:
        return
    after = f"; the last checkpoint before is {saved}" if saved else ""
    raise TrainingError(
        f"parameters of {', '.join(lost)} are not finite in epoch {epoch}, though the losses are: a "
        f"gradient was not; try a smaller learning rate{after}"
    )
