"""Sums over indices of inputs and free weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from engine.graph.modules.values import GraphModule, Start, Values, both, expand


class Einsum(GraphModule):
    """A sum over indices of inputs and free weights.

    Args:
        equation: with the batch axis `...` in front of each input and of the result.
        weights: shape and start of each free weight.
        zeroed: for each input, whether its padding is set to 0 first.
        masks: inputs whose masks make that of the result, with the letters of their objects.
        objects: letters of the objects of the result.
    """

    def __init__(
        self, equation: str, weights: Mapping[str, tuple[tuple[int, ...], Start]], zeroed: Sequence[bool],
        masks: Mapping[int, str], objects: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.equation = equation
        self.zeroed = tuple(zeroed)
        self.masks = dict(masks)
        self.objects = objects
        self.weights = nn.ParameterDict()
        for name, (shape, start) in weights.items():
            self.weights[name] = nn.Parameter(torch.empty(shape))
            self.starts[f"weights.{name}"] = start

    def forward(self, values: Values) -> Values:
        operands = [
            x * expand(mask, x) if zero and mask is not None else x
            for (x, mask), zero in zip(values, self.zeroed, strict=True)
        ]
        result = torch.einsum(self.equation, *operands, *self.weights.values())
        mask: Tensor | None = None
        for i, letters in self.masks.items():
            mask = both(mask, align(values[i][1], letters, self.objects))
        return [(result, None if mask is None else mask.expand(result.shape[:-1]))]


def align(mask: Tensor | None, letters: str, objects: str) -> Tensor | None:
    """A mask with axes `letters` as one with axes `objects`: any over those that are gone, length 1 for new ones."""
    if mask is None:
        return None
    for i in reversed(range(len(letters))):
        if letters[i] not in objects:
            mask = mask.any(i + 1)
            letters = letters[:i] + letters[i + 1 :]
    mask = mask.permute(0, *(letters.index(letter) + 1 for letter in objects if letter in letters))
    for i, letter in enumerate(objects):
        if letter not in letters:
            mask = mask.unsqueeze(i + 1)
    return mask
