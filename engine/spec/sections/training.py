"""The `training:` section of a spec: streams of batches, losses, the updates of one iteration, when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import Path
from engine.spec.expressions import Expression
from engine.spec.sections.choice import ChoiceSpec


@dataclass(frozen=True)
class StreamSpec:
    """An endless, independently shuffled sequence of batches of the training rows of some samples."""

    name: str
    samples: tuple[str, ...]
    batch: int
    path: Path


@dataclass(frozen=True)
class LossSpec:
    """A loss: its kind (cross_entropy, binary_cross_entropy, squared_error, absolute_error, ...) and what it compares.

    The mean over the batch of weight times loss, not divided by the sum of weights.
    """

    name: str
    kind: str
    of: str
    target: str
    stream: str
    weight: str | None
    options: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class UpdateSpec:
    """One kind of step of an iteration: which combination of losses is minimised, and which nodes' parameters move."""

    minimize: Expression  # of loss names
    nodes: tuple[str, ...]  # () for all, but those of `except_nodes`
    except_nodes: tuple[str, ...]
    optimizer: ChoiceSpec
    schedule: ChoiceSpec | None
    repeat: int
    clip_norm: float | None
    path: Path


@dataclass(frozen=True)
class MonitorSpec:
    """A metric to watch, such as `validation.tagging`, and whether small or large is good."""

    metric: str
    mode: Literal["min", "max"]
    path: Path


@dataclass(frozen=True)
class EarlyStoppingSpec:
    """Stop when the metric has not got better by more than `min_delta` for `patience` epochs."""

    monitor: MonitorSpec
    patience: int
    min_delta: float


@dataclass(frozen=True)
class TrainingSpec:
    """The whole `training:` section."""

    epochs: int
    precision: Literal["float32", "bf16", "fp16"]
    streams: Mapping[str, StreamSpec]
    losses: Mapping[str, LossSpec]
    updates: tuple[UpdateSpec, ...]
    best: MonitorSpec | None
    early_stopping: EarlyStoppingSpec | None
    steps_per_epoch: int | None  # None: as many as the first stream needs to see each of its rows once
    checkpoint_every: int | None  # steps between checkpoints inside an epoch; None: at the end of each epoch only
    validation_batch: int
    histograms_every: int  # epochs between TensorBoard histograms of weights and gradients; 0 for never
    log_every: int = 100  # steps between the step lines of metrics.jsonl and TensorBoard
    deterministic: bool = False  # deterministic algorithms alone on CUDA
    path: Path = ("training",)
