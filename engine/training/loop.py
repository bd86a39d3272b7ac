"""The training loop, to be read in one sitting: epochs, iterations, validation, logs, checkpoints, the ways to end.

One loop trains one phase. A round is what lies between two validations: an epoch, or a part of one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from engine.errors import Interrupted, TrainingError
from engine.progress import Progress, Task, short
from engine.spec.sections import TrainingSpec
from engine.training import checkpoint
from engine.training.board import TensorBoard
from engine.training.interrupt import StopRequest
from engine.training.logs import MetricsLog
from engine.training.nonfinite import non_finite_loss, refuse_lost_parameters
from engine.training.state import Position
from engine.training.streams import device_batches, first_rows
from engine.training.updates import Update
from engine.training.validation import Validation

if TYPE_CHECKING:
    from engine.data.loader import Batch
    from engine.data.store import PreparedDataset
    from engine.graph.network import Network

READ_EVERY = 50  # iterations between two looks at the losses, each of which waits for the device


@dataclass
class Loop:
    """Everything that a phase of a training needs, and where it is.

    Attributes:
        training: the section of the spec, or its phase.
        network: on its device.
        updates: what one iteration does.
        validation: what ends a round.
        dataset, seed, device: where the batches come from and go to.
        steps_per_epoch: iterations in an epoch.
        position: where the training is.
        checkpoints: the directory of checkpoints.
        progress: bars and lines.
        names: of the losses of an iteration in their order, `total` last.
        log, board: opened by whoever calls `run`.
        pending: losses of iterations that were not yet read from the device.
    """

    training: TrainingSpec
    network: Network
    updates: Sequence[Update]
    validation: Validation
    dataset: PreparedDataset
    seed: int
    device: torch.device
    steps_per_epoch: int
    position: Position
    checkpoints: Path
    progress: Progress
    names: list[str]
    log: MetricsLog = field(init=False)
    board: TensorBoard = field(init=False)
    pending: list[Tensor] = field(default_factory=list)
    active: Update | None = None

    def run(self) -> None:
        """Train to the end, from wherever the position is.

        Raises:
            TrainingError: a loss is not finite.
            StorageError: there is no room for a checkpoint or the logs.
            Interrupted: a signal asked to stop; a checkpoint was written.
        """
        if self.finished:
            return
        streams = list(self.training.streams.values())
        ahead = device_batches(self.dataset, streams, self.seed, self.position.step, self.device)
        with closing(ahead) as batches, StopRequest() as stop:
            while not self.finished:
                begin = time.monotonic()
                self.train_epoch(batches, stop)
                metrics = self.validation.run(lambda: stop.requested)
                self.position.seconds += time.monotonic() - begin
                if metrics is None:
                    self.save(best=False)
                    self.leave()
                self.end_round(metrics)
                if stop.requested:
                    self.leave()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the metric has not got better for long enough."""
        return self.stopped_early or self.epochs_done >= self.training.epochs

    @property
    def stopped_early(self) -> bool:
        """Whether the metric has not got better for long enough while there were epochs left."""
        stopping = self.training.early_stopping
        patient = stopping is None or self.position.stopping.waited < stopping.patience
        return not patient and self.epochs_done < self.training.epochs

    @property
    def epochs_done(self) -> int:
        """Whole epochs of the phase."""
        return self.position.epoch - self.position.first_epoch

    @property
    def epochs_begun(self) -> int:
        """Epochs of the phase, one that is under way among them."""
        return self.epochs_done + bool(self.position.part)

    def round_end(self, part: int) -> int:
        """The iteration at which a part of this epoch (counted from 1) ends."""
        begin = self.position.first_step + self.epochs_done * self.steps_per_epoch
        return begin + self.steps_per_epoch * part // self.training.validations_per_epoch

    def train_epoch(self, batches: Iterator[Mapping[str, Batch]], stop: StopRequest) -> None:
        """The iterations that are still to be done until the next validation, mostly those of an epoch."""
        position, every = self.position, self.training.checkpoint_every
        begun, end = self.round_end(position.part), self.round_end(position.part + 1)
        self.network.train()
        self.active = None
        with self.progress.task(self.label(), end - begun, "steps") as task:
            task.start_at(position.step - begun)
            begin = time.monotonic()
            while position.step < end:
                self.iterate(next(batches))
                task.advance()
                logged = position.step % self.training.log_every == 0
                saved = every is not None and position.step % every == 0 and position.step < end
                if not (logged or saved or stop.requested or position.step == end or len(self.pending) >= READ_EVERY):
                    continue
                self.read_losses(begin, task)
                if logged:
                    self.log_step()
                if saved or stop.requested:
                    self.save(best=False)
                if stop.requested:
                    self.leave()
                begin = time.monotonic()

    def label(self) -> str:
        """The round that begins: `epoch 3/20`, `joint: epoch 3/20, part 2/4`."""
        phase = f"{self.training.name}: " if self.training.name else ""
        parts = self.training.validations_per_epoch
        part = f", part {self.position.part + 1}/{parts}" if parts > 1 else ""
        return f"{phase}epoch {self.epochs_done + 1}/{self.training.epochs}{part}"

    def iterate(self, batches: Mapping[str, Batch]) -> None:
        """One iteration: every update as often as it repeats, all on the same batches."""
        values: dict[str, Tensor] = {}
        for update in self.updates:
            if update is not self.active:
                update.activate()
                self.active = update
            update.set_learning_rate(self.position.step - self.position.first_step)
            for _ in range(update.spec.repeat):
                losses, values["total"] = update.step(batches)
                values.update(losses)
        self.pending.append(torch.stack([values[name] for name in self.names]))
        self.position.step += 1
        rows = sum(len(batch.rows) for batch in batches.values())
        self.position.round_means.rows += rows
        self.position.log_means.rows += rows

    def read_losses(self, begin: float, task: Task) -> None:
        """Read the pending losses from the device and add them up; their iterations began at `begin`.

        Raises:
            TrainingError: one of them is not finite.
        """
        values = torch.stack(self.pending).double().cpu().numpy()
        seconds = time.monotonic() - begin
        first = self.position.step - len(self.pending)
        self.pending.clear()
        for number, row in enumerate(values):
            if not np.isfinite(row).all():
                raise self.failure(first + number, row)
            self.position.round_means.add(row)
            self.position.log_means.add(row)
        self.position.round_means.seconds += seconds
        self.position.log_means.seconds += seconds
        means = self.position.round_means.record(self.names)
        rate = means.pop("rows_per_second")
        losses = ", ".join(f"{name.removeprefix('train.')} {value:.4g}" for name, value in means.items())
        task.note(f"{short(rate)} rows/s, {losses}")

    def log_step(self) -> None:
        """A line of the log for the iterations since the last one."""
        record = {
            "epoch": self.position.epoch + 1,
            "step": self.position.step,
            **self.position.log_means.record(self.names),
        }
        self.log.write({"kind": "step", **self.phase(), **record, **self.learning_rates()})
        self.board.scalars({**record, **self.learning_rates()}, group="step")
        self.position.log_means.clear()

    def end_round(self, validated: Mapping[str, float]) -> None:
        """Log the round, let schedules and watches see its metrics, write the checkpoint.

        Raises:
            TrainingError: a parameter is not finite; no checkpoint holds it.
        """
        refuse_lost_parameters(self.network, self.position.epoch + 1, checkpoint.find(self.checkpoints))
        position, parts = self.position, self.training.validations_per_epoch
        position.validations += 1
        whole, position.part = divmod(position.part + 1, parts)
        position.epoch += whole
        epochs = position.epoch + round(position.part / parts, 6) if position.part else position.epoch
        metrics = {**position.round_means.record(self.names), **validated}
        for update in self.updates:
            update.observe(metrics)
        improved = position.best.observe(metrics)
        position.stopping.observe(metrics)
        position.last_metrics = metrics
        best = improved or self.training.best is None
        if best:
            position.best_epoch, position.best_metrics = epochs, metrics
        record = {"epoch": epochs, "step": position.step, **metrics, **self.learning_rates()}
        flags = {"best": True} if improved else {}
        self.log.write({"kind": "epoch", **self.phase(), **record, **flags, "seconds": round(position.seconds, 3)})
        self.show(record)
        position.round_means.clear()
        self.save(best)
        told = ", ".join(f"{name} {value:.4g}" for name, value in validated.items())
        if told:
            self.progress.say(f"epoch {epochs:g}: {told}{' (best so far)' if improved else ''}")

    def phase(self) -> dict[str, str]:
        """What a line of the log says of the phase."""
        return {"phase": self.training.name} if self.training.name else {}

    def show(self, record: Mapping[str, float | int]) -> None:
        """A validation on TensorBoard."""
        self.board.scalars(record)
        every, epoch = self.training.histograms_every, self.position.epoch
        if every and epoch % every == 0 and not self.position.part:
            self.board.histograms(self.network.named_parameters(), self.position.step)
        if self.position.validations == 1:
            first = next(iter(self.training.streams.values()))
            batch = first_rows(self.dataset, first.samples, self.device)
            outputs = list(dict.fromkeys(loss.of for loss in self.training.losses.values()))
            if not self.board.graph(self.network, batch, outputs):
                self.progress.say("TensorBoard shows no graph: the network cannot be traced")

    def learning_rates(self) -> dict[str, float]:
        """Of each update, numbered from 1."""
        return {f"lr.{number}": update.optimizer.rate for number, update in enumerate(self.updates, 1)}

    def save(self, best: bool) -> Path:
        """Write a checkpoint of this moment."""
        self.board.flush()
        scaler = self.updates[0].scaler
        state: dict[str, Any] = {
            **self.position.state(),
            "optimizers": [update.optimizer.state() for update in self.updates],
            "schedules": [update.schedule.state() for update in self.updates],
            "scaler": scaler.state_dict() if scaler else None,
            "random": checkpoint.random_state(),
            "log_position": self.log.position(),
        }
        return checkpoint.save(self.checkpoints, self.network, state, best)

    def leave(self) -> NoReturn:
        """Stop because a signal asked for it.

        Raises:
            Interrupted: always.
        """
        path = checkpoint.find(self.checkpoints)
        raise Interrupted(
            f"stopped at step {self.position.step} (epoch {self.position.epoch + 1}); the checkpoint is {path}, "
            f"`engine resume {self.checkpoints.parent}` continues from it"
        )

    def failure(self, step: int, row: np.ndarray[Any, np.dtype[np.float64]]) -> TrainingError:
        """The error for an iteration (counted from 0) whose losses are not finite; its batches are read once more."""
        streams = list(self.training.streams.values())
        with closing(device_batches(self.dataset, streams, self.seed, step, torch.device("cpu"))) as ahead:
            batches = next(ahead)
        values = dict(zip(self.names, row.tolist(), strict=True))
        features = {name: each.names or () for name, each in self.network.plan.inputs.items()}
        saved = checkpoint.find(self.checkpoints)
        return non_finite_loss(step + 1, self.position.epoch + 1, values, batches, features, saved)
