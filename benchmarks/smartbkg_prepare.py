"""How many events a second of a pandas HDF5 file become rows of a prepared dataset, on two cores.

Writes simulated decays (not timed), then prepares them as `specs/parts/smartbkg_data.yaml` says: selection by status
bits, ranges, one-hot charges, tokens of particles, mothers and decay strings, jagged and in small types. The clock runs
from the start of a fresh Python process to its end, with two worker processes. Beside it stand the processor time of a
preparation in one process, which does not depend on what else the machine does, and the bytes an event on disk.

The original preprocessing was measured on its own stand-in file with 1,375 events/s (one core) and 13,200 bytes an
event.

    python benchmarks/smartbkg_prepare.py [--events 200000] [--files FOLDER] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKERS = 2
ORIGINAL, WANTED = 1_375, 20 * 1_375  # events/s
MOST_BYTES = 3_000


def main() -> None:
    """Simulate, prepare in fresh processes, print the rates."""
    options = _options()
    if options.prepare:
        return _prepare(*options.prepare)
    with tempfile.TemporaryDirectory() as scratch:
        files = options.files or Path(scratch) / "files"
        if not any(files.glob("*.h5")):
            from engine.simulate.smartbkg import simulate

            simulate(files, options.events, 1, WORKERS)
        found = [_run(files, Path(scratch) / f"prepared{number}", WORKERS) for number in range(options.repeat)]
        alone = _run(files, Path(scratch) / "alone", 1)
    rates = [each["events"] / each["seconds"] for each in found]
    best, middle = max(rates), statistics.median(rates)
    print(f"{found[0]['events']} events, {WORKERS} processes: best {best:.0f}, median {middle:.0f} events/s")
    print(f"ratio of the best to the original's {ORIGINAL}: {best / ORIGINAL:.1f} (wanted: {WANTED / ORIGINAL:.0f})")
    print(f"one process: {alone['events'] / alone['processor']:.0f} events a processor second")
    print(f"stored: {alone['bytes'] / alone['events']:.0f} bytes an event (wanted: at most {MOST_BYTES})")


def _run(files: Path, target: Path, workers: int) -> dict[str, Any]:
    """A preparation in a process of its own: its events, bytes, seconds from start to end, and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    command = [sys.executable, __file__, "--prepare", str(files), str(target), str(workers)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result["seconds"] = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result["processor"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result


def _prepare(files: str, target: str, workers: str) -> None:
    """What the fresh process does."""
    from engine.data.prepare import prepare
    from engine.spec.load import load_text

    experiment = load_text(_SPEC, [f"data.samples.events.files=[{files}/*.h5]"])
    shards = prepare(experiment.data, Path(target), int(workers)).manifest["shards"]
    print(json.dumps({"events": sum(s["rows"] for s in shards), "bytes": sum(s["bytes"] for s in shards)}))


_SPEC = """
include: parts/smartbkg_data.yaml
name: smartbkg
model: {graph: {y: {from: particles, layers: [mean_pool, dense: {units: 1, activation: sigmoid}]}}}
training:
  epochs: 1
  streams: {main: {samples: [events], batch: 128}}
  losses: {y: {binary_cross_entropy: {of: y, target: passes}}}
  updates: [{minimize: y, optimizer: {adam: {lr: 1e-3}}}]
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="simulated events")
    parser.add_argument("--files", type=Path, help="folder with files of `engine simulate smartbkg`, used or filled")
    parser.add_argument("--repeat", type=int, default=3, help="preparations")
    parser.add_argument("--prepare", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
