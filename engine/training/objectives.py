"""Losses: what the outputs of the network are compared with, and the combinations of them that updates minimise.

Shapes: B rows of a batch, C classes, n components of a vector, `...` what has a value each: (B) rows, (B, keep)
objects, (B, keep, keep) pairs of objects. Every loss is a mean of weight times loss, not divided by the sum of weights
(as Keras does), so that the size of a batch's weights counts. What has no target (-1, NaN) takes no part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.graph.operations import TORCH_FUNCTIONS, truth
from engine.spec.expressions import Expression
from engine.spec.sections import LossSpec, TargetSpec
from engine.spec.sections.training import CLASSIFICATION

if TYPE_CHECKING:
    from engine.data.loader import Batch

Compared = Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]
Masks = Mapping[str, Tensor | None]
SMALLEST_PROBABILITY = 1e-7  # where a probability itself, not its logit, is compared


def cross_entropy(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Minus the logarithm of the probability of the class: (..., C) and (...) to (...)."""
    if options.get("probabilities"):
        output = output.clamp_min(SMALLEST_PROBABILITY).log()
    smoothing: float = options.get("label_smoothing", 0.0)
    flat = output.reshape(-1, output.shape[-1])
    loss = functional.cross_entropy(flat, target.reshape(-1).long(), reduction="none", label_smoothing=smoothing)
    return loss.reshape(target.shape)


def binary_cross_entropy(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Cross entropy of one output and a target of 0, 1 or in between: (..., 1) and (...) to (...)."""
    output = output.reshape(target.shape)
    smoothing: float = options.get("label_smoothing", 0.0)
    wanted = target.to(output.dtype)
    if smoothing:
        wanted = wanted * (1.0 - smoothing) + 0.5 * smoothing
    if options.get("probabilities"):
        output = output.clamp(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY).logit()
    return functional.binary_cross_entropy_with_logits(output, wanted, reduction="none")


def squared_error(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Square of the difference."""
    return functional.mse_loss(output.reshape(target.shape), target, reduction="none")


def absolute_error(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Absolute value of the difference."""
    return functional.l1_loss(output.reshape(target.shape), target, reduction="none")


def huber(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Half the square of the difference up to `delta`, linear beyond."""
    delta: float = options.get("delta", 1.0)
    return functional.huber_loss(output.reshape(target.shape), target, reduction="none", delta=delta)


def distance(output: Tensor, target: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Length of the difference of two vectors: (..., n) to (..., 1); its gradient is 0 where they are the same."""
    length: Tensor = torch.linalg.vector_norm(output.reshape(target.shape) - target, dim=-1, keepdim=True)
    return length


LOSSES: dict[str, Compared] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "distance": distance,
}
"""The kinds that compare; `output` is a node's own value."""
OUTPUT = "output"


@dataclass(frozen=True)
class Objective:
    """A declared loss, ready to be computed.

    Attributes:
        spec: as declared.
        output: what the network is asked for: the node, or its logits where it offers them.
        incomplete: something of its samples has no target (objects and pairs always: padding) and is left out.
        numbers: of the names of classes, for `where`.
    """

    spec: LossSpec
    output: str
    incomplete: bool = False
    numbers: Mapping[str, int] = field(default_factory=dict)

    def mean(self, outputs: Mapping[str, Tensor], batch: Batch, masks: Masks | None = None) -> Tensor:
        """The loss of a batch, a scalar; 0 where nothing has a target. Arguments as of `parts`."""
        values, count = self.parts(outputs, batch, masks)
        return values.mean() if isinstance(count, int) else values.sum() / count.clamp_min(1)

    def parts(
        self, outputs: Mapping[str, Tensor], batch: Batch, masks: Masks | None = None
    ) -> tuple[Tensor, Tensor | int]:
        """What adds up to the loss, float32 of any shape, and what its sum is divided by.

        Args:
            outputs: of the network.
            batch: targets and weights.
            masks: of the outputs that have objects; needed for `output` alone.
        """
        values, present = self.values(outputs, batch, masks or {})
        if present is None:
            return values, values.numel()
        over_rows = values.ndim == 1 if self.spec.mean is None else self.spec.mean == "rows"
        if not over_rows:
            return values, present.sum()
        if values.ndim > 1:
            values = values.flatten(1).sum(1) / present.flatten(1).sum(1).clamp_min(1)
        return values, len(values)

    def values(self, outputs: Mapping[str, Tensor], batch: Batch, masks: Masks) -> tuple[Tensor, Tensor | None]:
        """Weight times loss of each row, object or pair (0 where absent), and which take part; None for all."""
        output = outputs[self.output].float()
        if self.spec.target is None:
            loss, present = output.mean(-1) if output.ndim > 1 else output, masks.get(self.output)
            present = self.allowed(batch, present, loss)
        else:
            target = batch.targets[self.spec.target]
            present = self.allowed(batch, self.present(output, target) if self.incomplete else None, target)
            if present is not None:
                output, target = blank(output, present), blank(target, present)
            loss = LOSSES[self.spec.kind](output, target, self.spec.options)
            if self.spec.kind not in CLASSIFICATION and is_vector(output, target):
                loss = loss.mean(-1)
        if self.spec.weight is not None:
            loss = loss * along(batch.weights[self.spec.weight], loss)
        return (loss if present is None else loss.where(present, 0.0)), present

    def present(self, output: Tensor, target: Tensor) -> Tensor:
        """What has a target at all: a class (not -1), finite numbers; bool (...)."""
        found = target.isfinite() if target.is_floating_point() else target >= 0
        return found.all(-1) if self.spec.kind not in CLASSIFICATION and is_vector(output, target) else found

    def allowed(self, batch: Batch, present: Tensor | None, like: Tensor) -> Tensor | None:
        """What is present and fulfils the condition of the loss; None for all of a shape like that of `like`."""
        if self.spec.where is None:
            return present
        holds_B = self.condition(self.spec.where, batch.targets).expand(len(like))
        return holds_B if present is None else present & along(holds_B, present)

    def condition(self, where: Expression, targets: Mapping[str, Tensor]) -> Tensor:
        """Whether a condition on targets of rows (B) holds: (B), or () where it names none of them."""
        known = {**self.numbers, **targets}
        return truth(where.evaluate(known.__getitem__, TORCH_FUNCTIONS))

    def scored(self, outputs: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """A classification, over the N rows, objects or pairs that take part.

        Returns:
            Probabilities (N, C), or (N) of class 1 for a single output; classes, int64 (N); weights of the rows (N).
        """
        output, target = outputs[self.output].float(), batch.targets[self.spec.target or ""]
        present = self.allowed(batch, self.present(output, target), target)
        weight_B = batch.weights[self.spec.weight] if self.spec.weight else output.new_ones(len(target))
        given = bool(self.spec.options.get("probabilities"))
        if self.spec.kind == "cross_entropy":
            probabilities = output if given else output.softmax(-1)
        else:
            probabilities = output.reshape(target.shape)
            probabilities = probabilities if given else probabilities.sigmoid()
        classes = target > 0.5 if target.is_floating_point() else target
        return probabilities[present], classes[present].long(), along(weight_B, target).expand(target.shape)[present]


def is_vector(output: Tensor, target: Tensor) -> bool:
    """Whether a target of numbers has components, as the output has features."""
    return target.ndim == output.ndim > 1


def along(values_B: Tensor, like: Tensor) -> Tensor:
    """Values of the rows, shaped so that they act on all objects or pairs of a row: (B, 1, ...)."""
    return values_B.reshape(-1, *(1 for _ in like.shape[1:]))


def blank(values: Tensor, present: Tensor) -> Tensor:
    """The values with 0 where nothing is present, so that nothing there can become infinite, nor its gradient."""
    return values.where(present if values.ndim == present.ndim else present.unsqueeze(-1), 0)


def make_objectives(
    losses: Mapping[str, LossSpec],
    offered: Callable[[str], bool],
    targets: Mapping[str, TargetSpec] | None = None,
) -> dict[str, Objective]:
    """The declared losses.

    Args:
        losses: as declared.
        offered: tells whether the network has an output of that name (`jet_class.logits`).
        targets: whose classes `where` may name.
    """
    of_rows = [target for target in (targets or {}).values() if target.kind == "row"]
    numbers = {name: number for target in of_rows for number, name in enumerate(target.classes)}
    objectives = {}
    for name, spec in losses.items():
        logits = f"{spec.of}.logits"
        given = bool(spec.options.get("probabilities"))
        use_logits = spec.kind in CLASSIFICATION and not given and offered(logits)
        objectives[name] = Objective(spec, logits if use_logits else spec.of, numbers=numbers)
    return objectives


def combine(expression: Expression, losses: Mapping[str, Any]) -> Any:
    """A combination such as `tagging - 10 * confusion`, of tensors or of numbers."""
    return expression.evaluate(losses.__getitem__, {})


def as_tensor(value: Any, device: torch.device) -> Tensor:
    """The combination as a tensor, also where a spec minimises a plain number."""
    return value if isinstance(value, Tensor) else torch.tensor(float(value), device=device)
