"""Convolution and pooling of neighbouring objects, on (B, N, F)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.activations import activation
from engine.graph.modules.values import GraphModule, Start, Values, expand


class Window:
    """How a window moves along the objects; plain numbers, shared by values and masks.

    Args:
        size: objects in the window.
        stride: objects from one window to the next.
        before, after: empty objects added at the ends.
    """

    def __init__(self, size: int, stride: int, before: int = 0, after: int = 0) -> None:
        self.size = size
        self.stride = stride
        self.before = before
        self.after = after

    @property
    def keeps_objects(self) -> bool:
        """Whether there are as many objects afterwards, each at the place where it was."""
        return self.stride == 1 and self.before + self.after == self.size - 1

    def mask(self, mask: Tensor | None) -> Tensor | None:
        """The mask afterwards: that of the objects, or where these change, a window with a real object is real."""
        if mask is None or self.keeps_objects:
            return mask
        real = functional.pad(mask.unsqueeze(1).float(), (self.before, self.after))
        return functional.max_pool1d(real, self.size, self.stride).squeeze(1) > 0


class Conv1d(GraphModule):
    """Convolution with weight (filters, features / groups, kernel), zeros at the ends."""

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, features: int, filters: int, window: Window, groups: int, function: str | None, slope: float,
        weight: str, bias: str | None, *, use_mask: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.window = window
        self.groups = groups
        self.use_mask = use_mask
        self.function = activation(function, slope)
        fans = (features // groups * window.size, filters * window.size)
        self.free("weight", (filters, features // groups, window.size), Start(weight, *fans))
        if bias is None:
            self.register_parameter("bias", None)
        else:
            self.free("bias", (filters,), Start(bias, *fans))

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        if self.window.size == 1 and self.window.stride == 1 and self.groups == 1:
            x = functional.linear(x, self.weight[:, :, 0], self.bias)
        else:
            if mask is not None and self.use_mask:
                x = x * expand(mask, x)
            x = self.convolve(x)
        return [(x if self.function is None else self.function(x), self.window.mask(mask))]

    def convolve(self, x: Tensor) -> Tensor:
        """As a two-dimensional convolution over one line: torch's kernels for that, and not those for one dimension,
        take features that lie side by side in memory, and are about twice as fast."""
        before, after = self.window.before, self.window.after
        padding = before if before == after else 0
        if before != after:
            x = functional.pad(x, (0, 0, before, after))
        x_FN = x.transpose(1, 2).unsqueeze(2)
        stride, weight = (1, self.window.stride), self.weight.unsqueeze(2)
        y_FN = functional.conv2d(x_FN, weight, self.bias, stride, (0, padding), groups=self.groups)
        return y_FN.squeeze(2).transpose(1, 2)


class Pool1d(nn.Module):
    """Maximum or mean of each feature in a window of neighbouring objects."""

    def __init__(self, window: Window, kind: str, *, use_mask: bool) -> None:
        super().__init__()
        self.window = window
        self.kind = kind
        self.use_mask = use_mask

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        after = self.window.mask(mask)
        use = mask if self.use_mask else None
        pooled = self.largest(x, use) if self.kind == "max" else self.mean(x, use)
        if use is not None and after is not None:
            pooled = pooled * expand(after, pooled)
        return [(pooled, after)]

    def largest(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), x, torch.finfo(x.dtype).min)
        return functional.max_pool1d(x.transpose(1, 2), self.window.size, self.window.stride).transpose(1, 2)

    def mean(self, x: Tensor, mask: Tensor | None) -> Tensor:
        size, stride = self.window.size, self.window.stride
        if mask is None:
            return functional.avg_pool1d(x.transpose(1, 2), size, stride).transpose(1, 2)
        real = expand(mask, x)
        total = functional.avg_pool1d((x * real).transpose(1, 2), size, stride)
        share = functional.avg_pool1d(real.transpose(1, 2), size, stride)
        return (total / share.clamp(min=0.5 / size)).transpose(1, 2)
