"""Where the compiled CUDA kernels are launched."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def on_device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """While it lasts, the tensor's CUDA device is the current one: of several devices, a launch goes to that.

    For a tensor of the processor it does nothing.
    """
    context: AbstractContextManager[object] = torch.cuda.device_of(tensor) if tensor.is_cuda else nullcontext()
    return context


def stream_of(tensor: Tensor) -> int:
    """The address of the current stream of the tensor's CUDA device."""
    return int(torch.cuda.current_stream(tensor.device).cuda_stream)
