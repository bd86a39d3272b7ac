"""The vertex fit in plain torch: slow, readable, on any device; the oracle of the tests and the ONNX decomposition.

Its derivative is in `implicit`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import is_tracing

from .algebra import congruent, inverse, rows
from .implicit import backward as backward
from .iteration import Setup, State, first_state, linearised, settle, step
from .problem import Problem, Solution
from .traced import looped
from .track_model import laboratory, plain_chi2, point_in, point_out
from .usable import components, frame_of, prior_in, settled, square, start_of, usable

EXPORTED_ITERATIONS = 6


def forward(problem: Problem) -> Solution:
    """Fit every problem, without a graph."""
    with torch.no_grad():
        padded, position = problem.with_vertices().padded()
        solution = _solve(padded)
    if position is not None:
        momenta = solution.momenta.transpose(0, 1).flatten(1, 2)[:, position]
        solution = solution._replace(momenta=momenta.contiguous())
    return Solution(*problem.narrowed(solution))


def decomposition(*arguments: Any) -> Solution:
    """The operator's own arguments: for `ExportedProgram.run_decompositions`. Padded tracks only.

    A graph has no early stop: at most `EXPORTED_ITERATIONS` are written out one after the other, after which 999 of
    1000 jets of 15 tracks are within a thousandth of their error.
    """
    return unrolled(Problem(*arguments), EXPORTED_ITERATIONS)


def unrolled(problem: Problem, iterations: int) -> Solution:
    """Fit padded tracks without an early stop, as a graph does that is traced (the steps are a loop) or exported."""
    limited = problem.with_vertices()._replace(max_iterations=min(problem.max_iterations, iterations))
    return Solution(*problem.narrowed(_solve(limited, early=False)))


def _solve(problem: Problem, *, early: bool = True) -> Solution:
    """The iteration of fit.h, for all padded problems at once; `early`: it stops as soon as all have arrived."""
    good = usable(problem)
    (d0, z0, phi, theta, rho), cov, weights = components(problem, good)
    frame, start = frame_of((z0, phi, theta), weights, good), start_of(problem)
    z0 = torch.where(good, z0 - frame.z[..., None], 0.0)
    phi = torch.where(good, phi - frame.phi[..., None], 0.0)
    heaviest = weights.amax(-1) if weights.shape[-1] else torch.zeros_like(frame.c)
    limit = problem.tolerance * torch.where(heaviest > 0, heaviest, 1.0)
    setup = Setup((d0, z0, phi, theta, rho), cov, weights, frame, prior_in(frame, problem), heaviest, limit)
    state = _arrive(setup, first_state(setup, point_in(frame, *start.unbind(-1))), problem, early=early)
    return settled(_found(problem, setup, state, good), start)


def _arrive(setup: Setup, state: State, problem: Problem, *, early: bool) -> State:
    """All steps; in a graph that is traced they are a loop."""
    for iteration in range(problem.max_iterations):
        state = step(setup, state, first=iteration == 0, approximate=problem.ndive)
        if early and not bool(state.active.any()):
            break
        if is_tracing() and problem.max_iterations > 1:
            state = looped(setup, state, problem.max_iterations - 1, approximate=problem.ndive)
            break
    if not problem.ndive:
        return settle(setup, state)
    return state._replace(status=torch.where(state.active > 0, 0.0, state.status))


def _found(problem: Problem, setup: Setup, state: State, good: Tensor) -> Solution:
    """The outputs in the laboratory."""
    frame, chi2, covariance, (phi, theta, rho) = setup.frame, state.chi2, inverse(state.normal), state.p
    if problem.ndive:
        f = linearised(setup.q, setup.cov, state.v, state.p, frame.t, True)
        chi2 = (setup.weights * plain_chi2(f, setup.cov)).sum(-1)
    if problem.sandwich:
        weight = torch.where(setup.heaviest > 0, setup.heaviest, 1.0)
        covariance = tuple(weight * entry for entry in congruent(rows(covariance), state.squares))  # type: ignore[assignment]
    momenta = torch.stack([phi + frame.phi[..., None], theta, rho], dim=-1)
    momenta = torch.where((good & torch.isfinite(momenta).all(-1)).unsqueeze(-1), momenta, 0.0)
    vertex, matrix = torch.stack(point_out(frame, state.v), dim=-1), square(congruent(laboratory(frame), covariance))
    return Solution(vertex, matrix, chi2, momenta, state.status)
