"""How fast the loader makes batches, against torch's DataLoader and memcpy, in one run.

Two kinds of data. CalRatio-sized rows, 743 float32 in mapped Arrow files in the page cache: at least 1 M rows/s on two
cores and 4 times a DataLoader with one worker. Simulated jets of up to 40 constituents with 8 features (17 on average)
plus 5 jet features, shuffled jet by jet, padded, with mask: at least 1 M jets/s on one prefetch thread, batch 1024. The
same jets with 15 constituents in three inputs, a class of each and a truth value of each of their 225 pairs: at least
0.5 M jets/s.

The rate by processor time counts the time of all threads of this process; it is what the rate by the clock would be at
best on one core that does nothing else.

    python benchmarks/loader.py [--rows 200000] [--jets 200000] [--seconds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from engine.data.fingerprint import VERSION
from engine.data.loader import Loader
from engine.data.store import PreparedDataset
from engine.spec.sections import StreamSpec

FEATURES = 743


def main() -> None:
    """Print the rates of both kinds of data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--jets", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        wide_rows(Path(scratch) / "rows", options.rows, options.seconds)
        jets(Path(scratch) / "jets", options.jets, options.seconds)


def rates(step: Callable[[], object], rows: int, seconds: float) -> tuple[float, float]:
    """Million rows a second, by the clock and by the processor time of this process; `step` makes `rows` of them."""
    for _ in range(20):
        step()
    steps, wall, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        for _ in range(10):
            step()
        steps += 10
    million = steps * rows / 1e6
    return million / (time.perf_counter() - wall), million / (time.process_time() - processor)


def loader_step(dataset: PreparedDataset, batch: int, threads: int = 1) -> Callable[[], object]:
    """One batch of the loader a call."""
    stream = StreamSpec("main", tuple(dataset.manifest["samples"]), batch, Path("training"))
    batches: Iterator[object] = iter(Loader(dataset, [stream], seed=1, threads=threads))
    return lambda: next(batches)


def wide_rows(folder: Path, rows: int, seconds: float, batch: int = 512) -> None:
    """Rows of 743 float32, no objects."""
    dataset = write_rows(folder, rows)
    memcpy = memcpy_rate(dataset.segments[0].inputs["row"][1], seconds / 3)
    wall, processor = rates(loader_step(dataset, batch), batch, seconds)
    two, _ = rates(loader_step(dataset, batch, threads=2), batch, seconds)
    peers = {
        f"DataLoader, {kind}, {workers} worker": data_loader(folder, batch, workers, kind == "batches", seconds)
        for kind in ("items", "batches")
        for workers in (0, 1)
    }
    print(f"rows of {FEATURES} float32, batch {batch}, fully shuffled")
    print(f"  memcpy, one core              {memcpy:6.2f} GB/s")
    print(
        f"  loader, one thread            {wall * FEATURES * 4e-3:6.2f} GB/s {wall:7.3f} M rows/s"
        f"   {processor:.3f} by processor time   {wall * FEATURES * 4e-3 / memcpy:.2f} of memcpy"
    )
    print(f"  loader, two threads           {two * FEATURES * 4e-3:6.2f} GB/s {two:7.3f} M rows/s (goal 1)")
    for name, rate in peers.items():
        print(f"  {name:30s}{rate:7.3f} M rows/s   loader {wall / rate:5.1f} x (goal with 1 worker: 4)")


def memcpy_rate(source: np.ndarray, seconds: float) -> float:
    """GB/s of processor time of a copy of memory that no cache holds."""
    target = np.zeros_like(source)
    return rates(lambda: np.copyto(target, source), len(source), seconds)[1] * source.shape[1] * 4e-3


class MappedRows(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Rows out of the same mapped files, an item at a time or a batch: what one writes for a DataLoader.

    Its values are neither clipped nor scaled, which is in its favour.
    """

    def __init__(self, folder: Path) -> None:
        self.values = [segment.inputs["row"][1] for segment in PreparedDataset.open(folder).segments]
        self.starts = np.cumsum([0, *map(len, self.values)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int | list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(index, int):
            number = int(np.searchsorted(self.starts, index, side="right")) - 1
            return torch.from_numpy(self.values[number][index - self.starts[number]].copy()), torch.tensor(index % 3)
        rows = np.asarray(index)
        segment = np.searchsorted(self.starts, rows, side="right") - 1
        result = np.empty((len(rows), FEATURES), np.float32)
        for number in np.unique(segment):
            here = segment == number
            result[here] = self.values[number][rows[here] - self.starts[number]]
        return torch.from_numpy(result), torch.from_numpy(rows % 3)


def data_loader(folder: Path, batch: int, workers: int, whole_batches: bool, seconds: float) -> float:
    """Million rows a second of torch's DataLoader by the clock."""
    data = MappedRows(folder)
    options: dict[str, object] = {"num_workers": workers}
    if workers:
        options |= {"prefetch_factor": 4, "persistent_workers": True}
    if whole_batches:
        order = torch.utils.data.RandomSampler(data)
        options |= {"sampler": torch.utils.data.BatchSampler(order, batch, drop_last=True), "batch_size": None}
    else:
        options |= {"batch_size": batch, "shuffle": True, "drop_last": True}
    loader = torch.utils.data.DataLoader(data, **options)

    def endless() -> Iterator[object]:
        while True:
            yield from loader

    batches = endless()
    return rates(lambda: next(batches), batch, seconds)[0]


def write_rows(folder: Path, rows: int) -> PreparedDataset:
    """A prepared dataset of random rows with labels, a clip and a scale on every feature."""
    (folder / "shards").mkdir(parents=True)
    random, shards = np.random.default_rng(1), []
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        columns: dict[str, pa.Array] = {
            "input:row": pa.FixedSizeListArray.from_arrays(
                pa.array(random.standard_normal(count * FEATURES, dtype=np.float32)), FEATURES
            ),
            "target:label": pa.array(random.integers(0, 3, count, dtype=np.int32)),
            "weight": pa.array(np.ones(count)),
            "split": pa.array(np.zeros(count, np.uint8)),
        }
        name = f"shards/rows-{len(shards):04d}.arrow"
        record = pa.record_batch(list(columns.values()), names=list(columns))
        with pa.ipc.new_file(str(folder / name), record.schema) as file:
            file.write_batch(record)
        shards.append({"file": name, "sample": "rows", "rows": count})
    transforms = [{"low": -5.0, "high": 5.0, "scale": 0.5} for _ in range(FEATURES)]
    manifest = {
        "version": VERSION,
        "inputs": {"row": {"kind": "row", "keep": None, "features": [str(i) for i in range(FEATURES)]}},
        "targets": {"label": {"classes": ["a", "b", "c"], "kind": "row", "components": [], "dtype": "int32"}},
        "columns": {},
        "weights": {},
        "samples": {"rows": {"labels": [], "rows": rows}},
        "shards": shards,
        "transforms": {"row": transforms},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return PreparedDataset(folder, manifest)


def jets(folder: Path, number: int, seconds: float, batch: int = 1024) -> None:
    """Jets with constituents, prepared from a simulated sample as a user would."""
    from engine.data.prepare import prepare
    from engine.simulate.jets import jet_spec_data, write_jets
    from engine.spec.build_data import build_data

    folder.mkdir()
    section = {"seed": 1, **jet_spec_data(write_jets(folder / "jets.parquet", number))}
    kinds = {
        "40 constituents x 8": (section, 1.0),
        "15 constituents x 5, 5, 8, targets of them": (labelled(section), 0.5),
    }
    for index, (name, (data, goal)) in enumerate(kinds.items()):
        dataset = prepare(build_data(data), folder / f"prepared{index}", 1)
        wall, processor = rates(loader_step(dataset, batch), batch, seconds)
        print(f"\n{number} jets of up to {name} and 5 jet features, batch {batch}, shuffled jet by jet")
        print(
            f"  loader                        {wall:7.3f} M jets/s (goal {goal:g})   {processor:.3f} by processor time"
        )


def labelled(section: dict[str, Any]) -> dict[str, Any]:
    """The same jets as for vertexing: three inputs of 15 constituents, targets of these and of their pairs."""
    features = list(section["inputs"]["constituents"]["features"])
    parts = {"first": features[:5], "second": features[3:], "all": features}
    inputs = {
        name: {"of": "constituents", "keep": 15, "features": {each: {} for each in part}}
        for name, part in parts.items()
    }
    classes = {"negative": -1, "neutral": 0, "positive": 1}
    targets = {
        "charge": {"of": "first", "expression": "charge", "classes": classes},
        "same_charge": {"pairs": "first", "expression": "left.charge == right.charge"},
    }
    return {
        **section,
        "inputs": {**inputs, "jet": section["inputs"]["jet"]},
        "targets": {**section["targets"], **targets},
    }


if __name__ == "__main__":
    main()
