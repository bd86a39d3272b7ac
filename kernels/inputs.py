"""What the tensors of one call must have in common, so that a kernel stays inside their memory."""

from __future__ import annotations

import torch
from torch import Tensor


def check_devices(*tensors: Tensor | None) -> None:
    """Raise where the tensors do not lie on one device: a kernel gets their addresses alone.

    Raises:
        ValueError: they do not; the sentence names the devices.
    """
    devices = {tensor.device for tensor in tensors if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"all tensors must lie on one device, not on {' and '.join(sorted(map(str, devices)))}")


def check_offsets(offsets: Tensor, total: int) -> None:
    """Raise where `offsets` (B + 1,) do not rise from 0 to `total`. Of a CUDA device it waits once.

    Raises:
        ValueError: they do not.
    """
    ends = (offsets[0] == 0) & (offsets[-1] == total)
    if not bool(ends & (torch.diff(offsets) >= 0).all()):
        raise ValueError(f"offsets must rise from 0 to the number of tracks, {total}")
