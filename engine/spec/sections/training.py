"""The `training:` section of a spec: streams of batches, losses, the updates of one iteration, phases, when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import Path
from engine.spec.expressions import Expression
from engine.spec.sections.choice import ChoiceSpec

CLASSIFICATION = ("cross_entropy", "binary_cross_entropy")
"""The losses that tell classes apart."""


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

    The mean of weight times loss, not divided by the sum of weights.

    Attributes:
        target: what the node is compared with; None where the node's own value is minimised (`output`).
        where: condition on targets of the row; the loss counts where it holds. None for everywhere.
        mean: over all rows, or over what has a target; None: over rows for targets of the row, else over what has one.
    """

    name: str
    kind: str
    of: str
    target: str | None
    stream: str
    weight: str | None
    options: Mapping[str, Any]
    path: Path
    where: Expression | None = None
    mean: Literal["rows", "present"] | None = None


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
    """Stop when the metric has not got better by more than `min_delta` in `patience` validations."""

    monitor: MonitorSpec
    patience: int
    min_delta: float


@dataclass(frozen=True)
class LoadSpec:
    """Weights of another run that a training or a phase starts from.

    Attributes:
        source: a run directory, or a link to one.
        nodes: name there -> name here; None for every node of the network.
    """

    source: str
    checkpoint: Literal["best", "last"]
    nodes: Mapping[str, str] | None
    path: Path


@dataclass(frozen=True)
class TrainingSpec:
    """The whole `training:` section, or one of its phases with all that it takes over from the section.

    Attributes:
        updates: of an iteration; () where every phase has its own.
        steps_per_epoch: iterations; None: as many as the first stream needs to see each of its rows once.
        checkpoint_every: iterations between checkpoints inside an epoch; None: at each validation only.
        histograms_every: epochs between TensorBoard histograms of weights and gradients; 0 for never.
        log_every: iterations between the step lines of metrics.jsonl and TensorBoard.
        deterministic: deterministic algorithms alone on CUDA.
        load: what it starts from; a phase has only its own.
        freeze: nodes whose parameters no update moves.
        phases: one after the other; () where the section itself is the only one.
        name: of the phase; "" where there are none.
    """

    epochs: int
    precision: Literal["float32", "bf16", "fp16"]
    streams: Mapping[str, StreamSpec]
    losses: Mapping[str, LossSpec]
    updates: tuple[UpdateSpec, ...]
    best: MonitorSpec | None
    early_stopping: EarlyStoppingSpec | None
    steps_per_epoch: int | None
    checkpoint_every: int | None
    validation_batch: int
    histograms_every: int
    validations_per_epoch: int = 1
    log_every: int = 100
    deterministic: bool = False
    load: LoadSpec | None = None
    freeze: tuple[str, ...] = ()
    phases: tuple[TrainingSpec, ...] = ()
    name: str = ""
    path: Path = ("training",)

    @property
    def stages(self) -> tuple[TrainingSpec, ...]:
        """The phases, or the section itself where it has none."""
        return self.phases or (self,)

    @property
    def classified(self) -> dict[tuple[str, str], list[tuple[TrainingSpec, LossSpec]]]:
        """The losses, with their phases, that teach an output the classes of a target between them."""
        found: dict[tuple[str, str], list[tuple[TrainingSpec, LossSpec]]] = {}
        for stage in self.stages:
            for loss in stage.losses.values():
                if loss.kind in CLASSIFICATION and loss.target is not None:
                    found.setdefault((loss.of, loss.target), []).append((stage, loss))
        return found

    @property
    def loads(self) -> tuple[LoadSpec, ...]:
        """Everything that is loaded, in this order."""
        return tuple(each.load for each in (self, *self.phases) if each.load is not None)
