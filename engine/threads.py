"""How the threads of torch wait for each other."""

from __future__ import annotations

import os

SPINS = "1000"  # a few microseconds


def wait_politely() -> None:
    """Let waiting threads sleep soon instead of spinning for milliseconds; to be called before torch is imported.

    GNU OpenMP lets threads spin at the end of every parallel region. Where other programs use the same processors, a
    spinning thread keeps its own partner from running: on two busy cores a training step of a small recurrent network
    took 0.4 to 5 s that way, and 0.1 to 0.3 s with short spins. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
