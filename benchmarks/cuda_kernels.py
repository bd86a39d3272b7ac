"""Every kernel on a CUDA device, with the device's roofs next to the rates; kept in benchmarks/results/.

Claims, on an H200: 1e8 vertex fits a second in float32 for a million resident jets of 15 tracks, and the batch of a
training step under 50 microseconds. Times are medians, after calls that do not count, in two ways: those of the device
alone, by events around calls that wait in its queue while it is busy with something else, and those by the clock of
calls that follow each other, torch and Python included: the larger one for small batches. Each rate is followed by the
part of the roof that it needs at least: the bytes that must move once, or the operations of the mathematics.

    python benchmarks/cuda_kernels.py [--jets 1000000] [--repeat 20]

Without a CUDA device it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_kernels import backends
from engine_kernels.extrapolate.api import extrapolate
from engine_kernels.gather.device import DeviceGather
from engine_kernels.sanitize.tensors import TensorSanitizer
from engine_kernels.sanitize.transforms import FeatureTransform
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor

RESULTS = Path(__file__).parent / "results"
TRACKS, FEATURES, KEEP = 15, 743, 40
FLOP_PER_FIT = 22_000  # forward and backward: counted for four iterations
FLOP_PER_TRACK = 250  # extrapolation, forward and backward
TRAINING_BATCHES = (100, 512, 4096)
GROUP = 20  # calls that are timed together
BUSY_CYCLES = 20_000_000  # of the device, about 10 ms: longer than the processor needs to start a group of small calls
# Arithmetic units of a multiprocessor by compute capability: float32, float64.
UNITS = {(8, 0): (64, 32), (8, 6): (128, 2), (8, 9): (128, 2), (9, 0): (128, 64), (10, 0): (128, 64)}
Case = tuple[str, int, Callable[[], object], float, float, torch.dtype]
"""(name, items of a call, the call, bytes it must move, operations it must do, precision)."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jets", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"no CUDA device is available; nothing was measured (kernels: {backends.cuda()})")
        return
    facts = device_facts()
    print(f"{facts['device']}: {facts['roofs']}; kernels: {backends.cuda()}")
    rows = []
    for name, items, call, moved, operations, dtype in cases(options.jets):
        seconds, by_clock = device_seconds(call, options.repeat), clock_seconds(call, options.repeat)
        row = {"case": name, "seconds": seconds, "seconds_by_clock": by_clock, "items_per_second": items / seconds}
        row |= parts_of_roof(facts["roofs"], moved / seconds, operations / seconds, dtype)
        rows.append(row)
        times = f"{seconds * 1e6:10.1f} us, by the clock {by_clock * 1e6:10.1f} us"
        print(f"{name:55s} {times}  {items / seconds:10.3g} /s  {row['of_memory']}  {row['of_units']}")
    write({**facts, "cases": rows})


def device_seconds(call: Callable[[], object], repeat: int) -> float:
    """Median seconds that the device takes for a call: meanwhile nothing is asked of it, the calls are in its queue."""
    for _ in range(5):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeat):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(BUSY_CYCLES)
        start.record()
        for _ in range(GROUP):
            call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / GROUP)
    return statistics.median(times)


def clock_seconds(call: Callable[[], object], repeat: int) -> float:
    """Median seconds of a call by the clock, from the first of a group until the device has done the last."""
    times = []
    for _ in range(repeat):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(GROUP):
            call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / GROUP)
    return statistics.median(times)


def device_facts() -> dict[str, Any]:
    """Name, date, commit, command and roofs: from the properties of the device where torch tells them, and measured."""
    properties = torch.cuda.get_device_properties(0)
    clock, units = getattr(properties, "clock_rate", None), UNITS.get((properties.major, properties.minor))
    memory, width = getattr(properties, "memory_clock_rate", None), getattr(properties, "memory_bus_width", None)
    roofs: dict[str, float | None] = {"bytes_per_second": None, "float32": None, "float64": None}
    if memory and width:
        roofs["bytes_per_second"] = 2 * memory * 1e3 * width / 8
    if clock and units:
        for name, count in zip(("float32", "float64"), units, strict=True):
            roofs[name] = 2 * count * properties.multi_processor_count * clock * 1e3
    source = torch.empty(1 << 28, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    roofs["measured_copy_bytes_per_second"] = 2 * source.nbytes / device_seconds(lambda: target.copy_(source), 5)
    git = shutil.which("git")
    commit = (
        subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        if git
        else ""
    )
    return {
        "device": properties.name,
        "date": datetime.date.today().isoformat(),
        "commit": commit or "unknown",
        "command": " ".join(["python", *sys.argv]),
        "torch": torch.__version__,
        "kernels": backends.cuda(),
        "roofs": roofs,
    }


def parts_of_roof(roofs: dict[str, Any], moved: float, operations: float, dtype: torch.dtype) -> dict[str, str]:
    """What part of the memory's and of the arithmetic units' rate is needed at least."""
    memory, units = roofs["bytes_per_second"], roofs[str(dtype).removeprefix("torch.")]
    memory = memory or roofs["measured_copy_bytes_per_second"]
    return {
        "of_memory": f"{moved / 1e9:.0f} GB/s, {moved / memory:.0%} of memory",
        "of_units": f"{operations / 1e12:.2f} Tflop/s" + (f", {operations / units:.0%} of units" if units else ""),
    }


def cases(jets: int) -> list[Case]:
    """All that is measured."""
    fits = [fit_case(jets, dtype) for dtype in (torch.float32, torch.float64)]
    steps = [fit_case(batch, torch.float32) for batch in TRAINING_BATCHES]
    return [*fits, *steps, extrapolation_case(jets), *row_cases(jets // 4), jets_case(jets)]


def toys(jets: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Tracks, variances and random weights: ten thousand toy jets again and again, with weights of their own."""
    made, times = make_toys(min(jets, 10_000), TRACKS, seed=7), -(-jets // 10_000)
    tracks, variances = (
        torch.tensor(array, dtype=dtype, device="cuda").repeat(times, 1, 1)[:jets].contiguous()
        for array in (made.tracks, made.variances)
    )
    return tracks, variances, torch.sigmoid(2 * torch.randn(jets, TRACKS, dtype=dtype, device="cuda"))


def fit_case(jets: int, dtype: torch.dtype) -> Case:
    """The fit and the gradient of its vertex with respect to the weights, as a network that learns them asks for."""
    tracks, variances, weights = toys(jets, dtype)
    weights.requires_grad_()
    cotangent = torch.ones(jets, 3, dtype=dtype, device="cuda")

    def step() -> object:
        return torch.autograd.grad(vertex_fit(tracks, variances, weights).vertex, weights, cotangent)

    read, written = TRACKS * (5 + 5 + 1), TRACKS * (3 + 4) + 14  # momenta, response; vertex, covariance, chi2, status
    moved = jets * dtype.itemsize * (read + written + TRACKS * (4 + 1) + 3)  # the gradient reads response and cotangent
    name = f"vertex fit, both ways, {jets} jets, {str(dtype).removeprefix('torch.')}"
    return name, jets, step, moved, jets * FLOP_PER_FIT, dtype


def extrapolation_case(jets: int) -> Case:
    """The extrapolation and its gradients, float32; items are tracks."""
    tracks, _, _ = toys(jets, torch.float32)
    points = torch.randn(jets, 3, device="cuda")
    leaves, cotangent = [tracks.requires_grad_(), points.requires_grad_()], torch.ones_like(tracks)
    moved, operations = jets * TRACKS * 4 * 5 * 5, jets * TRACKS * FLOP_PER_TRACK
    name = f"extrapolation, both ways, {jets} x {TRACKS} tracks"
    return (
        name,
        jets * TRACKS,
        lambda: torch.autograd.grad(extrapolate(*leaves), leaves, cotangent),
        moved,
        operations,
        torch.float32,
    )


def row_cases(rows: int) -> list[Case]:
    """Sanitize in place, and gather with sanitize in random order, of rows of 743 float32."""
    chosen = [
        FeatureTransform(absolute=i % 4 == 0, log1p=i % 4 == 0, low=-5, high=5, offset=0.5) for i in range(FEATURES)
    ]
    table = torch.randn(rows, FEATURES, device="cuda")
    sanitizer, gather, other = TensorSanitizer(chosen), DeviceGather([(None, table)], chosen), table.clone()
    found: list[Case] = [
        (
            f"sanitize in place, {rows} rows of 3 KB",
            rows,
            lambda: sanitizer.in_place(other),
            2 * other.nbytes,
            0,
            torch.float32,
        )
    ]
    for count in (min(512, rows), rows):
        # A small batch would be found in the device's cache the second time: every call takes other rows.
        orders = itertools.cycle(torch.randperm(rows, device="cuda").split(count)[: rows // count])
        segment = torch.zeros(count, dtype=torch.int32, device="cuda")

        def call(segment: Tensor = segment, orders: Iterator[Tensor] = orders) -> object:
            return gather(segment, next(orders), check=False)

        found.append(
            (f"gather + sanitize, {count} rows of 3 KB", count, call, 2 * count * FEATURES * 4, 0, torch.float32)
        )
    return found


def jets_case(jets: int) -> Case:
    """Jagged objects to padded batches and masks, all jets at once."""
    counts = np.random.default_rng(2).poisson(14, jets)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    values = torch.randn(int(offsets[-1]), 10, device="cuda")
    gather = DeviceGather([(offsets, values)], [FeatureTransform(scale=0.5) for _ in range(10)], KEEP)
    segment, order = torch.zeros(jets, dtype=torch.int32, device="cuda"), torch.randperm(jets, device="cuda")
    moved = values.nbytes + jets * (KEEP * 41 + 20)
    name = f"gather, {jets} jets, 10 variables, padded to {KEEP}"
    return name, jets, lambda: gather(segment, order, check=False), moved, 0, torch.float32


def write(record: dict[str, Any]) -> None:
    """The record as JSON, and a table of it as Markdown."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{record['date']}-{record['device'].replace(' ', '_')}.json"
    target.write_text(json.dumps(record, indent=2) + "\n")
    lines = [f"# {record['device']}, {record['date']}", "", f"commit {record['commit']}, `{record['command']}`", ""]
    lines += [f"Roofs: {record['roofs']}", ""]
    lines += ["| case | us | us by the clock | items/s | memory | units |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['case']} | {row['seconds'] * 1e6:.1f} | {row['seconds_by_clock'] * 1e6:.1f} "
        f"| {row['items_per_second']:.3g} | {row['of_memory']} | {row['of_units']} |"
        for row in record["cases"]
    ]
    target.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"written to {target} and {target.with_suffix('.md').name}")


if __name__ == "__main__":
    main()
