"""Steps of the reference fit as a loop of a graph that is being traced, for files that do without the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .iteration import Setup, State, step


def looped(setup: Setup, state: State, times: int, *, approximate: bool) -> State:
    """`times` later steps as a loop of the graph that is being traced."""

    def body(tracks: Tensor, rows: Tensor, p: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        now: State = _unpack(state, p, numbers)
        return _pack(step(_unpack(setup, tracks, rows), now, first=False, approximate=approximate))

    packed = (*_pack(setup), *_pack(state))
    example = tuple(torch.ones((1, 1, *each.shape[2:]), dtype=each.dtype) for each in packed)
    with _not_traced():
        traced = torch.jit.trace(body, example, check_trace=False)

    def repeated(tracks: Tensor, rows: Tensor, p: Tensor, numbers: Tensor, times: int) -> tuple[Tensor, Tensor]:
        for _ in range(times):
            p, numbers = traced(tracks, rows, p, numbers)
        return p, numbers

    after: State = _unpack(state, *torch.jit.script(repeated)(*packed, times))
    return after


@contextmanager
def _not_traced() -> Iterator[None]:
    """A trace within a trace: torch has no public way to let the outer one rest."""
    outer = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(outer)  # type: ignore[attr-defined]


def _leaves(tree: Any) -> list[Tensor]:
    return [tree] if isinstance(tree, Tensor) else [leaf for part in tree for leaf in _leaves(part)]


def _pack(tree: Setup | State) -> tuple[Tensor, Tensor]:
    """All numbers of the tracks (B, K, n, ...), and all of the problems (B, K, ...)."""
    of_tracks, of_problems = ([leaf for leaf in _leaves(tree) if leaf.dim() == axes] for axes in (3, 2))
    return torch.stack(of_tracks, dim=-1), torch.stack(of_problems, dim=-1)


def _unpack(like: Any, of_tracks: Tensor, of_problems: Tensor) -> Any:
    """A tree like this one with the numbers that `_pack` has put together."""
    numbers = {3: iter(of_tracks.unbind(-1)), 2: iter(of_problems.unbind(-1))}

    def filled(part: Any) -> Any:
        if isinstance(part, Tensor):
            return next(numbers[part.dim()])
        parts = [filled(each) for each in part]
        return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)

    return filled(like)
