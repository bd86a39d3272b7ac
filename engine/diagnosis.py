"""What `engine doctor` tells: the kernels, devices and libraries in use here, and why."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from engine.runs import PACKAGES


def describe() -> str:
    """A table of one fact a line: machine, devices, kernels with the reason for each, versions."""
    import torch
    from engine_kernels import backends

    lines = [
        ("python", f"{sys.version.split()[0]}, {platform.platform()}"),
        ("processors", f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads"),
        ("devices", _devices()),
        *((f"kernel {name}" if name != "cuda" else "CUDA kernels", text) for name, text in backends.report()),
        *((package, _version(package)) for package in PACKAGES),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {text}" for name, text in lines)


def _devices() -> str:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"torch is built for CUDA {built}, but finds no device" if built else "torch is built without CUDA"
        return f"cpu ({why})"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *(f"cuda:{number} {name}" for number, name in enumerate(names))])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
