"""What the modules of a graph hand on: tensors with their masks, and how parameters are to start.

Shape suffixes in all modules: B batch, N objects, F features, H heads, K key size, U units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.jit._trace import is_tracing

Value = tuple[Tensor, Tensor | None]
Values = list[Value]


class Start(NamedTuple):
    """How a parameter starts.

    Attributes:
        kind: a name of `initialise.KINDS`.
        fan_in: how many numbers are summed up for one result.
        fan_out: how many results one number enters.
        forget: the part of a bias (start, stop, value) that differs: the forget gate of an LSTM.
    """

    kind: str
    fan_in: int = 1
    fan_out: int = 1
    forget: tuple[int, int, float] | None = None


class GraphModule(nn.Module):
    """Base of the modules with parameters or buffers of their own: created empty, filled by `initialise`."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, Start] = {}

    def free(self, name: str, shape: Sequence[int], start: Start) -> None:
        """Register a trainable tensor."""
        self.register_parameter(name, nn.Parameter(torch.empty(tuple(shape))))
        self.starts[name] = start

    def fixed(self, name: str, value: Tensor, *, saved: bool = True) -> None:
        """Register a tensor that training does not move."""
        self.register_buffer(name, value, persistent=saved)


def single(values: Values) -> Value:
    """The only input."""
    return values[0]


def expand(mask: Tensor, x: Tensor) -> Tensor:
    """A mask as a tensor that multiplies `x`: one more axis, and its dtype."""
    return mask.unsqueeze(-1).to(x.dtype)


def both(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """Objects that are real for both; None counts as all real."""
    if left is None or left is right:
        return right
    return left if right is None else left & right


def runs_as_written(x: Tensor) -> bool:
    """Whether operations are done one by one on a processor, in float32: shapes may depend on what is in a tensor."""
    recorded = torch.onnx.is_in_onnx_export() or is_tracing() or torch.compiler.is_compiling()  # type: ignore[no-untyped-call]
    return x.device.type == "cpu" and not recorded and not torch.is_autocast_enabled("cpu")
