"""The vertex fit compiled by numba, in float64: for installs without the native module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..jitted import compiled
from . import algebra, numba_fit, numba_gradient, track_model
from .numba_fit import Given
from .problem import Gradients, Problem, Solution
from .usable import known_prior, prior_of, rounding, settled, start_of, upper, usable

_MODULES = (algebra, track_model, numba_fit, numba_gradient)
_forward, _backward = compiled(_MODULES, numba_fit.forward, numba_gradient.backward)

_SQUARE = ((0, 1, 2), (1, 3, 4), (2, 4, 5))  # where the entries of a symmetric matrix are among its six numbers


def _flat(value: Tensor | None, *shape: int) -> Any:
    """A tensor as a float64 array of this shape; zeros without it."""
    return np.zeros(shape) if value is None else value.detach().double().reshape(shape).numpy()


def _six(matrices: Tensor | None, heads: int) -> Any:
    """Entries (B K, 6) of the symmetric parts of matrices (B, K, 3, 3)."""
    return _flat(None if matrices is None else torch.stack(upper(matrices.double()), dim=-1), heads, 6)


def _tensors(arrays: Iterable[Any], like: Iterable[Tensor | None]) -> list[Any]:
    """The arrays as contiguous tensors with the shapes and types of these, None for None."""
    pairs = zip(map(np.ascontiguousarray, arrays), like, strict=True)
    return [None if t is None else torch.from_numpy(array).reshape(t.shape).to(t.dtype) for array, t in pairs]


def _given(problem: Problem) -> Given:
    jets, vertices, padded, _, _ = problem.shape
    offsets = np.arange(jets + 1) * padded if problem.offsets is None else problem.offsets.numpy()
    weights, total = torch.where(usable(problem), problem.weights, -1.0), problem.tracks.numel() // 5
    position, information = prior_of(problem) or (None, None)
    numbers = _flat(problem.tracks, total, 5), _flat(problem.covariance, total, 25 if problem.full else 5)
    prior = _flat(position, jets * vertices, 3), _six(information, jets * vertices)
    settings: Any = problem.ndive, problem.sandwich, problem.tolerance, problem.max_iterations
    longest, digits = int(np.diff(offsets).max(initial=0)), rounding(problem.tracks)
    return Given(problem.shape, longest, offsets, *numbers, _flat(weights, weights.numel()), *prior, digits, *settings)


def forward(problem: Problem) -> Solution:
    """Fit every problem (see `api.vertex_fit`)."""
    start, heads = start_of(problem), problem.jets * problem.vertices
    shapes = (heads, 3), (heads, 6), (heads,), (problem.weights.numel(), 3), (heads,)
    found = Solution(*(_flat(None, *shape) for shape in shapes))
    _forward(_given(problem), _flat(start, heads, 3), found)
    arrays = found.vertex, found.covariance[:, _SQUARE], *found[2:]
    return settled(Solution(*_tensors(arrays, problem.empty_solution())), start)


def backward(
    problem: Problem, solution: Solution, cotangents: Sequence[Tensor | None], wanted: Sequence[bool]
) -> Gradients:
    """Gradients of the outputs (vertex, covariance, chi2, momenta) weighted by their cotangents."""
    given, heads, places = _given(problem), problem.jets * problem.vertices, problem.weights.numel()
    vertex, momenta = _flat(solution.vertex, heads, 3), _flat(solution.momenta, places, 3)
    solved = _flat(solution.status, heads) < numba_fit.SINGULAR
    ct = _flat(cotangents[0], heads, 3), _six(cotangents[1], heads), _flat(cotangents[2], heads, 1)
    ct = *(np.where(np.isfinite(c).all(axis=1, keepdims=True), c, 0.0) for c in ct), _flat(cotangents[3], places, 3)
    made: Any = tuple(np.zeros_like(like) for like in (given.tracks, given.covariance, given.weights, *ct[:2]))
    _backward(given, vertex, momenta, solved, ct, cotangents[1] is not None, made)
    prior = _of_prior(given, vertex, made[3], made[4], np.where(solved[:, None], ct[2], 0.0))
    if problem.prior_position is not None and problem.prior_information is not None:
        known = known_prior(problem.prior_position, problem.prior_information).numpy().reshape(heads, 1)
        prior = np.where(known, prior[0], 0.0), np.where(known[:, None], prior[1], 0.0)
    asked = [value if want else None for value, want in zip(problem.differentiable, wanted, strict=True)]
    return Gradients(*(t if t is None else t.nan_to_num_(0.0, 0.0, 0.0) for t in _tensors((*made[:3], *prior), asked)))


@np.errstate(over="ignore", invalid="ignore")  # such a gradient becomes zero
def _of_prior(given: Given, vertex: Any, lam: Any, direct: Any, ct_chi2: Any) -> tuple[Any, Any]:
    """Gradients of the prior's position and information, from those of `numba_gradient.backward`."""
    apart, pull = given.position - vertex, lam + ct_chi2 * (given.position - vertex)
    outer = pull[:, :, None] * apart[:, None, :]
    position = (given.information[:, _SQUARE] @ (pull + ct_chi2 * apart)[:, :, None])[:, :, 0]
    return position, direct[:, _SQUARE] + 0.5 * (outer + outer.transpose(0, 2, 1))
