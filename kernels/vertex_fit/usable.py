"""The numbers of a problem, and of its solution, made harmless where they do not count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..angles import cosine
from .algebra import Symmetric, Vector, congruent
from .problem import Problem, Solution, Status
from .track_model import ROUNDING, Frame, basis, point_in

NO_TRACK = {0: 1.0, 5: 1.0, 9: 1e-18, 12: 1e-18, 14: 1e-18}
"""The variances of what is no track, by place in the upper triangle: nothing overflows, however far the vertex is."""


def upper(matrices: Tensor) -> tuple[Tensor, ...]:
    """The upper triangle of the symmetric part of matrices (..., n, n), row by row."""
    size, even = matrices.shape[-1], 0.5 * (matrices + matrices.mT)
    return tuple(even[..., i, j] for i in range(size) for j in range(i, size))


def square(triangle: tuple[Tensor, ...]) -> Tensor:
    """Symmetric matrices (..., n, n) from their upper triangle."""
    size = 3 if len(triangle) == 6 else 5
    place = [[min(i, j) * (2 * size - 1 - min(i, j)) // 2 + max(i, j) for j in range(size)] for i in range(size)]
    return torch.stack([torch.stack([triangle[k] for k in row], dim=-1) for row in place], dim=-2)


def usable(problem: Problem) -> Tensor:
    """Like the weights: the tracks that take part."""
    variances = torch.diagonal(problem.covariance, dim1=-2, dim2=-1) if problem.full else problem.covariance
    good = _finite(problem.tracks) & _finite(variances) & (variances.amin(-1) > 0)
    good = good & (torch.sin(torch.where(good, problem.tracks[..., 3], 1.5)).abs() > 1e-5)
    if problem.full:
        good = good & _finite(problem.covariance.flatten(-2)) & _positive(problem.covariance)
    if problem.mask is not None:
        good = good & problem.mask
    good = good if problem.single else good.unsqueeze(-2)
    return good & torch.isfinite(problem.weights) & (problem.weights >= 0)


def _finite(numbers: Tensor) -> Tensor:
    """Where all numbers of the last axis are finite, in less than half the time of `isfinite` and `all`."""
    return (numbers * 0).sum(-1) == 0


def _positive(matrices: Tensor) -> Tensor:
    """Where every pivot of the elimination of the symmetric part is more than rounding."""
    size, digits = matrices.shape[-1], rounding(matrices)
    entries = dict(zip([(i, j) for i in range(size) for j in range(i, size)], upper(matrices), strict=True))
    variances, good = [entries[k, k] for k in range(size)], entries[0, 0] > 0
    for k in range(size - 1):
        for i in range(k + 1, size):
            part = entries[k, i] / entries[k, k]
            for j in range(i, size):
                entries[i, j] = entries[i, j] - part * entries[k, j]
        good = good & (entries[k + 1, k + 1] > digits * variances[k + 1])
    return good


def rounding(numbers: Tensor) -> float:
    """See `track_model.ROUNDING`."""
    return ROUNDING[0] if numbers.dtype == torch.float64 else ROUNDING[1]


def components(problem: Problem, good: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """Track parameters, the upper triangle of their covariance, each (B, K, n), and weights, harmless where a track is
    not usable.
    """
    q = torch.where(good.unsqueeze(-1), problem.tracks.unsqueeze(1), 0.0).unbind(-1)
    zero, given = torch.zeros_like(q[0]), problem.covariance.unsqueeze(1)
    known = upper(given) if problem.full else [given[..., i] if i == j else zero for i in range(5) for j in range(i, 5)]
    cov = tuple(torch.where(good, entry, NO_TRACK.get(k, 0.0)) for k, entry in enumerate(known))
    return (*q[:3], torch.where(good, q[3], 1.5), q[4]), cov, torch.where(good, problem.weights, 0.0)


def known_prior(position: Tensor, information: Tensor) -> Tensor:
    """(B[, K]): where all of it is finite."""
    return torch.isfinite(information).flatten(-2).all(-1) & torch.isfinite(position).all(-1)


def prior_of(problem: Problem) -> tuple[Tensor, Tensor] | None:
    """Position (B[, K], 3) and information (B[, K], 3, 3) of the prior, 0 where one is not finite; None without."""
    position, information = problem.prior_position, problem.prior_information
    if position is None or information is None:
        return None
    known = known_prior(position, information)
    return torch.where(known.unsqueeze(-1), position, 0.0), torch.where(known[..., None, None], information, 0.0)


def prior_in(frame: Frame, problem: Problem) -> tuple[Vector, Symmetric, Tensor] | tuple[()]:
    """The prior's position in the frame (not sheared), its information in the basis b, and what of that may be
    rounding: of a diagonal matrix nothing. Empty without a prior.
    """
    if (given := prior_of(problem)) is None:
        return ()
    entries: Any = upper(given[1])
    known, mixed = congruent(basis(frame), entries), entries[1].abs() + entries[2].abs() + entries[4].abs()
    noise = torch.where(mixed > 0, rounding(problem.tracks), 0.0) * (known[0] + known[3] + known[5])
    return point_in(frame, *given[0].unbind(-1)), known, noise


def frame_of(q: tuple[Tensor, Tensor, Tensor], weights: Tensor, good: Tensor) -> Frame:
    """The frame (B, K) of the heaviest usable track, from z0, phi and theta of all (B, K, n)."""
    if not weights.shape[-1]:
        zero = weights.new_zeros(weights.shape[:-1])
        return Frame(zero + 1, zero, zero, zero, zero)
    heaviest, any_good = torch.where(good, weights, -1.0).argmax(-1, keepdim=True), good.any(-1)
    z, phi, theta = (torch.gather(number, -1, heaviest).squeeze(-1) for number in q)
    phi, z = torch.where(any_good, phi, 0.0), torch.where(any_good, z, 0.0)
    t = torch.where(any_good, cosine(theta) / torch.sin(theta), 0.0)
    return Frame(cosine(phi), torch.sin(phi), t, phi, z)


def start_of(problem: Problem) -> Tensor:
    """Where the iterations start, (B[, K], 3): the seed, else the prior's position, 0 where it is not finite."""
    given = problem.seed if problem.seed is not None else problem.prior_position
    if given is None:
        return problem.tracks.new_zeros((*problem.head, 3))
    return torch.where(torch.isfinite(given).all(-1, keepdim=True), given, 0.0)


def settled(found: Solution, start: Tensor) -> Solution:
    """A solution in which what is not finite is singular, and what is singular stays at its start."""
    fine = torch.isfinite(found.vertex).all(-1) & torch.isfinite(found.covariance).flatten(-2).all(-1)
    fine = fine & torch.isfinite(found.chi2)
    solved = fine & (found.status < int(Status.SINGULAR))
    return Solution(
        torch.where(solved.unsqueeze(-1), found.vertex, start),
        torch.where(solved[..., None, None], found.covariance, 0.0),
        torch.where(solved, found.chi2, 0.0),
        torch.nan_to_num(found.momenta, 0.0, 0.0, 0.0),
        torch.where(fine, found.status, int(Status.SINGULAR)).to(torch.int32),
    )
