"""Writing jets in the layout of the secondary vertex sample: files of moderate size, flavours mixed in each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.simulate.jet_truth import FLAVOURS, TruthJets
from engine.simulate.ndive_branches import TREE, make_branches
from engine.simulate.root_writer import RootWriter

if TYPE_CHECKING:
    from engine.progress import Progress

JETS_A_FILE = 5_000
"""Of each flavour."""

EVENTS_A_FILE = 1_000_000
"""More than a file can have: event numbers do not occur twice in a sample."""

Job = tuple[str, Path, int, int, int]


def write_files(
    generator: str, directory: Path, jets: int, seed: int, workers: int, progress: Progress | None
) -> list[Path]:
    """Write a sample; the same seed gives the same bytes, whatever the number of workers.

    Args:
        generator: module with `make_sample(jets, rng)`: as many jets of each flavour.
        directory: created where it does not exist; files of the same name are replaced.
        jets: of each flavour, 5,000 of each a file.
        seed: of all random numbers.
        workers: processes, one file each at a time.
        progress: where it is told how far the work is.

    Returns:
        The files, sorted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    jobs = _jobs(generator, directory, jets, seed)
    total = jets * len(FLAVOURS)
    with progress.task("simulating", total=total, unit="jets") if progress else nullcontext() as task:
        for job in _run(jobs, workers):
            if task is not None:
                task.advance(job[3] * len(FLAVOURS))
    return sorted(job[1] for job in jobs)


def _jobs(generator: str, directory: Path, jets: int, seed: int) -> list[Job]:
    """Files and jets of each flavour in them."""
    count = max(1, -(-jets // JETS_A_FILE))
    edges = [jets * number // count for number in range(count + 1)]
    return [
        (generator, directory / f"jets_{number:03d}.root", number, edges[number + 1] - edges[number], seed)
        for number in range(count)
    ]


def _run(jobs: list[Job], workers: int) -> Iterator[Job]:
    """Write all files, in this process or in several; gives each when it is complete."""
    if workers <= 1 or len(jobs) == 1:
        for job in jobs:
            write_file(*job)
            yield job
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(write_file, *job): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def write_file(generator: str, path: Path, number: int, jets: int, seed: int) -> Path:
    """Write one file of jets in random order.

    Args:
        generator: module that makes the jets.
        path: the file.
        number: of the file, for the numbers of its events.
        jets: of each flavour.
        seed: of the sample.
    """
    rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
    module: Any = import_module(generator)
    sample: TruthJets = module.make_sample(jets, rng)
    mixed = sample.take(rng.permutation(len(sample)))
    numbered = replace(mixed, event=mixed.event + number * EVENTS_A_FILE)
    with RootWriter(path, TREE) as writer:
        writer.fill(make_branches(numbered, rng))
    return path
