"""The extrapolation in plain torch: the equations of mathematics.h, the oracle of the tests and the ONNX
decomposition.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..angles import cosine

AngleOf = Callable[[Tensor, Tensor], Tensor]


def perigee_about(tracks: Tensor, points: Tensor, angle_of: AngleOf = torch.atan2) -> Tensor:
    """Perigee parameters (..., 5) about the points (..., 3), differentiable; shapes broadcast.

    Args:
        tracks: d0, z0 (mm), phi, theta (rad), rho (1/mm) about (0, 0, 0).
        points: x, y, z, mm.
        angle_of: the inverse tangent of two arguments, for graphs whose runtime has none of its own.
    """
    d0, z0, phi, theta, rho = tracks.unbind(-1)
    x, y, z = points.unbind(-1)
    c, s = cosine(phi), torch.sin(phi)
    Q, R = -(x * c + y * s), -d0 - (y * c - x * s)
    a, b = rho * Q, 1 + rho * R
    n = torch.sqrt(a * a + b * b)
    angle = angle_of(a, b)
    new_d0 = -(2 * R + rho * (Q * Q + R * R)) / (1 + n)
    straight = (b > 0.1) & (a.abs() < 0.3 * b)
    safe_b, safe_rho = torch.where(straight, b, 1.0), torch.where(straight, 1.0, rho)
    w = torch.where(straight, a, 0.0) / safe_b
    path = torch.where(straight, Q / safe_b * _arc_tangent_ratio(w * w), angle / safe_rho)
    return torch.stack(
        torch.broadcast_tensors(new_d0, z0 - z - path * cosine(theta) / torch.sin(theta), phi - angle, theta, rho),
        dim=-1,
    )


def _arc_tangent_ratio(z: Tensor) -> Tensor:
    """atan(w)/w as a series in z = w^2 < 0.09."""
    total = torch.zeros_like(z)
    for k in range(16, -1, -1):
        total = 1 / (2 * k + 1) - z * total
    return total


def usable(tracks: Tensor, points: Tensor, mask: Tensor | None) -> Tensor:
    """True for the tracks that can be extrapolated: finite, not along the beam, angles below ten turns."""
    good = torch.isfinite(tracks).all(-1) & torch.isfinite(points).all(-1)
    good = good & (tracks[..., 2].abs() < 64) & (tracks[..., 3].abs() < 64)
    good = good & (torch.sin(torch.where(good, tracks[..., 3], 1.5)).abs() > 1e-5)
    return good if mask is None else good & mask


def points_of_tracks(tracks: Tensor, points: Tensor, offsets: Tensor | None) -> Tensor:
    """The point of each track's jet, with the axes of the tracks."""
    if offsets is None:
        return points.unsqueeze(1).expand(*tracks.shape[:2], 3)
    return torch.repeat_interleave(points, offsets[1:] - offsets[:-1], dim=0)


def forward(
    tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None, angle_of: AngleOf = torch.atan2
) -> Tensor:
    """See `api.extrapolate` and `perigee_about`."""
    about = points_of_tracks(tracks, points, offsets)
    good = usable(tracks, about, mask).unsqueeze(-1)
    harmless = tracks.new_tensor([0.0, 0.0, 0.0, 1.5, 0.0])
    out = perigee_about(torch.where(good, tracks, harmless), torch.where(good, about, 0.0), angle_of)
    return torch.where(good & torch.isfinite(out).all(-1, keepdim=True), out, 0.0)


def backward(
    cotangent: Tensor, tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to tracks and points."""
    with torch.enable_grad():
        leaves = [tracks.detach().requires_grad_(), points.detach().requires_grad_()]
        out = forward(leaves[0], leaves[1], mask, offsets)
        made = torch.autograd.grad(out, leaves, cotangent)
    return tuple(torch.where(torch.isfinite(gradient), gradient, 0.0) for gradient in made)  # type: ignore[return-value]
