"""Whether losses and outputs of the planned network fit together: what needs the shapes, and no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.errors import Mistake, TrainingError
from engine.graph.planned import Primitive
from engine.graph.types import TensorType, plural
from engine.spec.suggest import hint
from engine.training.activations import hidden_activation, squashing

if TYPE_CHECKING:
    from engine.graph.plan import Plan
    from engine.spec.experiment import Experiment
    from engine.spec.sections import LossSpec, TrainingSpec

WRONG_LAST_LAYER = {
    "cross_entropy": ("sigmoid", "softmax"),
    "binary_cross_entropy": ("softmax", "sigmoid"),
}
"""The activation that a classification cannot end in, and the one it can."""


def check_precision(training: TrainingSpec, device: str) -> None:
    """Refuse arithmetic that a device has not got.

    Raises:
        TrainingError: fp16 is asked for without CUDA.
    """
    if training.precision == "fp16" and not device.startswith("cuda"):
        raise TrainingError("training.precision fp16 needs a CUDA device; on the CPU use bf16 or float32")


def check_losses(experiment: Experiment, plan: Plan) -> list[Mistake]:
    """Every loss whose output has not the size that it needs, and updates that move nothing."""
    mistakes = [each for loss in experiment.training.losses.values() for each in _loss(loss, experiment, plan)]
    for update in experiment.training.updates:
        chosen = update.nodes or tuple(node for node in plan.nodes if node not in update.except_nodes)
        known = [plan.nodes[name] for name in chosen if name in plan.nodes]
        losses = [
            experiment.training.losses[name] for name in update.minimize.names if name in experiment.training.losses
        ]
        needed = plan.graph.needed([loss.of for loss in losses])
        if known and not any(node.trainable for node in known):
            names = ", ".join(f"`{node.name}`" for node in known)
            mistakes.append(Mistake((*update.path, "parameters"), f"{names}: nothing in there can be trained"))
        elif known and losses and not any(node.trainable and node.name in needed for node in known):
            message = f"nothing that this update moves has any part in `{update.minimize}`; it would change nothing"
            mistakes.append(Mistake((*update.path, "parameters"), message))
    return mistakes


def _loss(loss: LossSpec, experiment: Experiment, plan: Plan) -> Iterator[Mistake]:
    path = (*loss.path, "of")
    if not plan.offers(loss.of):
        if loss.of.partition(".")[0] in plan.nodes:
            yield Mistake(path, f"the network has no output `{loss.of}`{hint(loss.of, list(plan.outputs))}")
        return
    output = plan.outputs[loss.of]
    target = experiment.data.targets.get(loss.target)
    if output.objects:
        message = f"`{loss.of}` gives {output}; `{loss.kind}` compares one result a row, so pool the objects first"
        yield Mistake(path, message)
    elif target is not None:
        wanted = len(target.classes) if loss.kind == "cross_entropy" else 1
        if output.features != wanted:
            yield Mistake(path, _width(loss, output, wanted))
    wrong, right = WRONG_LAST_LAYER.get(loss.kind, ("", ""))
    if wrong and _last_activation(plan, loss.of) == wrong:
        yield Mistake(path, f"`{loss.of}` ends in a {wrong}; `{loss.kind}` needs a {right}, or no activation at all")
    told = experiment.document.get((*loss.path, "probabilities")) is not None
    if right and not told and (hidden := hidden_activation(plan, loss.of)) is not None:
        message = (
            f"the values of `{loss.of}` come out of a {hidden}, which is not the last layer, so they would be taken as "
            "logits; write `probabilities: true` if they are probabilities, `probabilities: false` if not"
        )
        yield Mistake(path, message)


def _width(loss: LossSpec, output: TensorType, wanted: int) -> str:
    if loss.kind == "cross_entropy":
        needs = f"`{loss.target}` has {wanted} class{'es' * (wanted != 1)}, so it needs {wanted}"
    else:
        needs = f"`{loss.kind}` needs 1"
    return f"`{loss.of}` has {plural(output.features, 'output')}; {needs}"


def _last_activation(plan: Plan, output: str) -> str | None:
    """The activation that a node ends in."""
    node = plan.nodes[output.partition(".")[0]]
    if output != node.name or not node.chain.steps:
        return None
    last = node.chain.steps[-1]
    return squashing(last) if isinstance(last, Primitive) else None
