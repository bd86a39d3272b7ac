"""Padded tensors for the feature program: the arrays that an exported network computes its features with.

A row's value has shape (rows, 1), objects' values (rows, objects) with a mask of the real ones. Everything is float64,
as at preparation, so that a sign or an angle does not depend on where it is computed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.errors import ExportError
from engine.graph.operations import TORCH_FUNCTIONS, rank

Operation = Callable[..., Any]


class Padded:
    """One number a row (`mask` is None) or one an object; operators act on each number."""

    def __init__(self, tensor: Tensor, mask: Tensor | None = None) -> None:
        self.tensor = tensor
        self.mask = mask

    def __neg__(self) -> Padded:
        return combine(operator.neg, self)


def _operator(function: Operation, swapped: bool = False) -> Operation:
    def apply(self: Padded, other: Any) -> Padded:
        return combine(function, other, self) if swapped else combine(function, self, other)

    return apply


for _name in ("add", "sub", "mul", "truediv", "mod", "pow"):
    setattr(Padded, f"__{_name}__", _operator(getattr(operator, _name)))
    setattr(Padded, f"__r{_name}__", _operator(getattr(operator, _name), swapped=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Padded, f"__{_name}__", _operator(getattr(operator, _name)))


def combine(function: Operation, *arguments: Any) -> Padded:
    """Call an element-wise function of tensors on Padded values and plain numbers.

    Raises:
        ExportError: objects of different collections are mixed.
    """
    mask: Tensor | None = None
    for argument in arguments:
        if not isinstance(argument, Padded) or argument.mask is None or argument.mask is mask:
            continue
        if mask is not None:
            message = "a feature mixes objects of two collections; reduce one of them first, as in sum(...)"
            raise ExportError(message)
        mask = argument.mask
    return Padded(function(*(_tensor(argument) for argument in arguments)), mask)


def _tensor(argument: Any) -> Tensor:
    """Conditions become 0 and 1; plain numbers are float64 tensors, so that nothing falls back to float32."""
    if not isinstance(argument, Padded):
        return torch.tensor(float(argument), dtype=torch.float64)
    return argument.tensor.double() if argument.tensor.dtype == torch.bool else argument.tensor


def _sum(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, 0.0).sum(1, keepdim=True)


def _count(values: Tensor, mask: Tensor) -> Tensor:
    return _sum((values != 0).double(), mask)


def _some(values: Tensor, mask: Tensor) -> Tensor:
    return mask.any(1, keepdim=True)


def _first(values: Tensor, mask: Tensor) -> Tensor:
    """The objects of a row come first and the padding after them."""
    return torch.where(mask[:, :1], values[:, :1], 0.0)


def _maximum(values: Tensor, mask: Tensor) -> Tensor:
    """NaN where any object's value is NaN, which the maximum of ONNX passes over."""
    lost = (torch.isnan(values) & mask).any(1, keepdim=True)
    largest = torch.where(mask, values, -torch.inf).amax(1, keepdim=True)
    return torch.where(lost, torch.nan, torch.where(_some(values, mask), largest, 0.0))


REDUCTIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": _sum,
    "mean": lambda values, mask: _sum(values, mask) / mask.double().sum(1, keepdim=True).clamp(min=1.0),
    "count": _count,
    "first": _first,
    "any": lambda values, mask: _count(values, mask) > 0,
    "all": lambda values, mask: _sum((values == 0).double(), mask) == 0,
    "maximum": _maximum,
    "minimum": lambda values, mask: -_maximum(-values, mask),
}
"""Reductions over the objects of each row: (values, mask), both (rows, objects), to (rows, 1)."""


def _reduce(name: str, value: Any) -> Padded:
    if not isinstance(value, Padded) or value.mask is None:
        message = f"{name}(...) needs a field of objects, not a value of the row"
        raise ExportError(message)
    return Padded(REDUCTIONS[name](_tensor(value), value.mask))


def _rank(value: Any) -> Padded:
    if not isinstance(value, Padded) or value.mask is None:
        message = "rank(...) needs a field of objects, not a value of the row"
        raise ExportError(message)
    return Padded(rank(_tensor(value), value.mask), value.mask)


def _is_in(value: Any, choices: tuple[Any, ...]) -> Padded:
    return combine(lambda first, *others: TORCH_FUNCTIONS["in"](first, others), value, *choices)


PADDED_FUNCTIONS: Mapping[str, Operation] = {
    **{name: partial(combine, function) for name, function in TORCH_FUNCTIONS.items()},
    **{name: partial(_reduce, name) for name in REDUCTIONS},
    "in": _is_in,
    "rank": _rank,
}
"""What the functions of an expression mean for Padded values."""


class PaddedBackend:
    """The feature program on padded tensors."""

    functions: Mapping[str, Operation] = PADDED_FUNCTIONS

    def leading(self, values: Padded) -> Padded:
        """The value of each row's first object; a row's own value is its own first."""
        return values if values.mask is None else Padded(_first(values.tensor, values.mask))
