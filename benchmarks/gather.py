"""How fast rows become a sanitized batch, against memcpy, a chain of torch operations and awkward, in one run.

Two claims. Rows of 743 float32 (2972 bytes) out of a table larger than the caches, in random order, with a clip and an
affine transform on every feature and a logarithm on a quarter of them: at least 3.5 GB/s on one core, 0.3 of memcpy and
3 times a chain of torch operations. Jets with 14 objects of 10 variables on average, padded to 40 with a mask: at least
25 times awkward.

All times are processor time of the one thread that does the work (medians), so that other programs disturb them less;
they still share the memory with whatever else runs.

    python benchmarks/gather.py [--rows 300000] [--jets 200000] [--repeat 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from engine_kernels import backends
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform

FEATURES = 743
BATCH = 512
KEEP = 40


def main() -> None:
    """Print the rates and ratios of both claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--jets", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"gather: {backends.choose('gather')}")
    rows_claim(options.rows, options.repeat)
    jets_claim(options.jets, options.repeat)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median processor time of this thread, after one call that does not count."""
    work()
    times = []
    for _ in range(repeat):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return statistics.median(times)


def transforms(grouped: bool) -> list[FeatureTransform]:
    """A logarithm on a quarter of the features, side by side or each fourth."""
    chosen = (index < FEATURES // 4 if grouped else index % 4 == 0 for index in range(FEATURES))
    return [FeatureTransform(absolute=log, log1p=log, low=-5, high=5, scale=0.5, offset=0.1) for log in chosen]


def rows_claim(rows: int, repeat: int) -> None:
    """Random rows of 743 float32 out of a table in memory."""
    random = np.random.default_rng(1)
    table = np.empty((rows, FEATURES), dtype=np.float32)
    for start in range(0, rows, 10_000):
        table[start : start + 10_000] = random.standard_normal(table[start : start + 10_000].shape, dtype=np.float32)
    order = random.permutation(rows)
    batches = [order[start : start + BATCH] for start in range(0, min(rows, 60_000) - BATCH + 1, BATCH)]
    payload = len(batches) * BATCH * FEATURES * 4 / 1e9
    memcpy = memcpy_rate(table[: rows // 2], repeat)
    print(f"\nrows of {FEATURES} float32, batch {BATCH}, one core\n  memcpy                        {memcpy:6.2f} GB/s")
    segment, out = np.zeros(BATCH, np.int32), np.zeros((BATCH, FEATURES), np.float32)
    plain = Gather([(None, table)], [FeatureTransform() for _ in range(FEATURES)])
    rate = payload / seconds(lambda: [plain.into(segment, row, out) for row in batches], repeat)
    print(f"  gather, no transform          {rate:6.2f} GB/s   {rate / memcpy:5.2f} of memcpy")
    for grouped in (True, False):
        gather = Gather([(None, table)], transforms(grouped))
        rate = payload / seconds(lambda gather=gather: [gather.into(segment, row, out) for row in batches], repeat)
        label = "logarithms together" if grouped else "logarithms apart   "
        print(f"  gather + sanitize, {label}{rate:6.2f} GB/s (goal 3.5)   {rate / memcpy:5.2f} of memcpy (goal 0.3)")
        for name, chain in torch_chains(table, grouped).items():
            peer = payload / seconds(lambda chain=chain: [chain(row) for row in batches], repeat)
            print(f"    torch, {name:30s} {peer:6.2f} GB/s   gather is {rate / peer:5.2f} x (goal 3)")


def memcpy_rate(source: np.ndarray, repeat: int) -> float:
    """GB/s of a copy of memory that no cache holds."""
    target = np.zeros_like(source)
    return source.nbytes / 1e9 / seconds(lambda: np.copyto(target, source), repeat)


def torch_chains(table: np.ndarray, grouped: bool) -> dict[str, Callable[[np.ndarray], torch.Tensor]]:
    """The same with torch operations: as one writes it, and with every operation in place, in memory used again."""
    source, out = torch.from_numpy(table), torch.zeros(BATCH, FEATURES)
    columns = slice(0, FEATURES // 4) if grouped else slice(0, FEATURES, 4)
    scale, offset = torch.full((FEATURES,), 0.5), torch.full((FEATURES,), 0.1)
    low, high = torch.full((FEATURES,), -5.0), torch.full((FEATURES,), 5.0)

    def plain(row: np.ndarray) -> torch.Tensor:
        values = torch.nan_to_num(source[torch.from_numpy(row)], 0.0, 0.0, 0.0)
        values[:, columns] = torch.log1p(values[:, columns].abs())
        return torch.clamp(values, low, high) * scale + offset

    def in_place(row: np.ndarray) -> torch.Tensor:
        torch.index_select(source, 0, torch.from_numpy(row), out=out)
        out.nan_to_num_(0.0, 0.0, 0.0)
        out[:, columns] = torch.log1p(out[:, columns].abs())
        return torch.clamp(out, low, high, out=out).mul_(scale).add_(offset)

    return {"as one writes it": plain, "in place": in_place}


def jets_claim(jets: int, repeat: int) -> None:
    """Jagged objects to padded arrays and masks, all jets, in order."""
    import awkward

    random = np.random.default_rng(2)
    counts = random.poisson(14, jets)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    values = random.standard_normal((int(offsets[-1]), 10), dtype=np.float32)
    gather = Gather([(offsets, values)], [FeatureTransform() for _ in range(10)], KEEP)
    segment, row = np.zeros(jets, np.int32), np.arange(jets)
    out, mask = np.zeros((jets, KEEP, 10), np.float32), np.zeros((jets, KEEP), np.bool_)
    ours = seconds(lambda: gather.into(segment, row, out, mask), repeat)
    lists = [awkward.unflatten(values[:, index].copy(), counts) for index in range(10)]

    def by_awkward() -> np.ndarray:
        padded = [awkward.to_numpy(awkward.fill_none(awkward.pad_none(x, KEEP, clip=True), 0)) for x in lists]
        return np.stack(padded, axis=2)

    theirs = seconds(by_awkward, max(1, repeat // 3))
    same = np.array_equal(by_awkward(), out)
    print(f"\n{jets} jets, 10 variables, padded to {KEEP}, one core (same values: {same})")
    print(f"  gather, with mask    {ours * 1e3:8.1f} ms   {jets / ours / 1e6:6.2f} M jets/s")
    print(f"  awkward, no mask     {theirs * 1e3:8.1f} ms   ratio {theirs / ours:5.1f} (goal 25)")


if __name__ == "__main__":
    main()
