"""`extrapolate`: perigee parameters of helices about other points than the origin."""

from __future__ import annotations

import torch
from torch import Tensor

from ..derivatives import check_derivatives
from ..inputs import check_devices, check_form_of_offsets, mixed_precision
from . import ops  # noqa: F401  (registers the operators)

__all__ = ["extrapolate"]


def extrapolate(tracks: Tensor, points: Tensor, mask: Tensor | None = None, offsets: Tensor | None = None) -> Tensor:
    """The perigee parameters of tracks about a point of their jet: the helix's transverse point of closest approach.

    Closed form in a uniform field along z, exact for any curvature and safe for straight tracks; d0 keeps the sign
    of the input's convention. Differentiable once, in reverse mode, with respect to tracks and points. A masked track
    is not read and gives zeros; so does one that is not finite, that points along the beam, or whose angles exceed ten
    turns.

    Args:
        tracks: (B, n, 5), or (N, 5) with `offsets`: d0, z0 (mm), phi, theta (rad), rho (1/mm) about (0, 0, 0).
        points: (B, 3) mm.
        mask: (B, n) or (N,) bool, True for real tracks.
        offsets: (B + 1,) int64: jet b owns the tracks from offsets[b] up to offsets[b + 1].

    Returns:
        Tensor like `tracks`: d0, z0, phi, theta, rho about the points.

    Raises:
        ValueError: shapes, types or devices do not fit; the sentence says which.
        NotImplementedError: a derivative is asked for in forward mode or by torch.func.
    """
    check_form_of_offsets(offsets)
    ragged = offsets is not None
    jets = offsets.shape[0] - 1 if offsets is not None else tracks.shape[0]
    if tracks.dim() != (2 if ragged else 3) or tracks.shape[-1] != 5:
        expected = "(N, 5) with offsets" if ragged else "(B, n, 5)"
        raise ValueError(f"tracks must have the shape {expected}, not {list(tracks.shape)}")
    if points.shape != (jets, 3):
        raise ValueError(f"points must have the shape [{jets}, 3], not {list(points.shape)}")
    if mask is not None and (mask.shape != tracks.shape[:-1] or mask.dtype != torch.bool):
        raise ValueError(
            f"mask must be bool of shape {list(tracks.shape[:-1])}, not {mask.dtype} of {list(mask.shape)}"
        )
    check_devices(tracks, points, mask, offsets)
    check_derivatives("extrapolate", tracks, points)
    good = tracks.dtype == points.dtype and tracks.dtype in (torch.float32, torch.float64)
    if not good and not mixed_precision(tracks):
        raise ValueError(f"tracks and points must both be float32 or float64, not {tracks.dtype} and {points.dtype}")
    out: Tensor = torch.ops.engine_kernels.extrapolate(tracks, points, mask, offsets)
    return out
