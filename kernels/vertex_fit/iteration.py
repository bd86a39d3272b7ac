"""One step of the reference fit, for all problems at once; several of them in eager code, unrolled, or as a loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import track_model as model
from .algebra import Symmetric, Vector, dot, factor, mix, plus, rows, solve, times
from .problem import Status
from .track_model import Frame, Linear


class Setup(NamedTuple):
    """What all steps share: numbers (B, K, n) of the tracks, in the frame, and (B, K) of the problems."""

    q: tuple[Tensor, ...]
    cov: tuple[Tensor, ...]  # the upper triangle
    weights: Tensor
    frame: Frame
    prior: tuple[Vector, Symmetric] | tuple[()]  # position and inverse covariance
    heaviest: Tensor
    limit: Tensor  # fall of the objective below which the fit ends


class State(NamedTuple):
    """What a step changes: numbers (B, K, n) of the tracks, in the frame, and (B, K) of the problems."""

    p: Vector
    v: Vector
    last: Tensor  # fall of the objective that was expected of the last step
    status: Tensor  # see `Status`
    chi2: Tensor
    normal: Symmetric
    squares: Symmetric  # the normal matrix with squared weights
    active: Tensor  # 1, and 0 from the end on


def first_state(setup: Setup, v: Vector) -> State:
    """Before the first step: at the point `v` with the measured momenta."""
    zero = torch.zeros_like(setup.limit)
    none = zero, zero, zero, zero, zero, zero
    return State(setup.q[2:], v, zero, zero + float(Status.NOT_CONVERGED), zero, none, none, zero + 1)  # type: ignore[arg-type]


def linearised(q: Any, cov: Any, v: Any, p: Any, t0: Tensor, approximate: bool) -> Linear:
    """See `track_model.linearise`: q, cov and p are numbers of the tracks, v and t0 of the problems."""
    trig, point = (torch.sin(p[0]), torch.cos(p[0]), torch.cos(p[1]) / torch.sin(p[1])), [x.unsqueeze(-1) for x in v]
    return model.linearise(q, cov, tuple(point), p, trig, t0.unsqueeze(-1), approximate)  # type: ignore[arg-type]


def step(setup: Setup, state: State, *, first: bool, approximate: bool) -> State:
    """The iteration of fit.h: problems that have arrived no longer move."""
    frame, heaviest, limit, v, active = setup.frame, setup.heaviest, setup.limit, state.v, state.active > 0
    wide = limit.dtype == torch.float64
    parallel, digits, stalled = (1e-14, 4e-15, 1e-18) if wide else (1e-11, 2e-6, 1e-5)
    f = linearised(setup.q, setup.cov, v, state.p, frame.t, approximate)
    m, squares, b, now = _normal(setup, f, state, near=not (first or approximate))
    factors = factor(m)
    regular = (m[5] > 0) & (factors[5] > digits * m[3]) & (factors[6] > digits * m[0])
    if first:
        straight = (setup.weights * model.straightness(f, frame.t.unsqueeze(-1))).sum(-1)
        apart = straight > parallel * (m[3] + m[5])
        if setup.prior:
            known = setup.prior[1]
            apart = apart | (known[0] + known[3] + known[5] > 0)
        regular = regular & apart
    move = solve(factors, b)
    gain = dot(b, move)
    fine = active & regular & torch.isfinite(gain + sum(move) + now)
    status = torch.where(active & ~regular, float(Status.SINGULAR), state.status)
    x, y, z = (torch.where(fine, value, 0.0) for value in move)
    ahead = model.moved(f, setup.q, (x.unsqueeze(-1), y.unsqueeze(-1), z.unsqueeze(-1)), state.p, approximate)
    active = fine
    if not approximate:
        ratio = torch.ones_like(gain) if first else (gain / state.last).clamp(1e-6, 1.0)
        still = (gain < stalled * heaviest) & (gain > 0.25 * state.last)
        arrived = ((gain * ratio < limit) & (gain < 5e2 * limit)) | still
        status, active = torch.where(fine & arrived, 0.0, status), fine & ~arrived
    chi2, p = torch.where(fine, now - gain, state.chi2), _chosen(fine.unsqueeze(-1), ahead, state.p)
    normal, squares = _chosen(fine, m, state.normal), _chosen(fine, squares, state.squares)
    v = v[0] + x, v[1] + y, v[2] + (z + frame.t * x)
    return State(p, v, gain, status, chi2, normal, squares, active.to(gain.dtype))


def _chosen(where: Tensor, new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> Any:
    return tuple(torch.where(where, a, b) for a, b in zip(new, old, strict=True))


def _normal(setup: Setup, f: Linear, state: State, *, near: bool) -> tuple[Symmetric, Symmetric, Vector, Tensor]:
    """The normal matrix, that with squared weights, the right-hand side, and the objective at the point."""
    weights, (l1, l2) = setup.weights, model.multipliers(f, *f.y)
    parts = torch.stack(model.information(f), dim=-1) * weights.unsqueeze(-1)
    m: Any = parts.sum(-2).unbind(-1)
    squares: Any = (parts * weights.unsqueeze(-1)).sum(-2).unbind(-1)
    now, down = (weights * (f.y[0] * l1 + f.y[1] * l2)).sum(-1), list(model.force(f, l1, l2))
    if near:
        close = (state.last < 1e4 * setup.heaviest).unsqueeze(-1)
        for axis, extra in enumerate(model.turning(f, l1, l2)):
            down[axis] = down[axis] + torch.where(close, extra, 0.0)
    b: Any = tuple((weights * entry).sum(-1) for entry in down)
    if setup.prior:
        place, known = setup.prior
        away = model.distance(setup.frame, state.v, place)
        pull = times(rows(known), away)
        m, squares, b = plus(m, 1.0, known), plus(squares, 1.0, known), mix(1.0, b, 1.0, pull)
        now = now + dot(away, pull)
    return m, squares, b, now


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
