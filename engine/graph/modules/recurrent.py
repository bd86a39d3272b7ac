"""LSTM and GRU along the objects, with torch's gate orders: input, forget, cell, output; reset, update, new."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from engine.graph.modules.values import GraphModule, Start, Values


class Recurrent(GraphModule):
    """What LSTM and GRU share: the mask and what is returned.

    With `use_mask`, padding is stepped over without a loop: the real objects of each row (they may stand anywhere) are
    moved to the front, and the state that the last of them leaves is picked, or for each object the state that the
    real ones up to it leave.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, *, sequence: bool, use_mask: bool) -> None:
        super().__init__()
        self.sequence = sequence
        self.use_mask = use_mask

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All states (B, N, U) and the last one (B, U)."""
        raise NotImplementedError

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        if mask is None or not self.use_mask:
            states, last = self.run(x)
            return [(states, mask)] if self.sequence else [(last, None)]
        seen = mask.long().cumsum(1)  # ONNX adds up numbers only
        states, _ = self.run(compact(x, mask))
        if not self.sequence:
            seen = seen[:, -1:]
        index = (seen - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, states.shape[-1])
        picked = states.gather(1, index) * (seen > 0).unsqueeze(-1).to(states.dtype)
        return [(picked, mask)] if self.sequence else [(picked[:, 0], None)]


def compact(x: Tensor, mask: Tensor) -> Tensor:
    """The real objects of each row first, in their order."""
    place = torch.arange(x.shape[1], device=x.device)
    order = torch.where(mask, place, place + x.shape[1]).argsort(1)
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class Lstm(Recurrent):
    """Long short-term memory; one bias a gate with the Keras conventions, two that are added up with those of torch."""

    def __init__(
        self, features: int, units: int, *, sequence: bool, use_mask: bool, starts: tuple[str, str, str],
        forget: float | None, single_bias: bool,
    ) -> None:  # fmt: skip
        super().__init__(sequence=sequence, use_mask=use_mask)
        self.units = units
        bias = Start(starts[2], units, forget=None if forget is None else (units, 2 * units, forget))
        self.free("weight_ih", (4 * units, features), recurrent_start(starts[0], features, units, 4))
        self.free("weight_hh", (4 * units, units), recurrent_start(starts[1], units, units, 4))
        self.free("bias_ih", (4 * units,), bias)
        if single_bias:
            self.fixed("bias_hh", torch.zeros(4 * units), saved=False)
        else:
            self.free("bias_hh", (4 * units,), Start(starts[2], units))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        zeros = x.new_zeros(1, x.shape[0], self.units)
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        with quiet(x):
            states, last, _ = torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, self.training, False, True)
        return states, last[0]


class Gru(Recurrent):
    """Gated recurrent unit with the reset after the matrix product, as torch and today's Keras do it."""

    def __init__(
        self, features: int, units: int, *, sequence: bool, use_mask: bool, starts: tuple[str, str, str]
    ) -> None:
        super().__init__(sequence=sequence, use_mask=use_mask)
        self.units = units
        self.free("weight_ih", (3 * units, features), recurrent_start(starts[0], features, units, 3))
        self.free("weight_hh", (3 * units, units), recurrent_start(starts[1], units, units, 3))
        self.free("bias_ih", (3 * units,), Start(starts[2], units))
        self.free("bias_hh", (3 * units,), Start(starts[2], units))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        zeros = x.new_zeros(1, x.shape[0], self.units)
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        with quiet(x):
            states, last = torch.gru(x, zeros, weights, True, 1, 0.0, self.training, False, True)
        return states, last[0]


@contextmanager
def silenced() -> Iterator[None]:
    """No word of cuDNN's copying a few thousand weights into one piece at each call, which costs next to nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        yield


def quiet(x: Tensor) -> AbstractContextManager[None]:
    """The context in which a recurrent kernel runs on the device of `x`."""
    return silenced() if x.is_cuda else nullcontext()


def recurrent_start(kind: str, features: int, units: int, gates: int) -> Start:
    """Start of a recurrent weight: torch scales all of them by the number of units, others by their own fans."""
    return Start(kind, units if kind == "fan_in_uniform" else features, gates * units)
