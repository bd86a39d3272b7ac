"""What every implementation of the vertex fit gets: shapes, flat tensors and settings."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor


class Status(IntEnum):
    """What became of a fit.

    CONVERGED: the step still to come is below the tolerance. NOT_CONVERGED: the iterations ran out; the result is the
    best point seen. It happens where tracks are nearly parallel: of toys with two tracks, to one in 200 of 1e-2 rad and
    one in nine of 1e-3 rad; a hundred iterations bring half of these there. SINGULAR: there is no unique vertex (fewer
    than two usable tracks, or parallel ones, and no prior that says where along them), or the numbers overflow; the
    vertex is the starting point, covariance and chi2 are zero, and so is every gradient.
    """

    CONVERGED = 0
    NOT_CONVERGED = 1
    SINGULAR = 2


class Solution(NamedTuple):
    """Vertex (B[, K], 3), covariance (B[, K], 3, 3), chi2 (B[, K]), momenta (B[, K], n, 3) or ([K,] N, 3), status
    (B[, K]) int32; the axis K is there if the weights have it.
    """

    vertex: Tensor
    covariance: Tensor
    chi2: Tensor
    momenta: Tensor
    status: Tensor


class Gradients(NamedTuple):
    """Gradients with the shapes of the inputs; None where not wanted."""

    tracks: Tensor | None
    covariance: Tensor | None
    weights: Tensor | None
    prior_position: Tensor | None
    prior_information: Tensor | None


def shape_of(weights: Tensor, offsets: Tensor | None) -> tuple[int, int, int, int, int]:
    """Jets, vertices, padded length, and the strides of weights and momenta (see cpu.h)."""
    shape = weights.shape
    if offsets is None:
        vertices = shape[1] if len(shape) == 3 else 1
        return shape[0], vertices, shape[-1], vertices, shape[-1]
    return offsets.shape[0] - 1, shape[0] if len(shape) == 2 else 1, 0, 1, shape[-1]


class Problem(NamedTuple):
    """Padded: tracks (B, n, 5), weights (B[, K], n). Ragged: tracks (N, 5), weights ([K,] N), offsets (B + 1,) int64.

    Covariances are (..., 5) variances or (..., 5, 5); priors and seeds have the axes (B[, K]). All are contiguous and
    of one precision.
    """

    tracks: Tensor
    covariance: Tensor
    weights: Tensor
    mask: Tensor | None
    offsets: Tensor | None
    prior_position: Tensor | None
    prior_information: Tensor | None
    seed: Tensor | None
    ndive: bool
    sandwich: bool
    tolerance: float
    max_iterations: int
    threads: int

    @property
    def jets(self) -> int:
        """Number of jets B."""
        return self.shape[0]

    @property
    def vertices(self) -> int:
        """Vertices per jet K."""
        return self.shape[1]

    @property
    def single(self) -> bool:
        """True where the weights have no axis K: one vertex a jet."""
        return self.weights.dim() == self.tracks.dim() - 1

    @property
    def full(self) -> bool:
        """True where the covariances are matrices."""
        return self.covariance.dim() == self.tracks.dim() + 1

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Jets, vertices, padded length, and the strides of weights and momenta (see cpu.h)."""
        return shape_of(self.weights, self.offsets)

    @property
    def head(self) -> tuple[int, ...]:
        """The axes (B[, K]) of the results."""
        return self.shape[:1] if self.single else self.shape[:2]

    @property
    def differentiable(self) -> tuple[Tensor | None, ...]:
        """The inputs that may have a gradient, in the order of `Gradients`."""
        return self.tracks, self.covariance, self.weights, self.prior_position, self.prior_information

    def zero_gradients(self, wanted: Sequence[bool]) -> Gradients:
        """Zeros for the inputs that are there and wanted."""
        pairs = zip(self.differentiable, wanted, strict=True)
        return Gradients(*(torch.zeros_like(v) if want and v is not None else None for v, want in pairs))

    def empty_solution(self) -> Solution:
        """Uninitialised outputs."""
        head, new = self.head, self.tracks.new_empty
        status = new(head, dtype=torch.int32)
        return Solution(new((*head, 3)), new((*head, 3, 3)), new(head), new((*self.weights.shape, 3)), status)

    def empty_response(self) -> Tensor:
        """Uninitialised derivatives of x, y, z and chi2 with respect to each weight."""
        return self.tracks.new_empty((*self.weights.shape, 4))

    def with_vertices(self) -> Problem:
        """The same problem with the axis K."""
        if not self.single:
            return self
        per_jet = (self.prior_position, self.prior_information, self.seed)
        position, information, seed = (None if value is None else value.unsqueeze(1) for value in per_jet)
        weights = self.weights.unsqueeze(self._axes[3])
        return self._replace(weights=weights, prior_position=position, prior_information=information, seed=seed)

    @property
    def _axes(self) -> tuple[int, ...]:
        """Where the axis K is in each result."""
        return (1, 1, 1, 1 if self.offsets is None else 0, 1)

    def widened(self, solution: Solution) -> Solution:
        """A solution of this problem with the axis K."""
        pairs = zip(solution, self._axes, strict=True)
        return Solution(*(value.unsqueeze(axis) for value, axis in pairs)) if self.single else solution

    def narrowed(self, results: Sequence[Tensor]) -> Sequence[Tensor]:
        """Results with the axis K as this problem has them."""
        pairs = zip(results, self._axes, strict=False)
        return [value.squeeze(axis) for value, axis in pairs] if self.single else results

    def padded(self) -> tuple[Problem, Tensor | None]:
        """The same problem, which has the axis K, with padded tracks and a mask, and the flat positions of the tracks
        where it was ragged.
        """
        if self.offsets is None:
            return self, None
        counts = self.offsets[1:] - self.offsets[:-1]
        longest = max(1, int(counts.max())) if len(counts) else 1
        total = self.tracks.shape[0]
        jet = torch.repeat_interleave(torch.arange(self.jets, device=counts.device), counts)
        position = jet * longest + torch.arange(total, device=counts.device) - self.offsets[:-1][jet]

        def spread(flat: Tensor) -> Tensor:
            out = flat.new_zeros((self.jets * longest, *flat.shape[1:]))
            return out.index_copy(0, position, flat).reshape(self.jets, longest, *flat.shape[1:])

        real = torch.ones(total, dtype=torch.bool, device=counts.device) if self.mask is None else self.mask
        weights = spread(self.weights.mT.contiguous()).mT.contiguous()
        tracks, covariance = spread(self.tracks), spread(self.covariance)
        whole = self._replace(tracks=tracks, covariance=covariance, weights=weights, mask=spread(real), offsets=None)
        return whole, position
