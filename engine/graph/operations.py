"""What the functions of the expression grammar mean for torch tensors; reductions run over the objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from engine_kernels.angles import cosine
from torch import Tensor

from engine.graph.portable import asinh, atan, atan2, cosh, earlier, hypot, log10, portable, sinh, tan

Number = Tensor | float | int | bool


def tensor(value: Number) -> Tensor:
    """A plain number as a tensor, for functions that take tensors only."""
    return (
        value
        if isinstance(value, Tensor)
        else torch.tensor(value, dtype=None if isinstance(value, bool) else torch.float32)
    )


def truth(value: Number) -> Tensor:
    """True where the value is not 0."""
    result = tensor(value)
    return result if result.dtype == torch.bool else result != 0


def one(function: Callable[[Tensor], Tensor]) -> Callable[[Number], Tensor]:
    """A function of one tensor that takes plain numbers too."""
    return lambda value: function(tensor(value))


def both(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Number, Number], Tensor]:
    """A function of two tensors that takes plain numbers too."""

    def apply(left: Number, right: Number) -> Tensor:
        return function(tensor(left), tensor(right))

    return apply


def many(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A function of two tensors, applied to any number of values from left to right."""
    return lambda *values: reduce(both(function), values)


def delta_phi(left: Number, right: Number) -> Tensor:
    """left - right in rad, wrapped to -pi .. pi."""
    difference = tensor(left) - tensor(right)
    return difference - 2 * math.pi * torch.round(difference / (2 * math.pi))


def delta_r(eta1: Number, phi1: Number, eta2: Number, phi2: Number) -> Tensor:
    """Distance in eta and phi (rad)."""
    return portable(torch.hypot, hypot)(tensor(eta1) - tensor(eta2), delta_phi(phi1, phi2))


def rank(values: Tensor, mask: Tensor) -> Tensor:
    """Place of each object in ascending order among the real objects of its row; equal ones in order, NaN last.

    Places are counted, not sorted: ONNX has no stable sort, and objects are few.

    Args:
        values: (rows, objects).
        mask: real objects, bool (rows, objects).
    """
    mine, other = values.unsqueeze(2), values.unsqueeze(1)
    both_lost = torch.isnan(mine) & torch.isnan(other)
    below = (other < mine) | (torch.isnan(mine) & ~torch.isnan(other))
    before = below | (((other == mine) | both_lost) & earlier(values))
    return (before & mask.unsqueeze(1)).sum(2).to(values.dtype)


def sign(value: Tensor) -> Tensor:
    """-1, 0 or 1; NaN stays NaN, which torch alone makes 0."""
    return torch.where(torch.isnan(value), value, torch.sign(value))


def is_in(value: Number, choices: tuple[Number, ...]) -> Tensor:
    """True where the value is one of the choices."""
    found = torch.zeros_like(tensor(value), dtype=torch.bool)
    for choice in choices:
        found = found | (tensor(value) == choice)
    return found


def bit(value: Number, number: Number) -> Tensor:
    """1 where this bit (0 is the lowest) of a whole number is set, else 0."""
    shifted = torch.floor(tensor(value) / 2.0**number)
    return shifted - 2 * torch.floor(shifted / 2)


TORCH_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda left, right: truth(left) & truth(right),
    "or": lambda left, right: truth(left) | truth(right),
    "not": lambda value: ~truth(value),
    "in": is_in,
    "abs": one(torch.abs),
    "sqrt": one(torch.sqrt),
    "exp": one(torch.exp),
    "log": one(torch.log),
    "log1p": one(torch.log1p),
    "log10": one(portable(torch.log10, log10)),
    "sin": one(torch.sin),
    "cos": one(cosine),
    "tan": one(portable(torch.tan, tan)),
    "atan": one(portable(torch.atan, atan)),
    "atan2": both(portable(torch.atan2, atan2)),
    "sinh": one(portable(torch.sinh, sinh)),
    "cosh": one(portable(torch.cosh, cosh)),
    "tanh": one(torch.tanh),
    "asinh": one(portable(torch.asinh, asinh)),
    "min": many(torch.minimum),
    "max": many(torch.maximum),
    "clip": lambda value, low, high: torch.minimum(torch.maximum(tensor(value), tensor(low)), tensor(high)),
    "where": lambda condition, yes, no: torch.where(truth(condition), tensor(yes), tensor(no)),
    "sign": one(sign),
    "floor": one(torch.floor),
    "round": one(torch.round),
    "is_finite": one(torch.isfinite),
    "bit": bit,
    "delta_phi": delta_phi,
    "delta_r": delta_r,
}
"""Element by element; reductions over objects are blocks of their own (`mean_pool`, ...), which know the mask."""
