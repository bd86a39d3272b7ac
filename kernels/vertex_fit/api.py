"""`vertex_fit`: the weighted least-squares vertex of tracks in a uniform field along z, batched and differentiable."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..inputs import check_devices, check_form_of_offsets, mixed_precision
from . import ops
from .problem import Status, shape_of

__all__ = ["Prior", "Status", "VertexFit", "vertex_fit"]

_KINDS, _HALF = {torch.float32, torch.float64}, {torch.float16, torch.bfloat16}
_MOST = 2**31 - 1


class Prior(NamedTuple):
    """What is known of the vertex before the tracks: a beam spot, a jet axis, an earlier vertex.

    Attributes:
        position: (3,), (B, 3) or (B, K, 3), mm.
        information: the inverse covariance, (3, 3), (B, 3, 3) or (B, K, 3, 3), 1/mm^2; it may be singular (a line).
    """

    position: Tensor
    information: Tensor

    @classmethod
    def of(cls, position: Tensor, covariance: Tensor) -> Prior:
        """A prior from its covariance (..., 3, 3), mm^2."""
        return cls(position, torch.linalg.inv(covariance))


class VertexFit(NamedTuple):
    """What a fit gives; the axis K is there if the weights had it.

    Attributes:
        vertex: (B[, K], 3), mm.
        covariance: (B[, K], 3, 3), mm^2. By default the sandwich M^-1 (sum w^2 D^T W D) M^-1, which does not depend on
            the scale of the weights and is calibrated for any of them.
        chi2: (B[, K]), the weighted sum at the minimum, with the prior's term.
        momenta: (B[, K], n, 3) or ([K,] N, 3): phi, theta (rad), rho (1/mm) of each track at the vertex; zeros where
            masked.
        status: (B[, K]) int32, see `Status`.
    """

    vertex: Tensor
    covariance: Tensor
    chi2: Tensor
    momenta: Tensor
    status: Tensor


def vertex_fit(
    tracks: Tensor,
    covariance: Tensor,
    weights: Tensor,
    mask: Tensor | None = None,
    offsets: Tensor | None = None,
    prior: Prior | tuple[Tensor, Tensor] | None = None,
    mode: Literal["exact", "ndive"] = "exact",
    tolerance: float = 1e-8,
    max_iterations: int | None = None,
    *,
    seed: Tensor | None = None,
    sandwich: bool | None = None,
    threads: int = 1,
) -> VertexFit:
    """Fit one vertex, or K vertices, to the tracks of each jet.

    The tracks are helices (d0, z0, phi, theta, rho) about (0, 0, 0) in mm, rad, 1/mm: the point of closest approach is
    (d0 sin phi, -d0 cos phi, z0), and rho > 0 turns counter-clockwise; `converters` brings other conventions here. The
    objective is sum_i w_i r_i^T V_i^-1 r_i, with the prior's term. Gradients of vertex, covariance, chi2 and momenta
    with respect to tracks, covariances, weights and prior come from the implicit function theorem, not from the
    iterations; there are first derivatives only, in reverse mode. A track that is not finite, has a variance that is
    not positive or a matrix that is not positive definite, a weight that is negative or not finite, or points along the
    beam, is treated as masked; so is a prior that is not finite. A masked track is never read. The heaviest weight of a
    vertex is to lie between 1e-25 and 1e25 in float32 (1e-250 and 1e250 in float64), for gradients of the covariance
    between the roots of these.

    A step of Gauss and Newton that would raise the objective is shortened, and where steps swing or creep along nearly
    parallel tracks the next is as long as the change of the slope says.

    Args:
        tracks: (B, n, 5) padded, or (N, 5) with `offsets`; float32 or float64.
        covariance: variances (B, n, 5), (N, 5), or matrices (..., 5, 5).
        weights: (B, n) or (B, K, n); with offsets (N,) or (K, N).
        mask: (B, n) or (N,) bool, True for real tracks.
        offsets: (B + 1,) int64: jet b owns the tracks from offsets[b] up to offsets[b + 1].
        prior: what is known of the vertex.
        mode: "exact", or "ndive" for the published fit (arXiv 2310.12804): ten iterations with approximate Jacobians,
            covariance M^-1, variances only, and gradients of the vertex with respect to the weights alone.
        tolerance: the fit stops where dv^T M dv of the step to come is below this, times the largest weight.
        max_iterations: at most; 20 without it, and 10 in mode "ndive", which always does all of them.
        seed: starting points (B, 3) or (B, K, 3); the prior's position or the origin without it. Not differentiated.
        sandwich: False gives the covariance M^-1.
        threads: of the processor; each takes whole jets. Results do not depend on it.

    Raises:
        ValueError: shapes, types, devices or settings do not fit; the sentence says which.
        NotImplementedError: a derivative is asked for in forward mode or by torch.func.
    """
    _check(tracks, covariance, weights, mask, offsets, mode)
    _check_count("threads", threads)
    if max_iterations is not None:
        _check_count("max_iterations", max_iterations)
    if prior is not None and (not isinstance(prior, tuple) or len(prior) != 2):
        raise ValueError(f"prior must be Prior(position, information), not {type(prior).__name__}")
    check_devices(tracks, covariance, weights, mask, offsets, seed, *(prior or ()))
    jets, vertices, *_ = shape_of(weights, offsets)
    head = (jets,) if weights.dim() == tracks.dim() - 1 else (jets, vertices)
    # Half-precision tracks are widened later; the information of a beam spot is beyond the range of float16.
    kind = torch.float32 if tracks.dtype in _HALF else tracks.dtype
    position = information = None
    if prior is not None:
        position = _per_problem(prior[0], head, (3,), "the prior's position").to(kind)
        information = _per_problem(prior[1], head, (3, 3), "the prior's information").to(kind)
    start = None if seed is None else _per_problem(seed, head, (3,), "the seed").to(kind)
    ndive = mode == "ndive"
    out = ops.vertex_fit(
        tracks,
        covariance,
        weights,
        mask,
        offsets,
        position,
        information,
        start,
        ndive,
        not ndive if sandwich is None else sandwich,
        tolerance,
        max_iterations or (10 if ndive else 20),
        threads,
    )
    return VertexFit(*out)


def _per_problem(value: Tensor, head: tuple[int, ...], tail: tuple[int, ...], name: str) -> Tensor:
    """`value` with the axes (B[, K], ...) of `head`."""
    extra = value.dim() - len(tail)
    if extra not in (0, 1, 2) or tuple(value.shape[extra:]) != tail:
        raise ValueError(f"{name} must have the shape {list(tail)}, (B, ...) or (B, K, ...), not {list(value.shape)}")
    if extra == 1 and len(head) == 2:
        value = value.unsqueeze(1)
    if extra == 2 and len(head) == 1:
        value = value.squeeze(1)
    lead = value.shape[: value.dim() - len(tail)]
    if lead and (len(lead) != len(head) or any(n not in (1, m) for n, m in zip(lead, head, strict=True))):
        raise ValueError(f"{name} of shape {list(value.shape)} does not fit vertices of shape {[*head, 3]}")
    return value.expand(*head, *tail)


def _check(
    tracks: Tensor,
    covariance: Tensor,
    weights: Tensor,
    mask: Tensor | None,
    offsets: Tensor | None,
    mode: str,
) -> None:
    axes = 2 if offsets is not None else 3
    if tracks.dim() != axes or tracks.shape[-1] != 5:
        expected = "(N, 5) with offsets" if offsets is not None else "(B, n, 5)"
        raise ValueError(f"tracks must have the shape {expected}, not {list(tracks.shape)}")
    if covariance.shape not in (tracks.shape, (*tracks.shape, 5)):
        raise ValueError(
            f"covariance must have the shape {list(tracks.shape)} or one more 5, not {list(covariance.shape)}"
        )
    lead, last = tracks.shape[:-2], tracks.shape[-2]
    if weights.dim() not in (axes - 1, axes) or weights.shape[-1] != last or (lead and weights.shape[0] != lead[0]):
        raise ValueError(f"weights of shape {list(weights.shape)} do not fit tracks of shape {list(tracks.shape)}")
    if mask is not None and (mask.shape != tracks.shape[:-1] or mask.dtype != torch.bool):
        raise ValueError(
            f"mask must be bool of shape {list(tracks.shape[:-1])}, not {mask.dtype} of {list(mask.shape)}"
        )
    check_form_of_offsets(offsets)
    kinds = {tracks.dtype, covariance.dtype, weights.dtype}
    if len(kinds) != 1 or not kinds <= _KINDS:
        given = ", ".join(sorted(map(str, kinds)))
        if not mixed_precision(tracks):
            raise ValueError(f"tracks, covariance and weights must have one type, float32 or float64, not {given}")
        if not kinds <= _KINDS | _HALF:
            raise ValueError(f"tracks, covariance and weights must be floating-point numbers, not {given}")
    if mode not in ("exact", "ndive"):
        raise ValueError(f"there is no mode {mode!r}; choose exact or ndive")
    if mode == "ndive" and covariance.dim() > tracks.dim():
        raise ValueError("mode ndive takes variances only, not matrices")


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, (int, np.integer)) or not 1 <= value <= _MOST:
        raise ValueError(f"{name} must be a whole number from 1 to {_MOST}, not {value!r}")
