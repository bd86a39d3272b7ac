"""Files to a prepared dataset: several at once, each in a process of its own; what is done already is kept.

The work can be interrupted at any moment, by SIGKILL too. Every shard is written under another name and renamed when
it is complete, its receipt follows, and the manifest comes last. The next call keeps each shard whose receipt says that
it was made of the same file in the same way.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path

from engine.data.fingerprint import fingerprint, shard_key, shard_name
from engine.data.fits import fit_transforms
from engine.data.ledger import LedgerEntry, check_lost
from engine.data.manifest import SHARDS, build_manifest, write_manifest
from engine.data.shards import Receipt, checksum
from engine.data.sources import Source, find_sources
from engine.data.store import PreparedDataset
from engine.data.transformed import count_lost
from engine.data.weights import fit_weights
from engine.data.worker import Task, prepare_file, start_worker
from engine.errors import DataError
from engine.files import unwritable
from engine.locks import held
from engine.spec.sections.data import DataSpec

Progress = Callable[[int, int, LedgerEntry], None]
"""Called after each file with the number of files done, the number of all files, and what became of it."""

_log = logging.getLogger(__name__)


def prepare(data: DataSpec, directory: Path, workers: int, progress: Progress | None = None) -> PreparedDataset:
    """Prepare the dataset that a spec describes, or open it where it is up to date.

    Args:
        data: what is read, and what is made of it.
        directory: where the dataset is; made where it is not there. Two calls for the same directory wait for each
            other.
        workers: processes that read files; with 1 this process reads them itself.
        progress: told about each file.

    Returns:
        The dataset; its `ledger` names the files that were lost.

    Raises:
        DataError: a sample has no files; a file was lost and the spec says `on_error: stop`; more were lost than
            `max_lost` allows; or no file gave a row.
        StorageError: there is no room for the dataset.
        UsageError: the directory cannot be written.
    """
    sources = find_sources(data)
    wanted = fingerprint(data, sources)
    dataset = _up_to_date(directory, wanted)
    if dataset is not None:
        return dataset
    try:
        (directory / SHARDS).mkdir(parents=True, exist_ok=True)
        with held(directory, partial(_say_who, directory)):
            return _up_to_date(directory, wanted) or _build(data, directory, wanted, sources, workers, progress)
    except OSError as error:
        raise unwritable(directory, error) from error


def _up_to_date(directory: Path, wanted: str) -> PreparedDataset | None:
    """The dataset as it is, if it was made of the same spec and files and nothing is missing or damaged."""
    try:
        dataset = PreparedDataset.open(directory)
    except DataError:
        return None
    return dataset if dataset.manifest.get("fingerprint") == wanted and dataset.is_whole() else None


def _say_who(directory: Path, owner: str) -> None:
    _log.warning("waiting for %s, which prepares %s", owner, directory)


def _build(
    data: DataSpec, directory: Path, wanted: str, sources: Sequence[Source], workers: int, progress: Progress | None
) -> PreparedDataset:
    """Prepare what is missing, fit, and write the manifest."""
    folder = directory / SHARDS
    for unfinished in folder.glob(".*.part"):
        unfinished.unlink(missing_ok=True)
    tasks = [Task(data, source, shard_key(data, source), folder, shard_name(source)) for source in sources]
    known: dict[str, Receipt] = {}

    def done(task: Task, receipt: Receipt) -> None:
        known[task.name] = receipt
        if progress is not None:
            progress(len(known), len(tasks), receipt.ledger)

    for task in tasks:
        if (receipt := _usable(task)) is not None:
            done(task, receipt)
    with closing(_run([task for task in tasks if task.name not in known], workers)) as finished:
        for task, receipt in finished:
            done(task, receipt)
            if receipt.ledger.lost and data.on_error == "stop":
                break
    receipts = [known[task.name] for task in tasks if task.name in known]
    check_lost([receipt.ledger for receipt in receipts], data)
    dataset = PreparedDataset(directory, build_manifest(data, wanted, receipts))
    if not dataset.manifest["shards"]:
        raise DataError(f"no file gave a row; the first: {receipts[0].ledger.reason}", (*data.path, "samples"))
    fit_transforms(data, dataset)
    dataset.manifest["transformed_away"] = count_lost(dataset)
    fit_weights(data, dataset)
    write_manifest(directory, dataset.manifest)
    _remove_others(folder, tasks)
    return dataset


def _usable(task: Task) -> Receipt | None:
    """The receipt of an earlier call, if it holds: a file that could not be used is tried again."""
    receipt = Receipt.read(task.receipt)
    if receipt is None or receipt.key != task.key or receipt.ledger.status == "skipped":
        return None
    if receipt.shard is None:
        return receipt
    if not task.shard.is_file():
        return None
    if task.shard.stat().st_size != receipt.shard.bytes or checksum(task.shard) != receipt.shard.sha256:
        _log.warning("%s is damaged: it is not as it was written; it is made again", task.shard)
        return None
    return receipt


def _run(tasks: Sequence[Task], workers: int) -> Generator[tuple[Task, Receipt], None, None]:
    """Every task with its receipt, as they finish; large files first, so that no process is left alone at the end."""
    tasks = sorted(tasks, key=lambda task: -task.source.size)
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, prepare_file(task)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["engine.data.worker", "engine.data.readers.root_baskets"])
    stop = context.Event()
    with ProcessPoolExecutor(min(workers, len(tasks)), context, start_worker, (stop,)) as pool:
        futures = {pool.submit(prepare_file, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], _result(future, futures[future])
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _result(future: Future[Receipt], task: Task) -> Receipt:
    try:
        return future.result()
    except BrokenProcessPool:
        raise DataError(
            f"a process that read files died, while {task.source.path} and others were open; there may be too little "
            "memory for so many workers"
        ) from None


def _remove_others(folder: Path, tasks: Sequence[Task]) -> None:
    """Delete shards and receipts of files that are no longer part of the dataset."""
    names = {task.name for task in tasks}
    for path in folder.iterdir():
        if path.stem not in names and path.suffix in (".arrow", ".json"):
            path.unlink()
