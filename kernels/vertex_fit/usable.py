"""Which tracks take part in a fit, and its numbers, made harmless where they do not count."""

from __future__ import annotations

import torch
from torch import Tensor

from .problem import Problem


def usable(problem: Problem) -> Tensor:
    """(B, K, n): the tracks that take part, with whatever weight."""
    variances = torch.diagonal(problem.covariance, dim1=-2, dim2=-1) if problem.full else problem.covariance
    good = torch.isfinite(problem.tracks).all(-1) & torch.isfinite(variances).all(-1) & (variances > 0).all(-1)
    good = good & (torch.sin(torch.where(good, problem.tracks[..., 3], 1.5)).abs() > 1e-5)
    if problem.full:
        good = good & torch.isfinite(problem.covariance).flatten(-2).all(-1)
    if problem.mask is not None:
        good = good & problem.mask
    return good.unsqueeze(1) & torch.isfinite(problem.weights) & (problem.weights >= 0)


def components(problem: Problem, good: Tensor) -> tuple[tuple[Tensor, ...], list[list[Tensor]], Tensor]:
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


def prior_of(problem: Problem) -> tuple[Tensor, Tensor] | None:
    """Position (B, K, 3) and information (B, K, 3, 3) of the prior, 0 where they are not finite; None without one."""
    position, information = problem.prior_position, problem.prior_information
    if position is None or information is None:
        return None
    fine = torch.isfinite(information).flatten(-2).all(-1)[..., None, None]
    known = torch.isfinite(position).all(-1, keepdim=True)
    return torch.where(known, position, 0.0), torch.where(fine, information, 0.0)
