"""One step of the reference fit, for all problems at once; several of them in eager code, unrolled, or as a loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from . import track_model as model
from .problem import Status
from .track_model import Frame, Symmetric, Triple

ENTRIES = tuple((i, j) for i in range(5) for j in range(i, 5))


class Setup(NamedTuple):
    """What all steps share.

    Attributes:
        q: track parameters in the frame, each (B, K, n).
        cov: entries [i][j], i <= j, of the tracks' covariances, each (B, K, n).
        weights: (B, K, n).
        frame: of each problem, (B, K).
        prior: inverse covariance and position in the frame.
        limit: fall of the objective below which the fit ends, (B, K).
    """

    q: tuple[Tensor, ...]
    cov: list[list[Tensor]]
    weights: Tensor
    frame: Frame
    prior: tuple[Symmetric, Triple] | None
    limit: Tensor


class State(NamedTuple):
    """What a step changes.

    Attributes:
        v: the point in the frame, (B, K) each.
        p: phi, theta, rho of the tracks there, (B, K, n) each.
        last: the fall of the objective that was expected of the last step, (B, K).
        status: see `Status`, as a number of the fit's precision, (B, K).
        chi2: (B, K).
        kept: entries of the normal matrix and of the one with squared weights, (B, K, 12).
        active: not yet at the end, bool (B, K).
    """

    v: Triple
    p: Triple
    last: Tensor
    status: Tensor
    chi2: Tensor
    kept: Tensor
    active: Tensor


def times(m: Symmetric, v: Triple) -> Triple:
    """m v."""
    return (
        m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
        m[1] * v[0] + m[3] * v[1] + m[4] * v[2],
        m[2] * v[0] + m[4] * v[1] + m[5] * v[2],
    )


def per_track(values: Triple) -> Triple:
    """Numbers of a problem (B, K) for each of its tracks."""
    return values[0].unsqueeze(-1), values[1].unsqueeze(-1), values[2].unsqueeze(-1)


def first_state(setup: Setup, v: Triple) -> State:
    """Before the first step: at the point `v` with the measured momenta."""
    zero = torch.zeros_like(setup.frame.c)
    kept = torch.zeros(12, dtype=zero.dtype, device=zero.device).expand(*zero.shape, 12)
    not_yet, active = torch.full_like(zero, float(Status.NOT_CONVERGED)), torch.ones_like(zero, dtype=torch.bool)
    return State(v, (setup.q[2], setup.q[3], setup.q[4]), zero, not_yet, zero, kept, active)


def step(setup: Setup, state: State, *, first: bool, approximate: bool) -> State:
    """The iteration of fit.h: problems that have arrived no longer move."""
    weights, frame, prior = setup.weights, setup.frame, setup.prior
    t0, v = frame.t.unsqueeze(-1), state.v
    wide = weights.dtype == torch.float64
    parallel, digits, stalled = (1e-14, 4e-15, 1e-18) if wide else (1e-11, 2e-6, 1e-5)
    heaviest = weights.amax(-1) if weights.shape[-1] else torch.zeros_like(frame.c)
    f = model.linearise(setup.q, setup.cov, per_track(v), state.p, t0, approximate)
    sums, b, now = _normal(setup, f, state, first=first, approximate=approximate, heaviest=heaviest)
    m = sums.unbind(-1)[:6]
    factors = model.factor(m)  # type: ignore[arg-type]
    regular = (m[5] > 0) & (factors[5] > digits * m[3]) & (factors[6] > digits * m[0])
    if first:
        tilt = t0 - f.shape[0] * f.c
        straight = (weights * (f.w[0] * f.s * f.s + 2 * f.w[1] * f.s * tilt + f.w[2] * tilt * tilt)).sum(-1)
        apart = straight > parallel * (m[3] + m[5])
        regular = regular & (apart if prior is None else apart | (prior[0][0] + prior[0][3] + prior[0][5] > 0))
    move = model.solve(factors, b)
    gain: Tensor = sum(x * y for x, y in zip(b, move, strict=True))  # type: ignore[assignment]
    fine = state.active & regular & torch.isfinite(gain + sum(move) + now)
    status = torch.where(state.active & ~regular, float(Status.SINGULAR), state.status)
    x, y, z = (torch.where(fine, value, 0.0) for value in move)
    ahead = model.moved(f, setup.q, per_track((x, y, z)), state.p, approximate)
    p = tuple(torch.where(fine.unsqueeze(-1), new, old) for new, old in zip(ahead, state.p, strict=True))
    active = fine
    if not approximate:
        ratio = torch.ones_like(gain) if first else (gain / state.last).clamp(1e-6, 1.0)
        still = (gain < stalled * heaviest) & (gain > 0.25 * state.last)
        arrived = ((gain * ratio < setup.limit) & (gain < 5e2 * setup.limit)) | still
        status, active = torch.where(fine & arrived, 0.0, status), fine & ~arrived
    return State(
        (v[0] + x, v[1] + y, v[2] + (z + frame.t * x)),
        p,  # type: ignore[arg-type]
        gain,
        status,
        torch.where(fine, now - gain, state.chi2),
        torch.where(fine.unsqueeze(-1), sums, state.kept),
        active,
    )


def _normal(
    setup: Setup, f: model.Linear, state: State, *, first: bool, approximate: bool, heaviest: Tensor
) -> tuple[Tensor, Triple, Tensor]:
    """Entries of the normal matrices (B, K, 12), the right-hand side, and the objective at the point."""
    weights, prior = setup.weights, setup.prior
    part, (l1, l2) = f.information(), f.multipliers(*f.y)
    parts = torch.stack(part, dim=-1) * weights.unsqueeze(-1)
    sums = torch.cat([parts.sum(-2), (parts * weights.unsqueeze(-1)).sum(-2)], dim=-1)
    (d11, d12), (d21, d22) = f.d
    down = [d11 * l1 + d21 * l2, d12 * l1 + d22 * l2, l2]
    if not approximate and not first:
        near = (state.last < 1e4 * heaviest).unsqueeze(-1)
        extra = [torch.where(near, value, 0.0) for value in model.turning(f, l1, l2)]
        down = [down[0] + extra[0], down[1] + extra[1], l2]
    b: Triple = tuple((weights * entry).sum(-1) for entry in down)  # type: ignore[assignment]
    now = (weights * (f.y[0] * l1 + f.y[1] * l2)).sum(-1)
    if prior is not None:
        away = from_prior(prior, state.v, setup.frame.t)
        pull = times(prior[0], away)
        sums = sums + torch.stack(prior[0] + prior[0], dim=-1)
        b = tuple(a + c for a, c in zip(b, pull, strict=True))  # type: ignore[assignment]
        now = now + sum(a * c for a, c in zip(away, pull, strict=True))
    return sums, b, now


def from_prior(prior: tuple[Symmetric, Triple], v: Triple, t: Tensor) -> Triple:
    """From the point to the prior's, in the basis b."""
    x = prior[1][0] - v[0]
    return x, prior[1][1] - v[1], prior[1][2] - v[2] - t * x


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
    entries = [setup.cov[i][j] for i, j in ENTRIES]
    tracks = torch.stack([*setup.q, *entries, setup.weights], dim=-1)
    frame = setup.frame
    prior = () if setup.prior is None else (*setup.prior[0], *setup.prior[1])
    return tracks, torch.stack([frame.c, frame.s, frame.t, frame.phi, frame.z, setup.limit, *prior], dim=-1)


def unpack_setup(tracks: Tensor, rows: Tensor, *, with_prior: bool) -> Setup:
    """What `pack_setup` has packed."""
    parts, numbers = tracks.unbind(-1), rows.unbind(-1)
    cov = [[parts[0]] * 5 for _ in range(5)]
    for place, (i, j) in enumerate(ENTRIES):
        cov[i][j] = parts[5 + place]
    prior = (numbers[6:12], numbers[12:15]) if with_prior else None
    return Setup(parts[:5], cov, parts[20], Frame(*numbers[:5]), prior, numbers[5])  # type: ignore[arg-type]


def pack_state(state: State) -> tuple[Tensor, Tensor]:
    """Momenta (B, K, n, 3) and numbers of each problem (B, K, 19)."""
    numbers = [*state.v, state.last, state.status, state.chi2, state.active.to(state.last.dtype)]
    return torch.stack(state.p, dim=-1), torch.cat([torch.stack(numbers, dim=-1), state.kept], dim=-1)


def unpack_state(p: Tensor, numbers: Tensor) -> State:
    """What `pack_state` has packed."""
    x, y, z, last, status, chi2, active = numbers[..., :7].unbind(-1)
    return State((x, y, z), p.unbind(-1), last, status, chi2, numbers[..., 7:], active > 0.5)  # type: ignore[arg-type]
