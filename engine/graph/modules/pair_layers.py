"""Dense layers on pairs of objects, without the pairs: the first layer of `pairs: concat` is a sum of what it makes of
the left object, of the right one and of the rows, so it is computed once an object and not once a pair. On a processor
the layers then run over the real pairs alone, a quarter of them where half of the objects are padding.

The results are those of the two modules one after the other, except that a pair with padding has 0 before the last
activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.jit._trace import is_tracing
from torch.nn import functional

from engine.graph.modules.dense import Dense, Linear
from engine.graph.modules.merging import Pairs, pair_mask
from engine.graph.modules.values import Values


class RealPairs(NamedTuple):
    """The P real pairs of B rows with N left and M right objects.

    Attributes:
        place: of each among all B * N * M pairs, (P,).
        left, right: its objects among all B * N, B * M, (P,).
        by_left, by_right: where the pairs of each object begin, (B * N,), and in the order `turned`, (B * M,).
        turned: the pairs in the order of their right objects, (P,).
    """

    place: Tensor
    left: Tensor
    right: Tensor
    by_left: Tensor
    by_right: Tensor
    turned: Tensor


def real_pairs(mask: Tensor) -> RealPairs:
    """The pairs that a mask (B, N, M) calls real."""
    rights = mask.shape[2]
    place = mask.flatten().nonzero().squeeze(1)
    left = torch.div(place, rights, rounding_mode="floor")
    row = torch.div(left, mask.shape[1], rounding_mode="floor")
    right = row * rights + place % rights
    return RealPairs(place, left, right, begins(mask.sum(2)), begins(mask.sum(1)), torch.argsort(right, stable=True))


def begins(counts: Tensor) -> Tensor:
    """Where each of some groups begins whose members stand one after the other."""
    flat = counts.flatten()
    return flat.cumsum(0) - flat


class PairSum(torch.autograd.Function):
    """left[i] + right[j] of the real pairs: (B * N, U) and (B * M, U) to (P, U)."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, pairs: RealPairs) -> Tensor:
        ctx.pairs = pairs
        return left.index_select(0, pairs.left).add_(right.index_select(0, pairs.right))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        pairs: RealPairs = ctx.pairs
        along = gradients[0].contiguous()
        in_order = torch.arange(len(along), device=along.device)
        to_left = functional.embedding_bag(in_order, along, pairs.by_left, mode="sum")
        return to_left, functional.embedding_bag(pairs.turned, along, pairs.by_right, mode="sum"), None


class PairLayers(nn.Module):
    """`pairs: concat` and the dense layers behind it; the modules themselves belong to the chain.

    Args:
        pairs: makes pairs of objects, with the features side by side.
        layers: what follows.
    """

    def __init__(self, pairs: Pairs, layers: Sequence[Dense]) -> None:
        super().__init__()
        self.parts = (pairs, tuple(layers))

    def forward(self, values: Values) -> Values:
        return self.finish(self.body(values))

    def finish(self, values: Values) -> Values:
        """The last activation and dropout."""
        return self.parts[1][-1].finish(values)

    def body(self, values: Values) -> Values:
        """All but the last activation and dropout."""
        pairs, layers = self.parts
        left, right, mask = self.first_layer(values, pairs, layers[0].layers[0])
        shape = (left.shape[0], left.shape[1], right.shape[1])
        written_out = torch.onnx.is_in_onnx_export() or is_tracing() or torch.compiler.is_compiling()  # type: ignore[no-untyped-call]
        if mask is None or left.device.type != "cpu" or written_out or torch.is_autocast_enabled("cpu"):
            h = self.later_layers(left.unsqueeze(2) + right.unsqueeze(1))
            return [(h if mask is None else h * mask.unsqueeze(-1).to(h.dtype), mask)]
        real = real_pairs(mask)
        h_PU = self.later_layers(PairSum.apply(left.flatten(0, 1), right.flatten(0, 1), real))  # type: ignore[no-untyped-call]
        full = h_PU.new_zeros(mask.numel(), h_PU.shape[-1]).index_copy(0, real.place, h_PU)
        return [(full.reshape(*shape, -1), mask)]

    def first_layer(self, values: Values, pairs: Pairs, layer: Linear) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the first layer makes of left (with rows and bias) and right objects, and the mask of the pairs."""
        objects = values[: len(values) - pairs.rows]
        (left, left_mask), (right, right_mask) = objects[0], objects[-1]
        widths = [left.shape[-1], right.shape[-1], *(x.shape[-1] for x, _ in values[len(objects) :])]
        weights = torch.split(layer.weight, widths, dim=1)
        made = functional.linear(left, weights[0])
        rows = [functional.linear(x, w) for (x, _), w in zip(values[len(objects) :], weights[2:], strict=True)]
        if layer.bias is not None:
            rows.append(layer.bias)
        for row in rows:
            made = made + (row.unsqueeze(1) if row.dim() == 2 else row)
        mask = pair_mask(left_mask, right_mask, (left.shape[0], left.shape[1], right.shape[1]), left)
        return made, functional.linear(right, weights[1]), mask

    def later_layers(self, h: Tensor) -> Tensor:
        """What follows the first linear layer, up to the last one."""
        layers = [(dense, linear) for dense in self.parts[1] for linear in dense.layers]
        for (before, _), (_, linear) in pairwise(layers):
            h = linear(before.activate(h))
        return h


def merged(steps: Sequence[nn.Module]) -> tuple[nn.Module, ...]:
    """The steps of a chain, with dense layers on pairs taken together."""
    found: list[nn.Module] = []
    rest = list(steps)
    while rest:
        step = rest.pop(0)
        if isinstance(step, Pairs) and step.combine == "concat" and rest and isinstance(rest[0], Dense):
            layers = []
            while rest and isinstance(rest[0], Dense):
                layers.append(rest.pop(0))
            step = PairLayers(step, layers)  # type: ignore[arg-type]
        found.append(step)
    return tuple(found)
