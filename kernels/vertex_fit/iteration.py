"""One step of the reference fit, for all problems at once; several of them in eager code, unrolled, or as a loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import track_model as model
from .algebra import Symmetric, Vector, dot, factor, plus, rows, solve, times
from .problem import Status
from .track_model import Frame, Linear


class Setup(NamedTuple):
    """What all steps share.

    Attributes:
        q: track parameters in the frame, each (B, K, n).
        cov: the upper triangle of the tracks' covariances, each (B, K, n).
        weights: (B, K, n).
        frame: of each problem, (B, K).
        prior: position and inverse covariance in the frame.
        limit: fall of the objective below which the fit ends, (B, K).
    """

    q: tuple[Tensor, ...]
    cov: tuple[Tensor, ...]
    weights: Tensor
    frame: Frame
    prior: tuple[Vector, Symmetric] | None
    limit: Tensor


class State(NamedTuple):
    """What a step changes.

    Attributes:
        p: phi, theta, rho of the tracks at the point, (B, K, n) each.
        v: the point in the frame, (B, K) each.
        last: the fall of the objective that was expected of the last step, (B, K).
        status: see `Status`, as a number of the fit's precision, (B, K).
        chi2: (B, K).
        normal, squares: the normal matrix and the one with squared weights, (B, K) each.
        active: not yet at the end, bool (B, K).
    """

    p: Vector
    v: Vector
    last: Tensor
    status: Tensor
    chi2: Tensor
    normal: Symmetric
    squares: Symmetric
    active: Tensor


def first_state(setup: Setup, v: Vector) -> State:
    """Before the first step: at the point `v` with the measured momenta."""
    zero = torch.zeros_like(setup.frame.c)
    not_yet, active, none = torch.full_like(zero, float(Status.NOT_CONVERGED)), zero == 0, (zero,) * 6
    return State((setup.q[2], setup.q[3], setup.q[4]), v, zero, not_yet, zero, none, none, active)  # type: ignore[arg-type]


def linearised(setup: Setup, state: State, approximate: bool) -> Linear:
    """The tracks at the point and the momenta of a state."""
    p, v = state.p, tuple(x.unsqueeze(-1) for x in state.v)
    trig = torch.sin(p[0]), torch.cos(p[0]), torch.cos(p[1]) / torch.sin(p[1])
    return model.linearise(setup.q, setup.cov, v, p, trig, setup.frame.t.unsqueeze(-1), approximate)  # type: ignore[arg-type]


def step(setup: Setup, state: State, *, first: bool, approximate: bool) -> State:
    """The iteration of fit.h: problems that have arrived no longer move."""
    weights, frame, prior, v = setup.weights, setup.frame, setup.prior, state.v
    wide = weights.dtype == torch.float64
    parallel, digits, stalled = (1e-14, 4e-15, 1e-18) if wide else (1e-11, 2e-6, 1e-5)
    heaviest = weights.amax(-1) if weights.shape[-1] else torch.zeros_like(frame.c)
    f = linearised(setup, state, approximate)
    m, squares, b, now = _normal(setup, f, state, first=first, approximate=approximate, heaviest=heaviest)
    factors = factor(m)
    regular = (m[5] > 0) & (factors[5] > digits * m[3]) & (factors[6] > digits * m[0])
    if first:
        straight = (weights * model.straightness(f, frame.t.unsqueeze(-1))).sum(-1)
        apart = straight > parallel * (m[3] + m[5])
        regular = regular & (apart if prior is None else apart | (prior[1][0] + prior[1][3] + prior[1][5] > 0))
    move = solve(factors, b)
    gain = dot(b, move)
    fine = state.active & regular & torch.isfinite(gain + sum(move) + now)
    status = torch.where(state.active & ~regular, float(Status.SINGULAR), state.status)
    x, y, z = (torch.where(fine, value, 0.0) for value in move)
    ahead = model.moved(f, setup.q, (x.unsqueeze(-1), y.unsqueeze(-1), z.unsqueeze(-1)), state.p, approximate)
    active = fine
    if not approximate:
        ratio = torch.ones_like(gain) if first else (gain / state.last).clamp(1e-6, 1.0)
        still = (gain < stalled * heaviest) & (gain > 0.25 * state.last)
        arrived = ((gain * ratio < setup.limit) & (gain < 5e2 * setup.limit)) | still
        status, active = torch.where(fine & arrived, 0.0, status), fine & ~arrived

    def taken(new: tuple[Tensor, ...], old: tuple[Tensor, ...], where: Tensor = fine) -> Any:
        return tuple(torch.where(where, a, b) for a, b in zip(new, old, strict=True))

    return State(
        taken(ahead, state.p, fine.unsqueeze(-1)),
        (v[0] + x, v[1] + y, v[2] + (z + frame.t * x)),
        gain,
        status,
        torch.where(fine, now - gain, state.chi2),
        taken(m, state.normal),
        taken(squares, state.squares),
        active,
    )


def _normal(
    setup: Setup, f: Linear, state: State, *, first: bool, approximate: bool, heaviest: Tensor
) -> tuple[Symmetric, Symmetric, Vector, Tensor]:
    """The normal matrix, that with squared weights, the right-hand side, and the objective at the point."""
    weights, (l1, l2) = setup.weights, model.multipliers(f, *f.y)
    parts = torch.stack(model.information(f), dim=-1) * weights.unsqueeze(-1)
    m, squares = parts.sum(-2).unbind(-1), (parts * weights.unsqueeze(-1)).sum(-2).unbind(-1)
    down = list(model.force(f, l1, l2))
    if not approximate and not first:
        near = (state.last < 1e4 * heaviest).unsqueeze(-1)
        for axis, extra in enumerate(model.turning(f, l1, l2)):
            down[axis] = down[axis] + torch.where(near, extra, 0.0)
    b = tuple((weights * entry).sum(-1) for entry in down)
    now = (weights * (f.y[0] * l1 + f.y[1] * l2)).sum(-1)
    if setup.prior is not None:
        place, known = setup.prior
        away = model.distance(setup.frame, state.v, place)
        pull = times(rows(known), away)
        m, squares, now = plus(m, 1.0, known), plus(squares, 1.0, known), now + dot(away, pull)  # type: ignore[arg-type]
        b = tuple(x + y for x, y in zip(b, pull, strict=True))
    return m, squares, b, now  # type: ignore[return-value]


def looped(setup: Setup, state: State, times: int, *, approximate: bool) -> State:
    """`times` later steps as a loop of the graph that is being traced."""
    with_prior = setup.prior is not None

    def body(tracks: Tensor, rows: Tensor, p: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        known = unpack_setup(tracks, rows, with_prior=with_prior)
        return pack_state(step(known, unpack_state(p, numbers), first=False, approximate=approximate))

    packed = (*pack_setup(setup), *pack_state(state))
    example = tuple(torch.ones((1, 1, *each.shape[2:]), dtype=each.dtype) for each in packed)
    with _not_traced():
        traced = torch.jit.trace(body, example, check_trace=False)

    def repeated(tracks: Tensor, rows: Tensor, p: Tensor, numbers: Tensor, times: int) -> tuple[Tensor, Tensor]:
        for _ in range(times):
            p, numbers = traced(tracks, rows, p, numbers)
        return p, numbers

    return unpack_state(*torch.jit.script(repeated)(*packed, times))


@contextmanager
def _not_traced() -> Iterator[None]:
    """A trace within a trace: torch has no public way to let the outer one rest."""
    outer = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(outer)  # type: ignore[attr-defined]


def pack_setup(setup: Setup) -> tuple[Tensor, Tensor]:
    """Numbers of each track (B, K, n, 21) and of each problem (B, K, 6 or 15)."""
    prior = () if setup.prior is None else (*setup.prior[0], *setup.prior[1])
    tracks = torch.stack([*setup.q, *setup.cov, setup.weights], dim=-1)
    return tracks, torch.stack([*setup.frame, setup.limit, *prior], dim=-1)


def unpack_setup(tracks: Tensor, rows: Tensor, *, with_prior: bool) -> Setup:
    """What `pack_setup` has packed."""
    parts, numbers = tracks.unbind(-1), rows.unbind(-1)
    prior = (numbers[6:9], numbers[9:]) if with_prior else None
    return Setup(parts[:5], parts[5:20], parts[20], Frame(*numbers[:5]), prior, numbers[5])  # type: ignore[arg-type]


def pack_state(state: State) -> tuple[Tensor, Tensor]:
    """Momenta (B, K, n, 3) and numbers of each problem (B, K, 19)."""
    numbers = [*state.v, state.last, state.status, state.chi2, *state.normal, *state.squares]
    return torch.stack(state.p, dim=-1), torch.stack([*numbers, state.active.to(state.last.dtype)], dim=-1)


def unpack_state(p: Tensor, numbers: Tensor) -> State:
    """What `pack_state` has packed."""
    rows = numbers.unbind(-1)
    v, (last, status, chi2), normal, squares = rows[:3], rows[3:6], rows[6:12], rows[12:18]
    return State(p.unbind(-1), v, last, status, chi2, normal, squares, rows[18] > 0.5)  # type: ignore[arg-type]
