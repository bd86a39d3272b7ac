"""The compiled extrapolation: allocates, passes addresses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..backends import native_module
from ..streams import on_device_of, stream_of


def _arguments(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> tuple[Any, ...]:
    padded = tracks.shape[1] if offsets is None else 0
    data = [0 if tensor is None else tensor.data_ptr() for tensor in (offsets, tracks, points, mask)]
    return points.shape[0], padded, data


def _tail(tracks: Tensor) -> tuple[Any, ...]:
    double = tracks.dtype == torch.float64
    if not tracks.is_cuda:
        return (double,)
    return double, stream_of(tracks)


def forward(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> Tensor:
    """See `api.extrapolate`."""
    out = torch.empty_like(tracks)
    module = native_module()
    function = module.extrapolate_cuda if tracks.is_cuda else module.extrapolate
    with on_device_of(tracks):
        function(*_arguments(tracks, points, mask, offsets), out.data_ptr(), *_tail(tracks))
    return out


def backward(
    cotangent: Tensor, tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to tracks and points."""
    to_tracks, to_points = torch.empty_like(tracks), torch.empty_like(points)
    module = native_module()
    function = module.extrapolate_backward_cuda if tracks.is_cuda else module.extrapolate_backward
    addresses = [cotangent.data_ptr(), to_tracks.data_ptr(), to_points.data_ptr()]
    with on_device_of(tracks):
        function(*_arguments(tracks, points, mask, offsets), *addresses, *_tail(tracks))
    return to_tracks, to_points
