"""One step of the reference fit, for all problems at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..angles import cosine
from . import track_model as model
from .algebra import Symmetric, Vector, dot, factor, mix, plus, rows, solve, times
from .problem import Status
from .track_model import ROUNDING, Frame, Linear


class Setup(NamedTuple):
    """What all steps share: numbers (B, K, n) of the tracks, in the frame, and (B, K) of the problems."""

    q: tuple[Tensor, ...]
    cov: tuple[Tensor, ...]  # the upper triangle
    weights: Tensor
    frame: Frame
    prior: tuple[Vector, Symmetric, Tensor] | tuple[()]  # position, inverse covariance, what may be its rounding
    heaviest: Tensor
    limit: Tensor  # fall of the objective below which the fit ends


class State(NamedTuple):
    """What a step changes: numbers (B, K, n) of the tracks, in the frame, and (B, K) of the problems."""

    p: Vector
    before: Vector  # p at the point before
    v: Vector
    good: Vector  # the last good point
    move: Vector  # the step from there to v, in the basis b
    reach: Tensor  # its length, in steps of Gauss and Newton
    whole: Tensor  # 1 where it is such a step
    back: Tensor  # 1 where it is part of one that was too long
    objective: Tensor  # at the last good point
    slope: Tensor  # half the fall of the objective with the step, to first order
    last: Tensor  # fall of the objective that was expected of the last step of Gauss and Newton
    status: Tensor  # see `Status`
    chi2: Tensor
    normal: Symmetric
    squares: Symmetric  # the normal matrix with squared weights, over the heaviest one
    active: Tensor  # 1, and 0 from the end on


def first_state(setup: Setup, v: Vector) -> State:
    """Before the first step: at the point `v` with the measured momenta."""
    zero = torch.zeros_like(setup.limit)
    none, still = (zero, zero, zero, zero, zero, zero), (zero, zero, zero)
    unknown = zero + float(Status.NOT_CONVERGED)
    p: Any = setup.q[2:]
    return State(p, p, v, v, still, zero, zero, zero, zero, zero, zero, unknown, zero, none, none, zero + 1)


def linearised(q: Any, cov: Any, v: Any, p: Any, t0: Tensor, approximate: bool) -> Linear:
    """See `track_model.linearise`: q, cov and p are numbers of the tracks, v and t0 of the problems."""
    trig, point = (torch.sin(p[0]), cosine(p[0]), cosine(p[1]) / torch.sin(p[1])), [x.unsqueeze(-1) for x in v]
    return model.linearise(q, cov, tuple(point), p, trig, t0.unsqueeze(-1), approximate)  # type: ignore[arg-type]


def step(setup: Setup, state: State, *, first: bool, approximate: bool) -> State:
    """The iteration of fit.h: problems that have arrived no longer move."""
    frame, heaviest, limit, v, active = setup.frame, setup.heaviest, setup.limit, state.v, state.active > 0
    wide = limit.dtype == torch.float64
    f = linearised(setup.q, setup.cov, v, state.p, frame.t, approximate)
    m, squares, b, now = _normal(setup, f, state, near=not (first or approximate))
    factors = factor(m)
    regular = _determined(setup, f, m, factors, first=first)
    move = solve(factors, b)
    gain = dot(b, move)
    sound = active & regular & torch.isfinite(gain + sum(move) + now)
    fine = sound
    if not (first or approximate):  # it may have risen by rounding, or by the first order in the momenta
        fine = sound & ~(now > 1.03 * state.objective + (1e-3 if wide else 1e-2) * heaviest)
    status = torch.where(active & ~fine, float(Status.SINGULAR), state.status) if first or approximate else state.status
    arrived, length, back = torch.zeros_like(fine), torch.ones_like(gain), torch.zeros_like(fine)
    if not approximate:
        ratio = torch.where(state.whole > 0, gain / state.last, 1.0).clamp(1e-6, 1.0)
        still = (gain < (1e-18 if wide else 1e-5) * heaviest) & (gain > 0.25 * state.last)
        arrived = fine & (((gain * ratio < limit) & (gain < 5e2 * limit)) | still)
        status = torch.where(arrived, 0.0, status)
    if not (first or approximate):
        length, back = torch.where(arrived, 1.0, _next_reach(state, dot(b, state.move))), active & ~fine
    part = torch.where(back, torch.where(sound, _part(state, now), 0.1), 1.0)
    here = state._replace(
        good=_chosen(fine, v, state.good),
        move=_chosen(fine, tuple(length * d for d in move), tuple(part * d for d in state.move)),
        reach=torch.where(fine, length, part * state.reach),
        whole=(fine & (length == 1)).to(gain.dtype),
        back=back.to(gain.dtype),
        objective=torch.where(fine, now, state.objective),
        slope=torch.where(fine, length * gain, part * state.slope),
        last=torch.where(fine, gain, state.last),
        status=status,
        chi2=torch.where(fine, now - gain, state.chi2),
        normal=_chosen(fine, m, state.normal),
        squares=_chosen(fine, squares, state.squares),
        active=(fine if first or approximate else active).logical_and(~arrived).to(gain.dtype),
    )
    return _followed(setup, f, here, fine, back, approximate=approximate)


def _determined(setup: Setup, f: Linear, m: Symmetric, factors: tuple[Tensor, ...], *, first: bool) -> Tensor:
    """Whether the sums determine a vertex."""
    parallel, digits = (1e-14, ROUNDING[0]) if m[0].dtype == torch.float64 else (1e-11, ROUNDING[1])
    _, m1, m2, _, n, pivot2, pivot1, _ = factors
    noise, l31 = setup.prior[2] if setup.prior else torch.zeros_like(m1), m2 * n - m1
    regular = (m[5] > noise) & (pivot2 > digits * m[3] + noise * (1 + m2 * m2))
    regular = regular & (pivot1 > digits * m[0] + noise * (1 + n * n + l31 * l31))
    if first:  # does anything tell where along the jet it is
        straight = (setup.weights * model.straightness(f, setup.frame.t.unsqueeze(-1))).sum(-1)
        apart = straight > parallel * (m[3] + m[5])
        regular = regular & (apart | (setup.prior[1][0] > noise) if setup.prior else apart)
    found: Tensor = regular
    return found


def _next_reach(state: State, slope: Tensor) -> Tensor:
    """The length of the step after a good one: where the slope would vanish along the last, if that differs by much."""
    fall = torch.maximum(state.slope - slope, 1e-3 * state.slope)
    length: Tensor = state.reach * state.slope / fall
    return torch.where(slope.abs() > 0.2 * state.slope, length.clamp(0.01, 2.0), 1.0)


def _part(state: State, now: Tensor) -> Tensor:
    """The part of a step that went up where a parabola through what is known is least."""
    least: Tensor = state.slope / (now - state.objective + 2 * state.slope)
    return least.clamp(0.1, 0.5)


def _followed(setup: Setup, f: Linear, state: State, fine: Tensor, back: Tensor, *, approximate: bool) -> State:
    """The point and the momenta after the step."""
    (x, y, z), (good_x, good_y, good_z) = state.move, state.good
    there = good_x + x, good_y + y, good_z + (z + setup.frame.t * x)
    ahead = model.moved(f, setup.q, (x.unsqueeze(-1), y.unsqueeze(-1), z.unsqueeze(-1)), state.p, approximate)
    p = _chosen(fine.unsqueeze(-1), ahead, _chosen(back.unsqueeze(-1), _as_measured(setup, there), state.p))
    return state._replace(p=p, before=state.p, v=_chosen(fine | back, there, state.v))


def _as_measured(setup: Setup, v: Vector) -> Vector:
    """The momenta that the measured helices have at the point v."""
    _, _, phi, theta, rho = setup.q
    return phi + rho * (v[0].unsqueeze(-1) * cosine(phi) + v[1].unsqueeze(-1) * torch.sin(phi)), theta, rho


def settle(setup: Setup, state: State) -> State:
    """After the last step: who has not arrived stays at the best point that he has seen."""
    here, back = state.active > 0, state.back.unsqueeze(-1) > 0
    p = _chosen(here.unsqueeze(-1), _chosen(back, _as_measured(setup, state.good), state.before), state.p)
    chi2 = torch.where(here, state.objective, state.chi2)
    return state._replace(p=p, v=_chosen(here, state.good, state.v), chi2=chi2)


def _chosen(where: Tensor, new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> Any:
    return tuple(torch.where(where, a, b) for a, b in zip(new, old, strict=True))


def _normal(setup: Setup, f: Linear, state: State, *, near: bool) -> tuple[Symmetric, Symmetric, Vector, Tensor]:
    """The normal matrix, that with squared weights, the right-hand side, and the objective at the point."""
    weights, (l1, l2) = setup.weights, model.multipliers(f, *f.y)
    parts = torch.stack(model.information(f), dim=-1) * weights.unsqueeze(-1)
    m: Any = parts.sum(-2).unbind(-1)
    share = 1 / torch.where(setup.heaviest > 0, setup.heaviest, 1.0)
    squares: Any = (parts * (weights * share.unsqueeze(-1)).unsqueeze(-1)).sum(-2).unbind(-1)
    now, down = (weights * (f.y[0] * l1 + f.y[1] * l2)).sum(-1), list(model.force(f, l1, l2))
    if near:
        close = (state.last < 1e4 * setup.heaviest).unsqueeze(-1)
        for axis, extra in enumerate(model.turning(f, l1, l2)):
            down[axis] = down[axis] + torch.where(close, extra, 0.0)
    b: Any = tuple((weights * entry).sum(-1) for entry in down)
    if setup.prior:
        place, known, _ = setup.prior
        away = model.distance(setup.frame, state.v, place)
        pull = times(rows(known), away)
        m, squares, b = plus(m, 1.0, known), plus(squares, share, known), mix(1.0, b, 1.0, pull)
        now = now + dot(away, pull)
    return m, squares, b, now
