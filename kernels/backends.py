"""Which implementation of each kernel is in use, and why.

`ENGINE_KERNELS=native|numba|reference` forces one; otherwise the first that works is taken, native before numba before
the reference. Tensors on a CUDA device go through the CUDA versions where they were built, else (and with
`ENGINE_KERNELS=reference`) through operations of torch on that device.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

IMPLEMENTATIONS = ("native", "numba", "reference")
KERNELS = ("sanitize", "gather", "vertex_fit", "extrapolate")
VARIABLE = "ENGINE_KERNELS"


class BackendError(RuntimeError):
    """The implementation that ENGINE_KERNELS asks for is not there."""


class Choice(NamedTuple):
    """What a kernel runs with, and why.

    Attributes:
        kernel: name of the kernel's folder.
        implementation: "native", "numba" or "reference"; "cuda" or "reference" for tensors on a CUDA device.
        reason: for a person, such as "built for baseline, x86-64-v3, x86-64-v4; running x86-64-v4".
    """

    kernel: str
    implementation: str
    reason: str

    def __str__(self) -> str:
        return f"{self.implementation}: {self.reason}"


@cache
def native() -> tuple[ModuleType | None, str]:
    """The compiled module, or None and the reason why there is none."""
    try:
        module = importlib.import_module("engine_kernels._native")
    except ModuleNotFoundError:
        return None, "the package was installed without its compiled module"
    except ImportError as error:
        return None, f"the compiled module does not load ({error})"
    return module, f"built for {module.built_levels}; running {module.running_level()}"


def native_module() -> Any:
    """The compiled module, where `choose` said that it is there.

    Raises:
        BackendError: there is none.
    """
    module, why = native()
    if module is None:
        raise BackendError(why)
    return module


@cache
def _numba() -> str | None:
    """Why numba cannot be used, or None."""
    try:
        importlib.import_module("numba")
    except ImportError as error:
        return f"numba does not load ({error})"
    return None


def choose(kernel: str, forced: str | None = None) -> Choice:
    """The implementation of `kernel` that runs on the CPU.

    Args:
        kernel: one of `KERNELS`.
        forced: an implementation; without it, the environment variable ENGINE_KERNELS.

    Raises:
        BackendError: the forced implementation does not exist or is not available.
    """
    name = forced or os.environ.get(VARIABLE) or None
    module, why = native()
    there = module is not None and kernel in module.kernels
    if there and name in (None, "native"):
        return Choice(kernel, "native", why)
    if name is not None and name not in IMPLEMENTATIONS:
        raise BackendError(f"there is no implementation {name!r} of the kernels; choose native, numba or reference")
    if module is not None and not there:
        why = f"the compiled module has no {kernel}"
    if name == "native":
        raise BackendError(f"the native implementation of {kernel} was asked for, but {why}")
    missing = None if name == "reference" else _numba()
    if name == "numba" and missing:
        raise BackendError(f"the numba implementation of {kernel} was asked for, but {missing}")
    if name is not None:
        return Choice(kernel, name, "asked for by the caller" if forced else f"{VARIABLE} is set")
    return Choice(kernel, "reference", f"{why}; {missing}") if missing else Choice(kernel, "numba", why)


def choose_cuda(kernel: str) -> Choice:
    """The implementation of `kernel` that runs for tensors on a CUDA device: the compiled one, or operations of torch.

    Raises:
        BackendError: ENGINE_KERNELS names no implementation.
    """
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in IMPLEMENTATIONS:
        raise BackendError(f"there is no implementation {name!r} of the kernels; choose native, numba or reference")
    if name == "reference":
        return Choice(kernel, "reference", f"{VARIABLE} is set")
    module, why = native()
    if module is None:
        return Choice(kernel, "reference", why)
    if not hasattr(module, f"{kernel}_cuda"):
        return Choice(kernel, "reference", f"built without the CUDA kernel of {kernel}")
    devices, reason = _devices(module)
    if not devices:
        return Choice(kernel, "reference", f"built for {module.cuda_archs} and PTX, but {reason}")
    return Choice(kernel, "cuda", f"built for {module.cuda_archs} and PTX")


@cache
def _devices(module: Any) -> tuple[int, str]:
    """How many CUDA devices the compiled kernels run on, and why none; asked once."""
    found: tuple[int, str] = module.device_count()
    return found


def cuda() -> str:
    """One sentence on the CUDA kernels: what they were built for, whether there is a device, what runs without them."""
    module, why = native()
    if module is None:
        return f"none: {why}; tensors on a CUDA device go through operations of torch"
    if not module.cuda_archs:
        return "none: built without CUDA; tensors on a CUDA device go through operations of torch"
    forced = os.environ.get(VARIABLE) == "reference"
    count, reason = _devices(module)
    found = f"{count} device" + ("" if count == 1 else "s") + (f" ({reason})" if reason else "")
    text = f"built for {module.cuda_archs} and PTX; {found}"
    return text + (f"; not used: {VARIABLE}=reference" if forced else "")


def report() -> list[tuple[str, str]]:
    """A line for each kernel and one for CUDA: (name, implementation and reason), for `engine doctor`."""
    return [*((kernel, str(choose(kernel))) for kernel in KERNELS), ("cuda", cuda())]
