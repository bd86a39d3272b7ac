"""Batch and layer normalisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.graph.modules.values import GraphModule, Start, Values


class BatchNorm(GraphModule):
    """Normalisation over the batch and, on objects, over the (real) objects.

    Args:
        features: size of the last axis.
        momentum: share of the running statistics that is kept at each step.
        epsilon: added to the variance.
        unbiased: the running variance is that of n - 1 (torch), not of n (Keras).
        use_mask: only real objects enter mean and variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, features: int, momentum: float, epsilon: float, *, unbiased: bool, use_mask: bool) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.unbiased = unbiased
        self.use_mask = use_mask
        self.free("weight", (features,), Start("ones"))
        self.free("bias", (features,), Start("zeros"))
        self.fixed("running_mean", torch.zeros(features))
        self.fixed("running_variance", torch.ones(features))

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        x_F = x.reshape(-1, x.shape[-1])
        if not self.training:
            y_F = torch.batch_norm(
                x_F, self.weight, self.bias, self.running_mean, self.running_variance, False, 0.0, self.epsilon, False
            )
        elif mask is None or not self.use_mask:
            y_F = self.normalise(x_F)
        else:
            y_F = self.normalise_real(x_F, mask.reshape(-1, 1).to(x.dtype))
        return [(y_F.reshape(x.shape), mask)]

    def normalise(self, x_F: Tensor) -> Tensor:
        """Fused kernel on all rows; with its momentum at 1 it leaves the batch's own statistics in two buffers."""
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_mean)
        y_F = torch.batch_norm(x_F, self.weight, self.bias, mean, variance, True, 1.0, self.epsilon, False)
        count = x_F.shape[0]
        if count == 1:  # a new tensor in both cases: the kernel keeps its buffers for the backward pass
            variance = torch.zeros_like(variance)
        elif not self.unbiased:
            variance = variance * ((count - 1) / count)
        self.follow(mean, variance)
        return y_F

    def normalise_real(self, x_F: Tensor, real: Tensor) -> Tensor:
        """The same over the rows where `real` is 1."""
        count = real.sum().clamp(min=1)
        mean = (x_F * real).sum(0) / count
        centred = x_F - mean
        variance = (centred.square() * real).sum(0) / count
        with torch.no_grad():
            running = variance * (count / (count - 1).clamp(min=1)) if self.unbiased else variance
            self.follow(mean, running)
        return centred * (torch.rsqrt(variance + self.epsilon) * self.weight) + self.bias

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch."""
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), 1 - self.momentum)
        self.running_variance.lerp_(variance.to(self.running_variance.dtype), 1 - self.momentum)


class LayerNorm(GraphModule):
    """Normalisation over the features of each object or row."""

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, epsilon: float) -> None:
        super().__init__()
        self.features = features  # a plain number: tracing takes a size of a tensor for a value
        self.epsilon = epsilon
        self.free("weight", (features,), Start("ones"))
        self.free("bias", (features,), Start("zeros"))

    def forward(self, values: Values) -> Values:
        x, mask = values[0]
        return [(functional.layer_norm(x, (self.features,), self.weight, self.bias, self.epsilon), mask)]
