"""Functions that numba compiles out of several modules of plain Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from hashlib import sha256
from types import ModuleType
from typing import Any

import numba
from numba.extending import register_jitable


def compiled(modules: tuple[ModuleType, ...], *functions: Callable[..., Any]) -> list[Any]:
    """Each of the functions as numba compiles it, at its first call; it may call all functions of the modules.

    Machine code is kept on disk. It is found again as long as no source of the modules changes: numba itself would look
    at one file alone.
    """
    for module in modules:
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                register_jitable(forceinline=True)(function)
    sources = sha256("".join(inspect.getsource(module) for module in modules).encode()).hexdigest()
    return [_kept(function, sources) for function in functions]


def _kept(function: Callable[..., Any], sources: str) -> Any:
    @numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def run(*arguments: Any) -> Any:
        return function(*arguments) if len(sources) > 0 else None  # what a closure holds is part of numba's key

    return run
