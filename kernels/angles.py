"""The cosine of an angle, in graphs that other programs run too."""

from __future__ import annotations

import torch
from torch import Tensor


def cosine(angle: Tensor) -> Tensor:
    """cos(angle); of float64, in a graph that is exported, by the sine of half of it.

    onnxruntime has no other before its version 1.29, and programs of the experiments run older ones. Exporters may
    write constants as float32, which holds those here exactly.
    """
    if angle.dtype == torch.float64 and (torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()):
        half = torch.sin(0.5 * angle)
        return 1 - 2 * half * half
    return torch.cos(angle)
