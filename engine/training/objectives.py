"""Losses: what the outputs of the network are compared with, and the combinations of them that updates minimise.

Shapes: B rows of a batch, C classes. Every loss is the mean over the batch of weight times loss, not divided by the sum
of weights (as Keras does), so that the size of a batch's weights counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.spec.expressions import Expression
from engine.spec.sections import LossSpec

if TYPE_CHECKING:
    from engine.data.loader import Batch

RowLoss = Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]
SMALLEST_PROBABILITY = 1e-7  # where a probability itself, not its logit, is compared


def cross_entropy(output_BC: Tensor, target_B: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Minus the logarithm of the probability of the row's class."""
    if options.get("probabilities"):
        output_BC = output_BC.clamp_min(SMALLEST_PROBABILITY).log()
    smoothing: float = options.get("label_smoothing", 0.0)
    return functional.cross_entropy(output_BC, target_B.long(), reduction="none", label_smoothing=smoothing)


def binary_cross_entropy(output: Tensor, target_B: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Cross entropy of one output and a target of 0, 1 or in between."""
    output_B = output.reshape(len(target_B))
    smoothing: float = options.get("label_smoothing", 0.0)
    wanted_B = target_B.to(output_B.dtype)
    if smoothing:
        wanted_B = wanted_B * (1.0 - smoothing) + 0.5 * smoothing
    if options.get("probabilities"):
        output_B = output_B.clamp(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY).logit()
    return functional.binary_cross_entropy_with_logits(output_B, wanted_B, reduction="none")


def squared_error(output: Tensor, target_B: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Square of the difference."""
    return functional.mse_loss(output.reshape(len(target_B)), target_B, reduction="none")


def absolute_error(output: Tensor, target_B: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Absolute value of the difference."""
    return functional.l1_loss(output.reshape(len(target_B)), target_B, reduction="none")


def huber(output: Tensor, target_B: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Half the square of the difference up to `delta`, linear beyond."""
    return functional.huber_loss(
        output.reshape(len(target_B)), target_B, reduction="none", delta=options.get("delta", 1.0)
    )


LOSSES: dict[str, RowLoss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
}
CLASSIFICATION = ("cross_entropy", "binary_cross_entropy")


@dataclass(frozen=True)
class Objective:
    """A declared loss, ready to be computed.

    Attributes:
        spec: as declared.
        output: what the network is asked for: the node, or its logits where it offers them.
        incomplete: some rows of its samples have no target; they are left out (counted in the mean with weight 0).
    """

    spec: LossSpec
    output: str
    incomplete: bool = False

    def rows(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Weight times loss of each row, float32 (B)."""
        output = outputs[self.output].float()
        target_B = batch.targets[self.spec.target]
        if not self.incomplete:
            loss_B = LOSSES[self.spec.kind](output, target_B, self.spec.options)
            return loss_B if self.spec.weight is None else loss_B * batch.weights[self.spec.weight]
        present_B = self.present(target_B)
        loss_B = LOSSES[self.spec.kind](output, target_B.where(present_B, 0), self.spec.options)
        if self.spec.weight is not None:
            loss_B = loss_B * batch.weights[self.spec.weight]
        return loss_B.where(present_B, 0.0)

    def mean(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        return self.rows(outputs, batch).mean()

    def present(self, target_B: Tensor) -> Tensor:
        """Which rows have a target at all: a class (not -1), a finite number."""
        return target_B.isfinite() if target_B.is_floating_point() else target_B >= 0

    def probabilities(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The probabilities of a classification: (B, C), or (B) of class 1 for a single output."""
        output = outputs[self.output].float()
        given = bool(self.spec.options.get("probabilities"))
        if self.spec.kind == "cross_entropy":
            return output if given else output.softmax(-1)
        output_B = output.reshape(len(output))
        return output_B if given else output_B.sigmoid()


def make_objectives(losses: Mapping[str, LossSpec], offered: Callable[[str], bool]) -> dict[str, Objective]:
    """The declared losses; `offered` tells whether the network has an output of that name (`jet_class.logits`)."""
    objectives = {}
    for name, spec in losses.items():
        logits = f"{spec.of}.logits"
        given = bool(spec.options.get("probabilities"))
        use_logits = spec.kind in CLASSIFICATION and not given and offered(logits)
        objectives[name] = Objective(spec, logits if use_logits else spec.of)
    return objectives


def combine(expression: Expression, losses: Mapping[str, Any]) -> Any:
    """A combination such as `tagging - 10 * confusion`, of tensors or of numbers."""
    return expression.evaluate(losses.__getitem__, {})


def as_tensor(value: Any, device: torch.device) -> Tensor:
    """The combination as a tensor, also where a spec minimises a plain number."""
    return value if isinstance(value, Tensor) else torch.tensor(float(value), device=device)
