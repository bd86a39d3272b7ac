"""Multi-head attention with a key size that is independent of the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from engine.graph.modules.dense import Linear
from engine.graph.modules.values import GraphModule, Values

if TYPE_CHECKING:
    from engine.graph.shelves import Shelves


class Attention(GraphModule):
    """softmax(Q K^T / sqrt(key size)) V for each head, then a linear layer over all heads.

    Args:
        query_features, key_features: features of those who ask and of those who are asked.
        heads, key_dim: number of heads and size of a query, key and value in each.
        features: features that come out.
        rate: dropout of the attention weights.
        policy: "all", "keys" or "ignore": what the mask means.
        weight, bias: initialisation; no biases where None.
        kernel_fans: take the fans of a (features, heads, key) kernel as Keras does; they differ from those of the
            matrix (features, heads * key).
    """

    def __init__(
        self, query_features: int, key_features: int, heads: int, key_dim: int, features: int, rate: float, policy: str,
        weight: str, bias: str | None, *, kernel_fans: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.key_dim, self.rate, self.policy = heads, key_dim, rate, policy
        width = heads * key_dim
        self.query = Linear(query_features, width, weight, bias)
        self.key = Linear(key_features, width, weight, bias)
        self.value = Linear(key_features, width, weight, bias)
        self.output = Linear(width, features, weight, bias)
        if kernel_fans:
            for linear, size in ((self.query, query_features), (self.key, key_features), (self.value, key_features)):
                change_fans(linear, heads * size, key_dim * size)
            change_fans(self.output, width, features * heads)

    def forward(self, values: Values) -> Values:
        (x, x_mask), (y, y_mask) = values[0], values[-1]
        z_BHNK = self.gathered(x, y, self.allowed(x_mask, y_mask))
        if len(values) > 1 and y_mask is not None and self.policy != "ignore":
            z_BHNK = z_BHNK * y_mask.any(1)[:, None, None, None].to(z_BHNK.dtype)  # nobody to ask: nothing gathered
        return [(self.output(z_BHNK.transpose(1, 2).flatten(-2)), x_mask)]

    def on_shelves(self, x_RF: Tensor, shelves: Shelves) -> Tensor:
        """Among the real objects of each row, those of several rows side by side: (R, F) to (R, features)."""
        x_SCF = shelves.put(x_RF)
        z_SHCK = self.gathered(x_SCF, x_SCF, shelves.together)
        z_RF: Tensor = self.output(shelves.take(z_SHCK.transpose(1, 2).flatten(-2)))
        return z_RF

    def gathered(self, x: Tensor, y: Tensor, allowed: Tensor | None) -> Tensor:
        """What each of those who ask gets from those whom it may see, (B, H, N, K)."""
        q_BHNK, k_BHNK, v_BHNK = (self.split(each) for each in self.projected(x, y))
        offset = None
        if allowed is not None:
            # Finite, so that a row without any real key sees all alike instead of giving NaN
            offset = torch.where(allowed, 0.0, torch.finfo(x.dtype).min / 4).to(q_BHNK.dtype)
        rate = self.rate if self.training else 0.0
        return functional.scaled_dot_product_attention(q_BHNK, k_BHNK, v_BHNK, offset, rate)

    def projected(self, x: Tensor, y: Tensor) -> Sequence[Tensor]:
        """Queries, keys and values; by one product instead of three where objects ask each other."""
        layers = (self.query, self.key, self.value)
        if x is not y or torch.onnx.is_in_onnx_export():
            return [layer(of) for layer, of in zip(layers, (x, y, y), strict=True)]
        biases = [layer.bias for layer in layers if layer.bias is not None]
        weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat(biases) if biases else None
        return functional.linear(x, weight, bias).chunk(3, -1)

    def split(self, x: Tensor) -> Tensor:
        """(B, N, H * K) to (B, H, N, K)."""
        return x.reshape(*x.shape[:-1], self.heads, self.key_dim).transpose(1, 2)

    def allowed(self, query: Tensor | None, key: Tensor | None) -> Tensor | None:
        """Who may see whom, (B, 1, N or 1, N); None where all may see all."""
        if self.policy == "ignore" or key is None:
            return None
        keys = key[:, None, None, :]
        return keys & query[:, None, :, None] if self.policy == "all" and query is not None else keys


def change_fans(linear: Linear, fan_in: int, fan_out: int) -> None:
    """Take other fans for the initialisation of the weight."""
    linear.starts["weight"] = linear.starts["weight"]._replace(fan_in=fan_in, fan_out=fan_out)
