"""Several inputs into one: side by side, added up, multiplied, as pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.graph.modules.values import Values, both


def common_mask(values: Values) -> Tensor | None:
    """Objects that are real in all inputs that have a mask."""
    mask: Tensor | None = None
    for _, other in values:
        mask = both(mask, other)
    return mask


def raise_row(x: Tensor, axes: int) -> Tensor:
    """A row (B, F) with axes of length 1 for objects, so that it has `axes` axes."""
    while x.dim() < axes:
        x = x.unsqueeze(-2)
    return x


class ConcatFeatures(nn.Module):
    """Features side by side; rows are repeated for each object.

    Args:
        objects: sizes of the object axes of the result.
    """

    def __init__(self, objects: tuple[int, ...]) -> None:
        super().__init__()
        self.objects = objects

    def forward(self, values: Values) -> Values:
        axes = len(self.objects) + 2
        parts = [x for x, _ in values]
        if self.objects and any(x.dim() == axes for x in parts):  # not where real objects come as rows
            parts = [raise_row(x, axes).expand(-1, *self.objects, -1) for x in parts]
        return [(torch.cat(parts, dim=-1), common_mask(values))]


class ConcatObjects(nn.Module):
    """Objects of all inputs; where one has a mask, those of an input without count as real."""

    def forward(self, values: Values) -> Values:
        tensors = [x for x, _ in values]
        joined = torch.cat(tensors, dim=1)
        if all(mask is None for _, mask in values):
            return [(joined, None)]
        masks = [torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask for x, mask in values]
        return [(joined, torch.cat(masks, dim=1))]


class Add(nn.Module):
    """Sum of the inputs."""

    def forward(self, values: Values) -> Values:
        axes = max(x.dim() for x, _ in values)
        total = raise_row(values[0][0], axes)
        for x, _ in values[1:]:
            total = total + raise_row(x, axes)
        return [(total, common_mask(values))]


class Multiply(nn.Module):
    """Product of the inputs."""

    def forward(self, values: Values) -> Values:
        axes = max(x.dim() for x, _ in values)
        product = raise_row(values[0][0], axes)
        for x, _ in values[1:]:
            product = product * raise_row(x, axes)
        return [(product, common_mask(values))]


class Pairs(nn.Module):
    """All pairs of a left and a right object.

    Args:
        combine: "concat", "add" or "multiply".
        rows: number of inputs at the end that are rows, added to each pair as further features (or factors, terms).
    """

    def __init__(self, combine: str, rows: int) -> None:
        super().__init__()
        self.combine = combine
        self.rows = rows

    def forward(self, values: Values) -> Values:
        objects = values[: len(values) - self.rows]
        (left, left_mask), (right, right_mask) = objects[0], objects[-1]
        shape = (left.shape[0], left.shape[1], right.shape[1])
        parts = [left.unsqueeze(2), right.unsqueeze(1)]
        parts += [raise_row(x, 4) for x, _ in values[len(objects) :]]
        if self.combine == "concat":
            pairs = torch.cat([part.expand(*shape, -1) for part in parts], dim=-1)
        else:
            pairs = parts[0]
            for part in parts[1:]:
                pairs = pairs + part if self.combine == "add" else pairs * part
        return [(pairs, pair_mask(left_mask, right_mask, shape, left))]


def pair_mask(left: Tensor | None, right: Tensor | None, shape: tuple[int, int, int], like: Tensor) -> Tensor | None:
    """A pair is real when both objects are."""
    if left is None and right is None:
        return None
    rows = (
        torch.ones(shape[0], shape[1], 1, dtype=torch.bool, device=like.device) if left is None else left.unsqueeze(2)
    )
    columns = (
        torch.ones(shape[0], 1, shape[2], dtype=torch.bool, device=like.device) if right is None else right.unsqueeze(1)
    )
    return rows & columns
