"""Whether losses and outputs of the planned network fit together: what needs the shapes, and no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.errors import Mistake, TrainingError
from engine.graph.planned import Primitive
from engine.graph.types import TensorType, plural
from engine.spec.suggest import hint
from engine.training.activations import bent_activation, hidden_activation, squashing

if TYPE_CHECKING:
    from engine.graph.plan import Plan
    from engine.spec.experiment import Experiment
    from engine.spec.sections import LossSpec, TargetSpec, TrainingSpec, UpdateSpec

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
        raise TrainingError(
            "training.precision fp16 needs a CUDA device; on the CPU use bf16 or float32", (*training.path, "precision")
        )


def check_losses(experiment: Experiment, plan: Plan) -> list[Mistake]:
    """Every loss whose output has not the shape that it needs, and updates that move nothing."""
    training = experiment.training
    mistakes = [each for loss in training.losses.values() for each in _loss(loss, experiment, plan)]
    for phase in training.stages:
        if not phase.epochs:
            continue
        mistakes += [each for update in phase.updates for each in _moves(update, phase, plan)]
    return list(dict.fromkeys(mistakes))


def _moves(update: UpdateSpec, training: TrainingSpec, plan: Plan) -> Iterator[Mistake]:
    """Whether anything that an update moves has a part in what it minimises."""
    path = (*update.path, "parameters")
    chosen = update.nodes or tuple(node for node in plan.nodes if node not in update.except_nodes)
    known = [plan.nodes[name] for name in chosen if name in plan.nodes and name not in training.freeze]
    losses = [training.losses[name] for name in update.minimize.names if name in training.losses]
    needed = plan.graph.needed([loss.of for loss in losses])
    if chosen and not known:
        yield Mistake(path, "all that this update moves is frozen; take something out of `freeze`")
    elif known and not any(node.trainable for node in known):
        names = ", ".join(f"`{node.name}`" for node in known)
        yield Mistake(path, f"{names}: nothing in there can be trained")
    elif known and losses and not any(node.trainable and node.name in needed for node in known):
        message = f"nothing that this update moves has any part in `{update.minimize}`; it would change nothing"
        yield Mistake(path, message)


def _loss(loss: LossSpec, experiment: Experiment, plan: Plan) -> Iterator[Mistake]:
    path = (*loss.path, "of")
    if not plan.offers(loss.of):
        if loss.of.partition(".")[0] in plan.nodes:
            yield Mistake(path, f"the network has no output `{loss.of}`{hint(loss.of, list(plan.outputs))}")
        return
    target = experiment.data.targets.get(loss.target) if loss.target is not None else None
    if target is not None and (message := _shape(loss, plan.outputs[loss.of], target, experiment)) is not None:
        yield Mistake(path, message)
    wrong, right = WRONG_LAST_LAYER.get(loss.kind, ("", ""))
    if wrong and _last_activation(plan, loss.of) == wrong:
        yield Mistake(path, f"`{loss.of}` ends in a {wrong}; `{loss.kind}` needs a {right}, or no activation at all")
    told = experiment.document.get((*loss.path, "probabilities")) is not None
    if right and not told and (bent := bent_activation(plan, loss.of)) is not None:
        message = (
            f"`{loss.of}` ends in {bent}, and its values would be taken as logits; `{loss.kind}` needs a {right}, or "
            "no activation at all; write `probabilities: false` if these are the logits that are meant"
        )
        yield Mistake(path, message)
    if right and not told and (hidden := hidden_activation(plan, loss.of)) is not None:
        message = (
            f"the values of `{loss.of}` come out of a {hidden}, which is not the last layer, so they would be taken as "
            "logits; write `probabilities: true` if they are probabilities, `probabilities: false` if not"
        )
        yield Mistake(path, message)


def _shape(loss: LossSpec, output: TensorType, target: TargetSpec, experiment: Experiment) -> str | None:
    """What is wrong with the shape of an output that is compared with a target; None when nothing is."""
    source = experiment.data.inputs.get(target.input) if target.input is not None else None
    keep = source.keep if source is not None else None
    wanted = {"row": (), "objects": (keep,), "pairs": (keep, keep)}[target.kind]
    if output.objects and target.kind == "row":
        return f"`{loss.of}` gives {output}; `{loss.kind}` compares one result a row, so pool the objects first"
    if output.objects != wanted and keep is not None:
        each = f"each of the {keep} objects" if target.kind == "objects" else f"each pair of the {keep} objects"
        return f"`{loss.of}` gives {output}; `{target.name}` has a value for {each} of `{target.input}`"
    if loss.kind == "cross_entropy":
        width, why = (
            len(target.classes),
            f"`{target.name}` has {len(target.classes)} class{'es' * (len(target.classes) != 1)}",
        )
    elif loss.kind == "binary_cross_entropy" or not target.components:
        width, why = 1, ""
    else:
        width, why = len(target.components), f"`{target.name}` has {plural(len(target.components), 'component')}"
    if output.features == width:
        return None
    needs = f"{why}, so it needs {width}" if why else f"`{loss.kind}` needs {width}"
    return f"`{loss.of}` has {plural(output.features, 'output')}; {needs}"


def _last_activation(plan: Plan, output: str) -> str | None:
    """The activation that a node ends in."""
    node = plan.nodes[output.partition(".")[0]]
    if output != node.name or not node.chain.steps:
        return None
    last = node.chain.steps[-1]
    return squashing(last) if isinstance(last, Primitive) else None
