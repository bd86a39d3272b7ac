"""The extrapolation compiled by numba: for installs without the native module."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _bend(track: Any, x: float, y: float) -> Any:
    d0, phi, rho = track[0], track[2], track[4]
    c, s = math.cos(phi), math.sin(phi)
    along, across = x * c + y * s, y * c - x * s
    Q, R = -along, -d0 - across
    a, b = rho * Q, 1 + rho * R
    n = math.hypot(a, b)
    angle = math.atan2(a, b)
    if b > 0.1 and abs(a) < 0.3 * b:
        w = a / b
        z, rest = w * w, 0.0
        for k in range(16, -1, -1):
            rest = 1.0 / (2 * k + 3) - z * rest  # (1 - atan(w)/w)/w^2
        path = Q / b * (1 - z * rest)
        path_rho = Q / b * (Q / b * w * (rest - 1 / (b * (1 + z))) - R / b)
    else:
        path = angle / rho
        path_rho = (Q / (n * n) - path) / rho
    return c, s, along, across, Q, R, a, b, n, angle, path, path_rho


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _usable(track: Any, point: Any) -> bool:
    for value in track:
        if not math.isfinite(value):
            return False
    for value in point:
        if not math.isfinite(value):
            return False
    return abs(track[2]) < 64 and abs(track[3]) < 64 and abs(math.sin(track[3])) > 1e-5


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _forward(tracks: Any, points: Any, mask: Any, offsets: Any, out: Any) -> None:
    for jet in range(len(offsets) - 1):
        for row in range(offsets[jet], offsets[jet + 1]):
            out[row] = 0
            if not mask[row] or not _usable(tracks[row], points[jet]):
                continue
            track, point = tracks[row], points[jet]
            _, _, _, _, Q, R, _, _, n, angle, path, _ = _bend(track, point[0], point[1])
            d0 = -(2 * R + track[4] * (Q * Q + R * R)) / (1 + n)
            z0 = track[1] - point[2] - path / math.tan(track[3])
            if math.isfinite(d0) and math.isfinite(z0):
                out[row, 0], out[row, 1], out[row, 2], out[row, 3], out[row, 4] = (
                    d0,
                    z0,
                    track[2] - angle,
                    track[3],
                    track[4],
                )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _backward(ct: Any, tracks: Any, points: Any, mask: Any, offsets: Any, to_tracks: Any, to_points: Any) -> None:
    for jet in range(len(offsets) - 1):
        to_points[jet] = 0
        for row in range(offsets[jet], offsets[jet + 1]):
            to_tracks[row] = 0
            if not mask[row] or not _usable(tracks[row], points[jet]):
                continue
            track, point, bar = tracks[row], points[jet], ct[row]
            rho, sine = track[4], math.sin(track[3])
            c, s, along, across, Q, R, a, b, n, _, path, path_rho = _bend(track, point[0], point[1])
            square = Q * Q + R * R
            numerator = 2 * R + rho * square
            d0 = -numerator / (1 + n)
            to_path, to_angle = -bar[1] / math.tan(track[3]), -bar[2]
            turn, shift = (to_path + to_angle * rho) / (n * n), bar[0] / n
            to_q, to_r = turn * b - shift * a, -turn * a - shift * b
            direct = square / (1 + n) + 0.5 * d0 * (rho * square + numerator) / ((1 + n) * n)
            to_rho = bar[4] + to_path * path_rho + to_angle * Q / (n * n) - bar[0] * direct
            to_phi, to_theta = bar[2] - to_q * across + to_r * along, bar[3] + bar[1] * path / (sine * sine)
            to_x, to_y = -to_q * c + to_r * s, -to_q * s - to_r * c
            if not math.isfinite(to_r + bar[1] + to_phi + to_theta + to_rho + to_x + to_y):
                continue
            to_tracks[row, 0], to_tracks[row, 1], to_tracks[row, 2] = -to_r, bar[1], to_phi
            to_tracks[row, 3], to_tracks[row, 4] = to_theta, to_rho
            to_points[jet, 0] += to_x
            to_points[jet, 1] += to_y
            to_points[jet, 2] -= bar[1]


def _arrays(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> list[Any]:
    rows = tracks.reshape(-1, 5)
    real = np.ones(len(rows), dtype=np.bool_) if mask is None else mask.reshape(-1).numpy()
    if offsets is not None:
        starts = offsets.numpy()
    else:
        starts = np.arange(tracks.shape[0] + 1, dtype=np.int64) * tracks.shape[1]
    return [rows.detach().numpy(), points.detach().numpy(), real, starts]


def forward(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> Tensor:
    """See `api.extrapolate`."""
    out = torch.empty_like(tracks)
    _forward(*_arrays(tracks, points, mask, offsets), out.reshape(-1, 5).numpy())  # type: ignore[call-arg]
    return out


def backward(
    cotangent: Tensor, tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to tracks and points."""
    to_tracks, to_points = torch.empty_like(tracks), torch.empty_like(points)
    arrays = _arrays(tracks, points, mask, offsets)
    _backward(cotangent.reshape(-1, 5).numpy(), *arrays, to_tracks.reshape(-1, 5).numpy(), to_points.numpy())  # type: ignore[call-arg]
    return to_tracks, to_points
