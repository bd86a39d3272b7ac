"""Functions that ONNX or its runtime lacks, in float64 at least, made of those that they have."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from engine_kernels.angles import cosine
from torch import Tensor

HALVINGS = 2
TERMS = 12  # of the series of atan at tan(pi / 16) or less: what is left out is below 1e-17


def portable(native: Callable[..., Tensor], made: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`native`, which is exact and has the better gradient; `made` while a network is written as ONNX."""

    def apply(*values: Tensor) -> Tensor:
        return (made if torch.onnx.is_in_onnx_export() else native)(*values)

    return apply


def earlier(objects: Tensor) -> Tensor:
    """(objects, objects) bool, of (rows, objects): whether the second object comes before the first."""
    place = torch.arange(objects.shape[1], device=objects.device)
    return place.unsqueeze(0) < place.unsqueeze(1)


def sigmoid(value: Tensor) -> Tensor:
    """1 / (1 + exp(-x)); that of the runtime has 7 places, not 7 digits, which small weights of a fit would feel."""
    return 1 / (1 + torch.exp(-value))


def hypot(first: Tensor, second: Tensor) -> Tensor:
    """Length of the vector with two components."""
    return torch.sqrt(first * first + second * second)


def tan(angle: Tensor) -> Tensor:
    """Tangent of an angle in rad."""
    tangent: Tensor = torch.sin(angle) / cosine(angle)
    return tangent


def log10(value: Tensor) -> Tensor:
    """Logarithm to base 10; torch writes the one of ONNX with a constant in float32."""
    return torch.log(value) / math.log(10)


def sinh(value: Tensor) -> Tensor:
    """Hyperbolic sine."""
    return (torch.exp(value) - torch.exp(-value)) / 2


def cosh(value: Tensor) -> Tensor:
    """Hyperbolic cosine."""
    return (torch.exp(value) + torch.exp(-value)) / 2


def asinh(value: Tensor) -> Tensor:
    """Inverse hyperbolic sine; of the absolute value, since the sum cancels for negative ones."""
    size = torch.abs(value)
    result = torch.log(size + torch.sqrt(size * size + 1))
    return torch.where(value < 0, -result, result)


def atan(value: Tensor) -> Tensor:
    """Inverse tangent, in rad.

    atan(x) = pi/2 - atan(1/x) brings the value to 0 .. 1, atan(x) = 2 atan(x / (1 + sqrt(1 + x^2))) close to 0, where
    the series x - x^3/3 + x^5/5 - ... is short.
    """
    size = torch.abs(value)
    steep = size > 1
    reduced = torch.where(steep, 1 / torch.where(steep, size, 1.0), size)
    for _ in range(HALVINGS):
        reduced = reduced / (1 + torch.sqrt(1 + reduced * reduced))
    square = reduced * reduced
    series = torch.zeros_like(square)
    for term in reversed(range(TERMS)):
        series = series * square + (-1.0) ** term / (2 * term + 1)
    angle = 2**HALVINGS * reduced * series
    angle = torch.where(steep, math.pi / 2 - angle, angle)
    return torch.where(value < 0, -angle, angle)


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """Angle in rad of the point (x, y); the sign of a zero says from which side it is looked at, as in C."""
    height, width = torch.abs(y), torch.abs(x)
    longer, shorter = torch.maximum(height, width), torch.minimum(height, width)
    nothing = longer == 0
    ratio = torch.where(nothing, 0.0, shorter / torch.where(nothing, 1.0, longer))
    ratio = torch.where(torch.isinf(shorter), 1.0, ratio)
    angle = atan(ratio)
    angle = torch.where(height > width, math.pi / 2 - angle, angle)
    angle = torch.where(_negative(x), math.pi - angle, angle)
    return torch.where(_negative(y), -angle, angle)


def _negative(value: Tensor) -> Tensor:
    """Below 0, or the negative zero."""
    return (value < 0) | ((value == 0) & (1 / value < 0))
