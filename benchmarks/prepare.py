"""How many simulated events a second become rows of a prepared dataset, on two cores.

Writes files of every CalRatio kind (not timed), then prepares them as `specs/calratio.yaml` says with two worker
processes. The clock runs from the start of a fresh Python process to its end: start of the interpreter, imports, start
of the workers, reading, features, shards, fits and manifest. Beside it stand the time of a second call, which finds
everything up to date, and the processor time of a preparation in one process, which does not depend on what else the
machine does.

The original conversion is documented with 320 to 510 events/s on one core; that figure was not measured here.

    python benchmarks/prepare.py [--events 6000] [--files FOLDER] [--repeat 3]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = Path(__file__).resolve().parent.parent / "specs" / "calratio.yaml"
WORKERS = 2
WANTED = 5_000  # events/s


def main() -> None:
    """Simulate, prepare in fresh processes, print the rates."""
    options = _options()
    if options.prepare:
        return _prepare(*options.prepare)
    with tempfile.TemporaryDirectory() as scratch:
        files = options.files or Path(scratch) / "files"
        if not any(files.glob("*.root")):
            from engine.simulate.calratio import simulate

            simulate(files, options.events, workers=WORKERS)
        rates = [_measure(files, Path(scratch) / f"prepared{number}") for number in range(options.repeat)]
        _measure_processor(files, Path(scratch) / "alone")
    best, middle = max(rates), statistics.median(rates)
    print(f"events/s on {WORKERS} processes: best {best:.0f}, median {middle:.0f} of {options.repeat}")
    print(f"ratio of the median to the {WANTED} wanted: {middle / WANTED:.2f}")


def _measure(files: Path, target: Path) -> float:
    """Events a second of one preparation in a process of its own, interpreter start included."""
    begin = time.perf_counter()
    events, rows = _run(files, target, WORKERS)
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    _run(files, target, WORKERS)
    again = time.perf_counter() - begin
    print(f"{events} events -> {rows} rows in {seconds:.2f} s: {events / seconds:.0f} events/s; again: {again:.2f} s")
    return events / seconds


def _measure_processor(files: Path, target: Path) -> None:
    """Print the processor time of a preparation by one process alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    events, _ = _run(files, target, 1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"one process: {used:.2f} s of processor time, {events / used:.0f} events a processor second")


def _run(files: Path, target: Path, workers: int) -> tuple[int, int]:
    """Prepare in a fresh process; returns the events and rows."""
    command = [sys.executable, __file__, "--prepare", str(files), str(target), str(workers)]
    events, rows = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return int(events), int(rows)


def _prepare(files: str, target: str, workers: str) -> None:
    """What is measured: the spec's data section with the files of a folder."""
    from engine.data.prepare import prepare
    from engine.spec.load import load_experiment

    names = ("signal_125_55", "signal_600_150", "qcd", "bib", "control_mc", "control_data")
    overrides = [f"data.samples.{name}.files=['{files}/{name}*.root']" for name in names]
    dataset = prepare(load_experiment(SPEC, overrides).data, Path(target), int(workers))
    print(sum(entry.entries for entry in dataset.ledger), sum(entry.rows for entry in dataset.ledger))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6000, help="simulated events of each of the six kinds")
    parser.add_argument("--files", type=Path, help="folder of simulated files to use or to fill")
    parser.add_argument("--repeat", type=int, default=3, help="number of measurements")
    parser.add_argument("--prepare", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
