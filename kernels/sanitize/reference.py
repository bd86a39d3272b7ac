"""sanitize as a torch module: the first nodes of an exported network, and the oracle of the CUDA kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layout import Layout
from .transforms import FeatureTransform


def transform_columns(values: Tensor, source: Tensor, flags: Tensor, numbers: Tensor) -> Tensor:
    """The definition of `transforms.apply` in operations of torch, on any device.

    Args:
        values: (..., F), any type.
        source: feature of each column, (W,).
        flags: bool (3, W): absolute, log1p, one_hot.
        numbers: float32 (6, W): low, high, scale, offset, fill, value.
    """
    absolute, log1p, one_hot = flags.unbind(0)
    low, high, scale, offset, fill, value = numbers.unbind(0)
    raw = values.to(torch.float32).index_select(-1, source.long())
    x = torch.where(absolute, raw.abs(), raw)
    x = torch.where(log1p, torch.log1p(x), x)
    x = torch.minimum(torch.maximum(x, low), high) * scale + offset
    x = torch.where(torch.isfinite(raw) & torch.isfinite(x), x, fill)
    return torch.where(one_hot, (raw == value).to(torch.float32), x)


class Sanitize(nn.Module):
    """Stored features to the network's input, with operations that ONNX has.

    Input `values`: float32 (B, F) or (B, n, F). With `mask`, bool (B, n), the slots where it is False give 0.
    Output: float32 (B, W) or (B, n, W). The parameters are buffers: they move with the module and go into exports.

    Args:
        transforms: one for each of the F features.
    """

    source: Tensor
    absolute: Tensor
    log1p: Tensor
    one_hot: Tensor
    low: Tensor
    high: Tensor
    scale: Tensor
    offset: Tensor
    fill: Tensor
    value: Tensor

    def __init__(self, transforms: Sequence[FeatureTransform]) -> None:
        super().__init__()
        layout = Layout.of(transforms)
        columns = layout.columns
        self.features, self.width = layout.features, layout.width
        self.expands = columns["source"].tolist() != list(range(layout.features))
        self.uses = {name: bool(columns[name].any()) for name in ("absolute", "log1p", "one_hot")}
        self.register_buffer("source", torch.from_numpy(columns["source"].astype("int64")))
        for name in ("absolute", "log1p", "one_hot"):
            self.register_buffer(name, torch.from_numpy(columns[name].astype(bool)))
        for name in ("low", "high", "scale", "offset", "fill", "value"):
            self.register_buffer(name, torch.from_numpy(columns[name].copy()))

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply the transforms; see the class for the shapes."""
        raw = values.index_select(-1, self.source) if self.expands else values
        finite = raw.abs() <= torch.finfo(torch.float32).max  # False for NaN as well; ONNX has no is_finite
        x = torch.where(finite, raw, 0.0)
        if self.uses["absolute"]:
            x = torch.where(self.absolute, x.abs(), x)
        if self.uses["log1p"]:
            x = torch.where(self.log1p, torch.log1p(x), x)
        x = torch.minimum(torch.maximum(x, self.low), self.high)
        x = x * self.scale + self.offset
        finite = finite & (x.abs() <= torch.finfo(torch.float32).max)
        x = torch.where(finite, x, self.fill)
        if self.uses["one_hot"]:
            x = torch.where(self.one_hot, (raw == self.value).to(x.dtype), x)
        return x if mask is None else torch.where(mask.unsqueeze(-1), x, 0.0)
