"""Dense layers on pairs of objects, without the pairs: the first layer of `pairs: concat` is a sum of what it makes of
the left object, of the right one and of the rows, so it is computed once an object and not once a pair. On a processor
the layers then run over the real pairs alone, a quarter of them where half of the objects are padding.

The results are those of the two modules one after the other, except that a pair with padding has 0 before the last
activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.modules.dense import Dense
from engine.graph.modules.merging import Pairs, pair_mask
from engine.graph.modules.values import Values, runs_as_written


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


def pairs_within(counts_B: Tensor, row_R: Tensor, place_R: Tensor, slots: int) -> RealPairs:
    """The pairs of the R real objects of each row, which are numbered one after the other.

    Args:
        counts_B: objects of each row.
        row_R: the row of each object.
        place_R: of each object among all B * N slots.
        slots: N.
    """
    partners_R, first_R = counts_B.index_select(0, row_R), begins(counts_B).index_select(0, row_R)
    by_object = begins(partners_R)
    left = torch.repeat_interleave(partners_R)
    begin = first_R.index_select(0, left)
    right = torch.arange(len(left)) - by_object.index_select(0, left) + begin
    place = place_R.index_select(0, left) * slots + place_R.index_select(0, right) % slots
    # The pair (i, j) in the order of right objects stands where (j, i) does in that of left ones
    turned = by_object.index_select(0, right) + left - begin
    return RealPairs(place, left, right, by_object, by_object, turned)


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
        self.rows = pairs.rows
        self.parts = (pairs, tuple(layers))

    def forward(self, values: Values) -> Values:
        return self.finish(self.body(values))

    def finish(self, values: Values) -> Values:
        """The last activation and dropout."""
        return self.parts[1][-1].finish(values)

    def body(self, values: Values) -> Values:
        """All but the last activation and dropout."""
        objects = values[: len(values) - self.rows]
        (left, left_mask), (right, right_mask) = objects[0], objects[-1]
        shape = (left.shape[0], left.shape[1], right.shape[1])
        mask = pair_mask(left_mask, right_mask, shape, left)
        rows = [x for x, _ in values[len(objects) :]]
        left, right = self.first_layer(left, right, rows, lambda row: row.unsqueeze(1))
        if mask is None or not runs_as_written(left):
            h = self.later_layers(left.unsqueeze(2) + right.unsqueeze(1))
            return [(h if mask is None else h * mask.unsqueeze(-1).to(h.dtype), mask)]
        real = real_pairs(mask)
        h_PU = self.later_layers(PairSum.apply(left.flatten(0, 1), right.flatten(0, 1), real))  # type: ignore[no-untyped-call]
        full = h_PU.new_zeros(mask.numel(), h_PU.shape[-1]).index_copy(0, real.place, h_PU)
        return [(full.reshape(*shape, -1), mask)]

    def on_real(self, x_RF: Tensor, rows: Sequence[Tensor], row_R: Tensor, real: RealPairs) -> Tensor:
        """The same for pairs of R real objects and the (B, F) rows that they belong to: (P, U)."""
        left, right = self.first_layer(x_RF, x_RF, rows, lambda row: row.index_select(0, row_R))
        return self.later_layers(PairSum.apply(left, right, real))  # type: ignore[no-untyped-call]

    def first_layer(
        self, left: Tensor, right: Tensor, rows: Sequence[Tensor], spread: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What the first layer makes of left (with rows and bias) and right objects; `spread` gives rows to objects."""
        layer = self.parts[1][0].layers[0]
        widths = [left.shape[-1], right.shape[-1], *(x.shape[-1] for x in rows)]
        weights = torch.split(layer.weight, widths, dim=1)
        made = functional.linear(left, weights[0])
        for x, weight in zip(rows, weights[2:], strict=True):
            made = made + spread(functional.linear(x, weight))
        if layer.bias is not None:
            made = made + layer.bias
        return made, functional.linear(right, weights[1])

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
