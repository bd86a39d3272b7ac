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


def check_form_of_offsets(offsets: Tensor | None) -> None:
    """Raise where `offsets`, which may be missing, are not of the form that a kernel reads.

    Raises:
        ValueError: they are not int64 of shape (B + 1,).
    """
    if offsets is not None and (offsets.dim() != 1 or offsets.dtype != torch.int64 or offsets.shape[0] < 1):
        raise ValueError(f"offsets must be int64 of shape (B + 1,), not {offsets.dtype} of {list(offsets.shape)}")


def check_offsets(offsets: Tensor, total: int) -> None:
    """Raise where `offsets` do not rise from 0 to `total`. Of a CUDA device it waits once.

    Raises:
        ValueError: they do not, or are not int64 of shape (B + 1,).
    """
    check_form_of_offsets(offsets)
    ends = (offsets[0] == 0) & (offsets[-1] == total)
    if not bool(ends & (torch.diff(offsets) >= 0).all()):
        raise ValueError(f"offsets must rise from 0 to the number of tracks, {total}")


def mixed_precision(tensor: Tensor) -> bool:
    """True under autocast of the tensor's device; the kernels have rules for it on the processor and CUDA devices."""
    return tensor.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(tensor.device.type)
