"""The loader: every row once an epoch, the same batches whatever the threads do, resumable at any step."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform

from engine.data.loader import Batch, Loader, sequential, steps_per_epoch
from engine.data.memory import VARIABLE, budget
from engine.data.prepare import prepare
from engine.data.store import PreparedDataset, RowIndex
from engine.errors import DataError, UsageError
from engine.simulate.jets import jet_spec_data, write_jets
from engine.spec.build_data import build_data
from engine.spec.sections import StreamSpec

PADDING = 7.0
SMALL = 4_000  # bytes: far less than the data of these tests


class MemoryDataset:
    """Prepared data that lie in memory: what the loader uses of a `PreparedDataset`, and nothing more.

    Row i of all has `jet` values (i, -i) and i % 6 objects with the value i + slot / 10, of which 4 are kept.
    """

    def __init__(self, sizes: Sequence[tuple[str, int]], train: int | None = None) -> None:
        self.manifest: dict[str, Any] = {
            "inputs": {"jet": {"keep": None}, "tracks": {"keep": 4}},
            "targets": {"label": {"classes": ["a", "b"]}, "mass": {"classes": None}},
            "weights": {"balanced": {}},
            "samples": {name: {} for name, _ in sizes},
        }
        self.segments, first = [], 0
        for sample, rows in sizes:
            number = np.arange(first, first + rows)
            offsets = np.concatenate(([0], np.cumsum(number % 6))).astype(np.int64)
            slot = np.arange(offsets[-1]) - np.repeat(offsets[:-1], number % 6)
            tracks = (np.repeat(number, number % 6) + slot / 10).astype(np.float32)[:, None]
            jet = np.stack([number, -number], axis=1).astype(np.float32)
            inputs = {"jet": (None, jet), "tracks": (offsets, tracks)}
            self.segments.append(
                SimpleNamespace(sample=sample, rows=rows, inputs=inputs, pieces=inputs, path=None, address=0)
            )
            first += rows
        self._train = first if train is None else train

    @property
    def listed_targets(self) -> list[str]:
        return []

    def rows(self, samples: Sequence[str], split: str) -> RowIndex:
        chosen = [
            (np.full(segment.rows, number, np.int32), np.arange(segment.rows))
            for number, segment in enumerate(self.segments)
            if segment.sample in samples
        ]
        segment, row = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
        return RowIndex(segment[: self._train], row[: self._train])

    def read(self, names: Sequence[str], rows: RowIndex) -> dict[str, np.ndarray]:
        starts = np.cumsum([0, *(segment.rows for segment in self.segments)])
        number = starts[rows.segment] + rows.row
        values = {"target:label": number % 2, "target:mass": number / 2, "weight": number * 1.0}
        values["weight:balanced"] = number * 3.0
        return {name: values[name] for name in names}

    def transforms(self, name: str) -> list[FeatureTransform]:
        return [FeatureTransform(), FeatureTransform(absolute=True)] if name == "jet" else [FeatureTransform()]


def stream(name: str = "main", batch: int = 16, samples: tuple[str, ...] = ("one", "two")) -> StreamSpec:
    return StreamSpec(name=name, samples=samples, batch=batch, path=("training",))


@pytest.fixture
def dataset() -> MemoryDataset:
    return MemoryDataset([("one", 60), ("two", 0), ("two", 41), ("one", 9)])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Three thousand simulated jets in real shards."""
    folder = tmp_path_factory.mktemp("jets")
    data = build_data({"seed": 1, **jet_spec_data(write_jets(folder / "jets.parquet", 3_000))})
    return prepare(data, folder / "prepared", 1)


def take(loader: Loader, steps: int, name: str = "main") -> list[Batch]:
    """Copies of the first batches of a stream."""
    return [clone(batches[name]) for batches in itertools.islice(loader, steps)]


def clone(batch: Batch) -> Batch:
    groups = (batch.inputs, batch.masks, batch.targets, batch.weights)
    return Batch(*({name: tensor.clone() for name, tensor in group.items()} for group in groups), batch.rows.copy())


def assert_equal(left: Batch, right: Batch) -> None:
    np.testing.assert_array_equal(left.rows, right.rows)
    for group in ("inputs", "masks", "targets", "weights"):
        assert getattr(left, group).keys() == getattr(right, group).keys()
        for name, tensor in getattr(left, group).items():
            assert torch.equal(tensor, getattr(right, group)[name]), (group, name)


MEMORY = pytest.mark.parametrize("memory", [None, SMALL, 1], ids=["resident", "blocks", "a block at a time"])


@MEMORY
def test_every_epoch_shows_every_row_once_in_an_order_of_its_own(dataset: MemoryDataset, memory: int | None) -> None:
    batches = take(Loader(dataset, [stream(batch=11)], seed=3, memory=memory), 30)
    rows = np.concatenate([batch.rows for batch in batches])[: 3 * 110].reshape(3, 110)
    for epoch in rows:
        assert sorted(epoch) == list(range(110))
    if memory != 1:
        assert not np.array_equal(rows[0], rows[1])
        assert not np.array_equal(rows[0], np.arange(110))


@MEMORY
def test_a_batch_holds_what_belongs_to_its_rows(dataset: MemoryDataset, memory: int | None) -> None:
    for batch in take(Loader(dataset, [stream()], seed=3, memory=memory), 20):
        number = torch.from_numpy(batch.rows)
        assert torch.equal(batch.inputs["jet"], torch.stack([number, number], dim=1).float())
        assert torch.equal(batch.targets["label"], number % 2)
        assert batch.targets["label"].dtype == torch.int64
        assert torch.equal(batch.targets["mass"], number.float() / 2)
        assert torch.equal(batch.weights["weight"], number.float())
        assert torch.equal(batch.weights["balanced"], 3 * number.float())
        slot = torch.arange(4)
        assert torch.equal(batch.masks["tracks"], slot < (number % 6)[:, None])
        expected = torch.where(batch.masks["tracks"], number[:, None] + slot / 10, 0.0).float()
        torch.testing.assert_close(batch.inputs["tracks"][:, :, 0], expected)


@MEMORY
@pytest.mark.parametrize("start", [1, 6, 7, 23])
def test_a_loader_that_starts_late_continues_an_undisturbed_one(
    dataset: MemoryDataset, memory: int | None, start: int
) -> None:
    streams = [stream(), stream("control", 7, ("one",))]
    for name in ("main", "control"):
        whole = take(Loader(dataset, streams, seed=5, memory=memory), start + 12, name)
        late = take(Loader(dataset, streams, seed=5, start_step=start, memory=memory), 12, name)
        for left, right in zip(whole[start:], late, strict=True):
            assert_equal(left, right)


@MEMORY
def test_the_number_of_threads_changes_nothing(dataset: MemoryDataset, memory: int | None) -> None:
    one = take(Loader(dataset, [stream(batch=11)], seed=3, memory=memory), 30)
    several = take(Loader(dataset, [stream(batch=11)], seed=3, memory=memory, threads=3), 30)
    for left, right in zip(one, several, strict=True):
        assert_equal(left, right)


def test_streams_seeds_and_epochs_have_orders_of_their_own(dataset: MemoryDataset) -> None:
    def first(name: str, seed: int) -> list[int]:
        return take(Loader(dataset, [stream(name, 110)], seed=seed), 1, name)[0].rows.tolist()

    orders = [first("main", 1), first("main", 2), first("control", 1), first("main", -1)]
    assert len({tuple(order) for order in orders}) == 4


def test_another_stream_does_not_change_the_order(dataset: MemoryDataset) -> None:
    alone = take(Loader(dataset, [stream()], seed=1), 9)
    beside = take(Loader(dataset, [stream("other", 50), stream()], seed=1), 9)
    for left, right in zip(alone, beside, strict=True):
        assert_equal(left, right)


def test_a_batch_larger_than_its_stream_has_all_rows(dataset: MemoryDataset) -> None:
    batches = take(Loader(dataset, [stream(batch=1000)], seed=1), 3)
    assert [sorted(batch.rows) for batch in batches] == [list(range(110))] * 3


def test_the_timing_of_threads_has_no_influence(dataset: MemoryDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = take(Loader(dataset, [stream()], seed=1), 12)
    into = Gather.into

    def slow(self: Gather, *arguments: Any) -> None:
        time.sleep(0.002)
        into(self, *arguments)

    monkeypatch.setattr(Gather, "into", slow)
    hasty = take(Loader(dataset, [stream()], seed=1), 12)
    monkeypatch.undo()
    lazy = []
    for batches in itertools.islice(Loader(dataset, [stream()], seed=1), 12):
        time.sleep(0.003)
        lazy.append(clone(batches["main"]))
    for batches in zip(quick, hasty, lazy, strict=True):
        assert_equal(batches[0], batches[1])
        assert_equal(batches[0], batches[2])


def test_a_batch_stays_while_the_next_one_is_used(dataset: MemoryDataset) -> None:
    loader = iter(Loader(dataset, [stream()], seed=1))
    before = next(loader)["main"]
    copy = clone(before)
    for _ in range(20):
        after = next(loader)["main"]
        time.sleep(0.001)  # the thread would overwrite it now, if it did
        assert_equal(before, copy)
        before, copy = after, clone(after)
    loader.close()


@MEMORY
def test_leaving_a_loader_ends_its_threads(dataset: MemoryDataset, memory: int | None) -> None:
    loader = Loader(dataset, [stream()], seed=1, memory=memory)
    for _ in range(2):  # and it can be used again
        batches = iter(loader)
        next(batches)
        batches.close()
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith(("loader", "blocks"))]


@MEMORY
def test_an_error_in_the_thread_reaches_the_user(dataset: MemoryDataset, memory: int | None) -> None:
    dataset.segments[0].pieces["tracks"][0][31] = 10**6
    with pytest.raises((ValueError, DataError), match="offsets"):
        take(Loader(dataset, [stream()], seed=1, memory=memory), 20)


def test_a_stream_without_rows_is_refused(dataset: MemoryDataset) -> None:
    dataset._train = 0
    with pytest.raises(DataError, match="stream main has no training rows"):
        Loader(dataset, [stream()], seed=1)


@pytest.mark.parametrize("batch", [1, 16, 110, 1000])
def test_sequential_shows_all_rows_in_order_the_last_partial_batch_included(dataset: MemoryDataset, batch: int) -> None:
    batches = list(sequential(dataset, ["one", "two"], "test", batch))
    assert len(batches) == steps_per_epoch(110, batch)
    rows = np.concatenate([part.rows for part in batches])
    np.testing.assert_array_equal(rows, np.arange(110))
    jets = torch.cat([part.inputs["jet"] for part in batches])
    index = dataset.rows(["one", "two"], "test")
    stored = np.stack([dataset.segments[s].inputs["jet"][1][r] for s, r in zip(index.segment, index.row, strict=True)])
    np.testing.assert_array_equal(jets.numpy(), np.abs(stored))


def test_blocks_from_files_hold_the_same_rows_as_the_mapped_shards(prepared: PreparedDataset) -> None:
    names = list(prepared.manifest["samples"])
    whole = next(iter(sequential(prepared, names, "train", 10_000)))
    loader = Loader(prepared, [stream(batch=100, samples=tuple(names))], seed=1, memory=200_000)
    assert not loader.resident
    assert Loader(prepared, [stream(samples=tuple(names))], seed=1).resident
    seen = 0
    for batch in take(loader, steps_per_epoch(len(whole.rows), 100)):
        for name, tensor in batch.inputs.items():
            assert torch.equal(tensor, whole.inputs[name][batch.rows])
        assert torch.equal(batch.targets["label"], whole.targets["label"][batch.rows])
        seen += len(batch.rows)
    assert seen >= len(whole.rows)


def test_a_shard_that_shrank_is_named(prepared: PreparedDataset, tmp_path: Path) -> None:
    segment = prepared.segments[0]
    short = tmp_path / "short.arrow"
    short.write_bytes(b"ARROW1")
    from engine.data.blocks import Block, read_blocks

    damaged = SimpleNamespace(
        sample="jets", rows=segment.rows, pieces=segment.pieces, path=short, address=segment.address
    )
    with pytest.raises(DataError, match=r"short\.arrow is shorter"):
        read_blocks([damaged], [Block(0, 5, 10)])
    damaged.path = tmp_path / "gone.arrow"
    with pytest.raises(DataError, match=r"gone\.arrow"):
        read_blocks([damaged], [Block(0, 5, 10)])


def test_the_memory_for_data_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "8e9")
    assert budget() == 8_000_000_000
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(UsageError, match="number of bytes"):
        budget()
    monkeypatch.delenv(VARIABLE)
    assert budget() > 2**26
