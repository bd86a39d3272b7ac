"""What this machine has to compute with: processors and CUDA devices."""

from __future__ import annotations

import os

from engine.errors import UsageError


def resolve_device(name: str) -> str:
    """`auto` becomes the CUDA device where there is one.

    Raises:
        UsageError: no such device here.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if there else "cpu"
    try:
        wanted = torch.device(name)
        kind, number = wanted.type, wanted.index or 0
    except RuntimeError:
        kind, number = "?", 0
    if kind not in ("cpu", "cuda"):
        message = f"--device {name}: write auto, cpu, cuda or cuda:N"
        raise UsageError(message)
    if kind == "cuda" and not there:
        message = f"--device {name}: there is no CUDA device here; `engine doctor` says why"
        raise UsageError(message)
    if kind == "cuda" and number >= torch.cuda.device_count():
        message = f"--device {name}: the CUDA devices here are numbered from 0 to {torch.cuda.device_count() - 1}"
        raise UsageError(message)
    return name


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
