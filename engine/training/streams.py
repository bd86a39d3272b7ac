"""Batches of all streams on the device that trains, and how many make an epoch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.data.loader import Batch, Loader, sequential
from engine.errors import TrainingError
from engine.spec.sections import StreamSpec, TrainingSpec

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset


def iteration_length(training: TrainingSpec, dataset: PreparedDataset) -> int:
    """Iterations in an epoch: as declared, or as many as the first stream needs to see each of its rows once.

    Raises:
        TrainingError: a stream has no training rows, or an epoch fewer iterations than validations.
    """
    rows = {name: len(dataset.rows(stream.samples, "train").row) for name, stream in training.streams.items()}
    for name, number in rows.items():
        if not number:
            samples = ", ".join(training.streams[name].samples)
            raise TrainingError(
                f"the stream {name} has no training rows: its samples ({samples}) have none in the training split",
                (*training.streams[name].path, "samples"),
            )
    first = next(iter(training.streams))
    steps = training.steps_per_epoch or -(-rows[first] // training.streams[first].batch)
    if training.validations_per_epoch > steps:
        raise TrainingError(
            f"`validations_per_epoch` is {training.validations_per_epoch}, but an "
            f"epoch has no more than {steps} step{'s' * (steps != 1)}",
            (*training.path, "validations_per_epoch"),
        )
    return steps


def device_batches(
    dataset: PreparedDataset, streams: Sequence[StreamSpec], seed: int, start_step: int, device: torch.device
) -> Generator[Mapping[str, Batch]]:
    """The endless sequence of iterations' batches from one iteration (counted from 0) on.

    On CUDA the copies run on a stream of their own, beside the computation of the iteration before.
    """
    cuda = device.type == "cuda"  # which leaves the processors to the loader
    loader = Loader(dataset, streams, seed=seed, start_step=start_step, pin=cuda, threads=2 if cuda else 1)
    if device.type != "cuda":
        yield from loader
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batches in loader:
        with torch.cuda.stream(copies):
            moved = {name: to_device(batch, device) for name, batch in batches.items()}
        copies.synchronize()  # the loader may now fill these buffers again; only the copies are waited for
        for batch in moved.values():
            for tensor in _tensors(batch):
                tensor.record_stream(torch.cuda.current_stream(device))
        yield moved


def first_rows(dataset: PreparedDataset, samples: Sequence[str], device: torch.device, rows: int = 2) -> Batch:
    """A few training rows, to try the network on."""
    return to_device(next(iter(sequential(dataset, samples, "train", rows))), device)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; the CPU keeps the buffers of the loader."""
    if device.type == "cpu":
        return batch

    def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

    return Batch(move(batch.inputs), move(batch.masks), move(batch.targets), move(batch.weights), batch.rows)


def _tensors(batch: Batch) -> Iterator[Tensor]:
    for group in (batch.inputs, batch.masks, batch.targets, batch.weights):
        yield from group.values()
