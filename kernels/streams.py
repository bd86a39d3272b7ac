"""Where the compiled CUDA kernels are launched."""

from __future__ import annotations

from collections.abc import Iterable
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


class Readers:
    """The streams that read some tensors of a device: memory that becomes free is not given to others before."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = tuple(tensors)
        self._streams: set[torch.cuda.Stream] = set()

    def add_current(self) -> None:
        """The current stream of their device reads them now. The processor knows no streams."""
        if not self._tensors or self._tensors[0].device.type != "cuda":
            return
        stream = torch.cuda.current_stream(self._tensors[0].device)
        if stream not in self._streams:
            self._streams.add(stream)
            for tensor in self._tensors:
                tensor.record_stream(stream)
