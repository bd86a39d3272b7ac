"""How long a user waits: help, validation, and from the launch to the first training step on prepared data.

    python benchmarks/startup.py

Simulates small files and prepares them in a scratch directory, then prints medians of whole processes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine import shipped

REPEATS = 7
LIMITS = {
    "engine --help": 0.2,
    "engine validate --schema-only": 0.5,
    "engine validate": 0.8,
    "first training step": 3.0,
}

FIRST_STEP = """
import os, sys
from engine.training.loop import Loop
iterate = Loop.iterate
def first(self, batches):
    iterate(self, batches)
    os._exit(0)
Loop.iterate = first
"""
"""Ends the process after the first iteration; the module is imported by the command itself, only earlier."""


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a whole process."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Print a line for each wait."""
    program = [sys.executable, "-c", "from engine.cli import main; main()"]
    patched = [sys.executable, "-c", FIRST_STEP + "from engine.cli import main; main()"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shipped.copy("calratio", folder / "specs")
        subprocess.run(
            [*program, "simulate", "calratio", "-o", "data/calratio", "--events", "600"], cwd=folder, check=True
        )
        subprocess.run([*program, "prepare", "specs/calratio.yaml"], cwd=folder, check=True, capture_output=True)
        commands = {
            "engine --help": [*program, "--help"],
            "engine validate --schema-only": [*program, "validate", "--schema-only", "specs/calratio.yaml"],
            "engine validate": [*program, "validate", "specs/calratio.yaml"],
            "first training step": [*patched, "run", "specs/calratio.yaml", "--device", "cpu"],
        }
        for name, command in commands.items():
            times = [seconds(command, folder) for _ in range(REPEATS + 1)][1:]
            median = statistics.median(times)
            spread = f"{min(times):.2f} .. {max(times):.2f}"
            print(f"{name:30} {median:.2f} s (of {REPEATS}: {spread}), wanted under {LIMITS[name]:.1f} s")


if __name__ == "__main__":
    main()
