"""`TensorSanitizer`: the transforms of one input for tensors of the processor or of a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..derivatives import check_derivatives
from ..streams import Readers
from . import ops
from .layout import Layout
from .transforms import FeatureTransform


class TensorSanitizer:
    """The transforms of one input; a tensor is worked on where it lies.

    On a CUDA device the compiled kernel runs on the current stream (`backends.choose_cuda` says whether it is there),
    else operations of torch. A tensor of the processor goes through what `backends.choose` names.

    Args:
        transforms: one for each stored feature.
    """

    def __init__(self, transforms: Sequence[FeatureTransform]) -> None:
        self.transforms = tuple(transforms)
        self.layout = Layout.of(self.transforms)
        self._direct = self.layout.columns["source"].tolist() == list(range(self.layout.features))
        self._packed = {torch.device("cpu"): ops.pack(self.layout)}
        self._readers: dict[torch.device, Readers] = {}

    def packed(self, device: torch.device) -> ops.Packed:
        """The columns on a device, copied there once, for the device's current stream.

        They may still be read when this object goes.
        """
        if device not in self._packed:
            home = self._packed[torch.device("cpu")]
            self._packed[device] = ops.Packed(*(part.to(device) for part in home))
        if device not in self._readers:
            self._readers[device] = Readers(self._packed[device])
        self._readers[device].add_current()
        return self._packed[device]

    def __call__(self, values: Tensor) -> Tensor:
        """Values (..., F), any storage type, to float32 (..., W); differentiable in reverse mode.

        Raises:
            ValueError: `values` has another number of features or a type that cannot be read.
            NotImplementedError: a derivative is asked for in forward mode or by torch.func.
        """
        self._check(values)
        out: Tensor = torch.ops.engine_kernels.sanitize(values, *self.packed(values.device))
        return out

    def in_place(self, values: Tensor) -> Tensor:
        """The same in the memory of `values`, float32 and contiguous, for transforms of one column a feature.

        Raises:
            ValueError: `values` or the transforms do not allow it, or `values` belong to a graph of gradients.
            NotImplementedError: a derivative is asked for in forward mode.
        """
        self._check(values)
        if torch.is_grad_enabled() and values.requires_grad:
            raise ValueError(
                "in place, values that require a gradient would lose it: call the sanitizer, or detach them"
            )
        if not self._direct:
            raise ValueError("one_hot gives other columns than the features: it cannot be done in place")
        torch.ops.engine_kernels.sanitize_(values, *self.packed(values.device))
        return values

    def _check(self, values: Tensor) -> None:
        if values.dim() < 1 or values.shape[-1] != self.layout.features:
            expected = f"(..., {self.layout.features})"
            raise ValueError(f"the values have shape {tuple(values.shape)}, but the transforms need {expected}")
        check_derivatives("sanitize", values)
