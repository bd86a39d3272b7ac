"""The vertex fit in plain torch: slow, readable, on any device; the oracle of the tests and the ONNX decomposition.

The derivative is independent of the compiled one: one exact Newton step on (v, p_1 ... p_n), taken with detached second
derivatives from automatic differentiation, moves nothing at the solution but carries the gradient of the implicit
function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import is_tracing

from . import track_model as model
from .iteration import Setup, State, first_state, looped, per_track, step
from .problem import Gradients, Problem, Solution, Status
from .track_model import Frame, Triple

EXPORTED_ITERATIONS = 6


def forward(problem: Problem) -> Solution:
    """Fit every problem, without a graph."""
    with torch.no_grad():
        padded, position = problem.padded()
        solution = _solve(padded)
    if position is None:
        return solution
    momenta = solution.momenta.transpose(0, 1).flatten(1, 2)[:, position]
    return solution._replace(momenta=momenta.contiguous())


def decomposition(*arguments: Any) -> Solution:
    """The operator's own arguments: for `ExportedProgram.run_decompositions`. Padded tracks only.

    A graph has no early stop: at most `EXPORTED_ITERATIONS` are written out one after the other, after which 999 of
    1000 jets of 15 tracks are within a thousandth of their error.
    """
    return unrolled(Problem(*arguments), EXPORTED_ITERATIONS)


def unrolled(problem: Problem, iterations: int) -> Solution:
    """Fit padded tracks without an early stop, as a graph does that is traced (the steps are a loop) or exported."""
    return _solve(replace(problem, max_iterations=min(problem.max_iterations, iterations)), early=False)


def backward(
    problem: Problem, solution: Solution, cotangents: Sequence[Tensor | None], wanted: Sequence[bool]
) -> Gradients:
    """Gradients through `differentiable`, in float64."""
    inputs = [problem.tracks, problem.covariance, problem.weights, problem.prior_position, problem.prior_information]
    with torch.enable_grad():
        leaves = [
            value.detach().double().requires_grad_(want) if value is not None else None
            for value, want in zip(inputs, wanted, strict=True)
        ]
        outputs = _differentiable(problem, solution, leaves)
        pairs = [(out, ct.double()) for out, ct in zip(outputs, cotangents, strict=True) if ct is not None]
        total = sum((torch.where(torch.isfinite(ct), ct, 0.0) * out).sum() for out, ct in pairs)
        needed = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        found = torch.autograd.grad(total, needed, allow_unused=True) if pairs and needed else [None] * len(needed)  # type: ignore[arg-type]
    made = iter(found)
    result: list[Tensor | None] = []
    for value, leaf in zip(inputs, leaves, strict=True):
        gradient = next(made) if leaf is not None and leaf.requires_grad else None
        missing = leaf is not None and leaf.requires_grad and gradient is None
        result.append(torch.zeros_like(value) if missing else None if gradient is None else gradient.to(value.dtype))  # type: ignore[union-attr,arg-type]
    return Gradients(*result)


def _usable(problem: Problem) -> Tensor:
    """(B, K, n): the tracks that take part, with whatever weight."""
    variances = torch.diagonal(problem.covariance, dim1=-2, dim2=-1) if problem.full else problem.covariance
    good = torch.isfinite(problem.tracks).all(-1) & torch.isfinite(variances).all(-1) & (variances > 0).all(-1)
    good = good & (torch.sin(torch.where(good, problem.tracks[..., 3], 1.5)).abs() > 1e-5)
    if problem.full:
        good = good & torch.isfinite(problem.covariance).flatten(-2).all(-1)
    if problem.mask is not None:
        good = good & problem.mask
    return good.unsqueeze(1) & torch.isfinite(problem.weights) & (problem.weights >= 0)


def _components(problem: Problem, good: Tensor) -> tuple[tuple[Tensor, ...], list[list[Tensor]], Tensor]:
    """Track parameters, covariance entries (B, K, n) and weights, harmless where a track is not usable."""
    tracks = torch.where(good.unsqueeze(-1), problem.tracks.unsqueeze(1), 0.0)
    q = list(tracks.unbind(-1))
    q[3] = torch.where(good, q[3], 1.5)
    zero = torch.zeros_like(q[0])
    given = problem.covariance.unsqueeze(1)
    if problem.full:
        given = 0.5 * (given + given.mT)
    cov = [[zero] * 5 for _ in range(5)]
    for i in range(5):
        for j in range(i, 5):
            if i == j or problem.full:
                entry = given[..., i, j] if problem.full else given[..., i]
                cov[i][j] = torch.where(good, entry, 1.0 if i == j else 0.0)
    return tuple(q), cov, torch.where(good, problem.weights, 0.0)


def _frame(q: tuple[Tensor, ...], weights: Tensor, good: Tensor) -> Frame:
    """The frame of the heaviest track, (B, K)."""
    if not weights.shape[-1]:
        zero = weights.new_zeros(weights.shape[:-1])
        return Frame(zero + 1, zero, zero, zero, zero)
    heaviest = torch.where(good, weights, -1.0).argmax(-1, keepdim=True)
    z, phi, theta = (torch.gather(q[index], -1, heaviest).squeeze(-1) for index in (1, 2, 3))
    any_good = good.any(-1)
    phi, z = torch.where(any_good, phi, 0.0), torch.where(any_good, z, 0.0)
    t = torch.where(any_good, torch.cos(theta) / torch.sin(theta), 0.0)
    return Frame(torch.cos(phi), torch.sin(phi), t, phi, z)


def _start(problem: Problem) -> Tensor:
    given = problem.seed if problem.seed is not None else problem.prior_position
    if given is None:
        return problem.tracks.new_zeros((problem.jets, problem.vertices, 3))
    return torch.where(torch.isfinite(given).all(-1, keepdim=True), given, 0.0)


def _prior(problem: Problem, frame: Frame) -> tuple[model.Symmetric, Triple] | None:
    if problem.prior_information is None or problem.prior_position is None:
        return None
    fine = torch.isfinite(problem.prior_information).flatten(-2).all(-1)[..., None, None]
    information = frame.matrix_in(torch.where(fine, problem.prior_information, 0.0))
    position = torch.where(torch.isfinite(problem.prior_position).all(-1, keepdim=True), problem.prior_position, 0.0)
    return information, frame.point_in(position)


def _solve(problem: Problem, *, early: bool = True) -> Solution:
    """The iteration of fit.h, for all problems at once; a problem that has arrived no longer moves.

    Args:
        problem: with padded tracks.
        early: stop as soon as all have arrived.
    """
    good = _usable(problem)
    measured, cov, weights = _components(problem, good)
    frame = _frame(measured, weights, good)
    q = (
        measured[0],
        torch.where(good, measured[1] - frame.z[..., None], 0.0),
        torch.where(good, measured[2] - frame.phi[..., None], 0.0),
        measured[3],
        measured[4],
    )
    heaviest = weights.amax(-1) if weights.shape[-1] else torch.zeros_like(frame.c)
    limit = problem.tolerance * torch.where(heaviest > 0, heaviest, 1.0)
    setup = Setup(q, cov, weights, frame, _prior(problem, frame), limit)
    start = _start(problem)
    state = _arrive(setup, first_state(setup, frame.point_in(start)), problem, early=early)
    return _finish(problem, setup, state, good, start)


def _arrive(setup: Setup, state: State, problem: Problem, *, early: bool) -> State:
    """All steps; in a graph that is traced they are a loop."""
    for iteration in range(problem.max_iterations):
        state = step(setup, state, first=iteration == 0, approximate=problem.ndive)
        if early and not bool(state.active.any()):
            break
        if is_tracing() and problem.max_iterations > 1:
            state = looped(setup, state, problem.max_iterations - 1, approximate=problem.ndive)
            break
    return state._replace(status=torch.where(state.active, 0.0, state.status)) if problem.ndive else state


def _finish(problem: Problem, setup: Setup, state: State, good: Tensor, start: Tensor) -> Solution:
    """The outputs in the laboratory; what has no solution stays where it started."""
    q, cov, weights, frame = setup.q, setup.cov, setup.weights, setup.frame
    v, p, status, chi2, approximate = state.v, state.p, state.status, state.chi2, problem.ndive
    if approximate:
        f = model.linearise(q, cov, per_track(v), p, frame.t.unsqueeze(-1), True)
        chi2 = (weights * sum(f.e[i] * f.e[i] / cov[i][i] for i in range(5))).sum(-1)
    normal, spread = state.kept[..., :6].unbind(-1), state.kept[..., 6:].unbind(-1)
    inverse = model.inverse(model.factor(normal))  # type: ignore[arg-type]
    matrix = frame.matrix_out(model.congruent(inverse, spread) if problem.sandwich else inverse)  # type: ignore[arg-type]
    point = frame.point_out(v)
    sound = torch.isfinite(point).all(-1) & torch.isfinite(matrix).flatten(-2).all(-1) & torch.isfinite(chi2)
    solved = sound & (status < float(Status.SINGULAR))
    momenta = torch.stack([p[0] + frame.phi[..., None], p[1], p[2]], dim=-1)
    keep = good & torch.isfinite(momenta).all(-1)
    return Solution(
        torch.where(solved.unsqueeze(-1), point, start),
        torch.where(solved[..., None, None], matrix, 0.0),
        torch.where(solved, chi2, 0.0),
        torch.where(keep.unsqueeze(-1), momenta, 0.0),
        torch.where(sound, status, float(Status.SINGULAR)).to(torch.int32),
    )


def _objective(v: Tensor, p: Tensor, q: Tensor, g: Tensor) -> Tensor:
    """Half the chi2 of one track, from the textbook five residuals: q (5,), g the inverse covariance (5, 5)."""
    c, s, t = torch.cos(p[0]), torch.sin(p[0]), 1 / torch.tan(p[1])
    Q, R = v[0] * c + v[1] * s, v[1] * c - v[0] * s
    h = torch.stack([-R - 0.5 * p[2] * Q * Q, v[2] - t * Q * (1 - R * p[2]), p[0] - p[2] * Q, p[1], p[2]])
    return 0.5 * (q - h) @ g @ (q - h)


def _differentiable(problem: Problem, solution: Solution, leaves: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Vertex, covariance, chi2 and momenta at the solution, as functions of the leaves."""
    tracks, covariance, weights, position, information = leaves
    live = Problem(
        tracks,  # type: ignore[arg-type]
        covariance,  # type: ignore[arg-type]
        weights,  # type: ignore[arg-type]
        problem.mask,
        problem.offsets,
        position,
        information,
        problem.seed,  # type: ignore[arg-type]
        problem.ndive,
        problem.sandwich,
        problem.tolerance,
        problem.max_iterations,
        problem.threads,
    )
    padded, place = live.padded()
    momenta = solution.momenta.double()
    empty = padded.tracks.shape[1] == 0
    if empty:
        padded, momenta = _with_a_masked_track(padded), momenta.new_zeros((*momenta.shape[:2], 1, 3))
    if place is not None:
        slots = momenta.new_zeros((problem.vertices, padded.tracks.shape[0] * padded.tracks.shape[1], 3))
        momenta = slots.index_copy(1, place, momenta).unflatten(1, padded.tracks.shape[:2]).transpose(0, 1)
    solved = solution.status < int(Status.SINGULAR)
    good = _usable(padded) & solved.unsqueeze(-1)
    parts, cov, w = _components(padded, good)
    q = torch.stack(parts, dim=-1)
    v0 = solution.vertex.double()
    p0 = torch.where(good.unsqueeze(-1), momenta, torch.tensor([0.0, 1.5, 0.0], dtype=torch.float64, device=q.device))
    matrix = torch.stack([torch.stack([cov[min(i, j)][max(i, j)] for j in range(5)], -1) for i in range(5)], -2)
    g = torch.linalg.inv(matrix)
    flat = (v0.unsqueeze(-2).expand(p0.shape).reshape(-1, 3), p0.reshape(-1, 3), q.reshape(-1, 5), g.reshape(-1, 5, 5))
    gv, gp = torch.func.vmap(torch.func.grad(_objective, argnums=(0, 1)))(*flat)
    fixed = tuple(value.detach() for value in flat)
    (hvv, _), (hpv, hpp) = torch.func.vmap(
        torch.func.jacrev(torch.func.grad(_objective, argnums=(0, 1)), argnums=(0, 1))
    )(*fixed)
    shape = p0.shape[:-1]
    gv, gp = gv.reshape(*shape, 3), gp.reshape(*shape, 3)
    hvv, hpv, hpp = (value.reshape(*shape, 3, 3) for value in (hvv, hpv, hpp))
    back = -torch.linalg.solve(hpp, hpv)  # dp/dv
    exact = (w.detach()[..., None, None] * (hvv + hpv.mT @ back)).sum(-3)
    pull = (w.unsqueeze(-1) * (gv + (back.mT @ gp.unsqueeze(-1)).squeeze(-1))).sum(-2)
    away = prior = None
    if padded.prior_information is not None and padded.prior_position is not None:
        prior = 0.5 * (padded.prior_information + padded.prior_information.mT)
        away = v0 - padded.prior_position
        exact, pull = exact + prior.detach(), pull + (prior @ away.unsqueeze(-1)).squeeze(-1)
    exact = torch.where(solved[..., None, None], exact, torch.eye(3, dtype=exact.dtype, device=exact.device))
    dv = -torch.linalg.solve(exact, pull.unsqueeze(-1)).squeeze(-1)
    # The part of the step that has no gradient only moves the point to the minimum (mode ndive stops beside it).
    v = v0 + torch.where(solved.unsqueeze(-1), dv - dv.detach(), 0.0)
    dp = -torch.linalg.solve(hpp, gp.unsqueeze(-1)).squeeze(-1) + (back @ (v - v0).unsqueeze(-2).unsqueeze(-1)).squeeze(
        -1
    )
    p = p0 + dp - dp.detach()
    return _outputs(padded, v, torch.where(good.unsqueeze(-1), p, p.detach()), q, cov, w, g, prior, place, empty)


def _with_a_masked_track(problem: Problem) -> Problem:
    """A problem without any track, with one that does not count: batched algebra wants a shape."""
    tracks = problem.tracks.new_zeros((problem.jets, 1, 5))
    mask = torch.zeros(problem.jets, 1, dtype=torch.bool, device=tracks.device)
    weights = tracks.new_zeros((problem.jets, problem.vertices, 1))
    covariance = tracks.new_zeros((problem.jets, 1, 5, 5)) if problem.full else tracks
    return replace(problem, tracks=tracks, covariance=covariance, weights=weights, mask=mask)


def _outputs(
    problem: Problem,
    v: Tensor,
    p: Tensor,
    q: Tensor,
    cov: list[list[Tensor]],
    w: Tensor,
    g: Tensor,
    prior: Tensor | None,
    place: Tensor | None,
    empty: bool,
) -> tuple[Tensor, ...]:
    """The outputs as explicit functions of the vertex, the momenta and the inputs."""
    f = model.linearise(
        q.unbind(-1),
        cov,
        v.unsqueeze(-2).unbind(-1),  # type: ignore[arg-type]
        p.unbind(-1),  # type: ignore[arg-type]
        torch.zeros((), dtype=v.dtype),
        False,
    )
    part = f.information()
    full = torch.stack([torch.stack([part[i] for i in row], -1) for row in ((0, 1, 2), (1, 3, 4), (2, 4, 5))], -2)
    m, spread = (w[..., None, None] * full).sum(-3), ((w * w)[..., None, None] * full).sum(-3)
    e = torch.stack(f.e, dim=-1)
    chi2 = (w * (e.unsqueeze(-2) @ g @ e.unsqueeze(-1)).squeeze(-1).squeeze(-1)).sum(-1)
    if prior is not None and problem.prior_position is not None:
        away = v - problem.prior_position
        m, spread = m + prior, spread + prior
        chi2 = chi2 + (away.unsqueeze(-2) @ prior @ away.unsqueeze(-1)).squeeze(-1).squeeze(-1)
    regular = torch.linalg.det(m.detach()) > 0
    inverse = torch.linalg.inv(torch.where(regular[..., None, None], m, torch.eye(3, dtype=m.dtype, device=m.device)))
    covariance = inverse @ spread @ inverse if problem.sandwich else inverse
    momenta = p if place is None else p.transpose(0, 1).flatten(1, 2)[:, place]
    momenta = momenta[..., :0, :] if empty else momenta
    return v, torch.where(regular[..., None, None], covariance, 0.0), chi2, momenta
