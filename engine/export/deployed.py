"""The network as it is deployed: raw fields in, scores out, with everything between them in one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from engine.export.front import Front
from engine.export.raw import RawInputs

if TYPE_CHECKING:
    from engine.graph.network import Network


class Deployed(nn.Module):
    """Takes the tensors of `RawInputs.names` in their order, and gives the named outputs in theirs."""

    def __init__(self, front: Front, network: Network, raw: RawInputs, outputs: Sequence[str]) -> None:
        super().__init__()
        self.front, self.network = front, network
        self.raw, self.outputs = raw, tuple(outputs)
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Scores, each of shape (rows, values)."""
        inputs, masks = self.front(dict(zip(self.raw.names, tensors, strict=True)))
        values = self.network(inputs, masks, self.outputs)
        return tuple(values[name] for name in self.outputs)
