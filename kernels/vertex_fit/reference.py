"""The vertex fit in plain torch: slow, readable, on any device; the oracle of the tests and the ONNX decomposition.

Its derivative is in `implicit`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import is_tracing

from . import track_model as model
from .implicit import backward as backward
from .iteration import Setup, State, first_state, looped, per_track, step
from .problem import Problem, Solution, Status
from .track_model import Frame
from .usable import components, prior_of, usable

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


def _solve(problem: Problem, *, early: bool = True) -> Solution:
    """The iteration of fit.h, for all problems at once; a problem that has arrived no longer moves.

    Args:
        problem: with padded tracks.
        early: stop as soon as all have arrived.
    """
    good = usable(problem)
    measured, cov, weights = components(problem, good)
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
    given = prior_of(problem)
    prior = None if given is None else (frame.matrix_in(given[1]), frame.point_in(given[0]))
    setup = Setup(q, cov, weights, frame, prior, limit)
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
