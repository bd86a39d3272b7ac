"""The cosine of an angle, in graphs that other programs run too."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine(angle: Tensor) -> Tensor:
    """cos(angle); of float64, in a graph that is exported, a sine: onnxruntime has no other before its version 1.29.

    Programs of the experiments run older ones.
    """
    if angle.dtype == torch.float64 and (torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()):
        return torch.sin(angle + math.pi / 2)
    return torch.cos(angle)
