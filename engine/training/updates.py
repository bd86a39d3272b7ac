"""The updates of one iteration: each minimises a combination of losses and moves the parameters of the nodes it names.

Plain supervision is one update; an adversary is two: several steps of the adversary, then one of everything else. What
an update does not move is frozen: no gradients are computed for it (they still flow through it), its batch
normalisation runs with its moving averages and leaves them alone, its dropout stays active. The nodes that the training
or the phase freezes are so in every update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.spec.sections import TrainingSpec, UpdateSpec
from engine.training.objectives import Objective, as_tensor, combine
from engine.training.optimizers import Optimizer, make_optimizer
from engine.training.schedules import Schedule, make_schedule

if TYPE_CHECKING:
    from engine.data.loader import Batch
    from engine.graph.network import Network

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def mixed_precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass: float32, or mixed precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


@dataclass
class Update:
    """One declared update, ready to step.

    Attributes:
        spec: as declared.
        network: the whole network.
        objectives: the losses that it minimises a combination of.
        moving: the parameters that it moves.
        frozen: those that it does not.
        normalisations: every batch normalisation of the network, and whether it belongs to what moves.
        optimizer: of the moving parameters.
        schedule: of the learning rate.
        scaler: of the loss, for fp16 alone.
        precision: float32, bf16 or fp16.
        device: where the network is.
    """

    spec: UpdateSpec
    network: Network
    objectives: Mapping[str, Objective]
    moving: Sequence[nn.Parameter]
    frozen: Sequence[nn.Parameter]
    normalisations: Sequence[tuple[nn.Module, bool]]
    optimizer: Optimizer
    schedule: Schedule
    scaler: torch.amp.GradScaler | None
    precision: str
    device: torch.device

    def activate(self) -> None:
        """Freeze what this update does not move, and let go of what it does."""
        for parameter in self.moving:
            parameter.requires_grad_(True)
        for parameter in self.frozen:
            parameter.requires_grad_(False)
        for module, moves in self.normalisations:
            module.train(moves)

    def set_learning_rate(self, step: int) -> None:
        """Set the learning rate of an iteration of the phase (counted from 0) by the schedule."""
        self.optimizer.rate = self.optimizer.options["lr"] * self.schedule.factor(step)

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Let the schedule see the metrics of a validation."""
        if self.schedule.observe(metrics) and self.schedule.options.get("reset"):
            self.optimizer.forget()

    def step(self, batches: Mapping[str, Batch]) -> tuple[dict[str, Tensor], Tensor]:
        """One step on the batches of its streams.

        Returns:
            Its losses before the step, and the combination that it minimises; scalars, not yet read from the device.
        """
        with mixed_precision(self.precision, self.device):
            losses = compute_losses(self.network, self.objectives, batches)
        total = as_tensor(combine(self.spec.minimize, losses), self.device)
        self.optimizer.zero_grad()
        if self.scaler is None:
            total.backward()  # type: ignore[no-untyped-call]
            self.clip()
            self.optimizer.step()
        else:
            self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            self.scaler.unscale_(self.optimizer)  # type: ignore[arg-type]
            self.clip()
            self.scaler.step(self.optimizer)  # type: ignore[arg-type]
            self.scaler.update()
        return {name: loss.detach() for name, loss in losses.items()}, total.detach()

    def clip(self) -> None:
        """Scale the gradients down where their norm exceeds `clip_norm`."""
        if self.spec.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.moving, self.spec.clip_norm)


def compute_losses(
    network: Network, objectives: Mapping[str, Objective], batches: Mapping[str, Batch]
) -> dict[str, Tensor]:
    """The losses of a batch of each stream: one forward pass a stream, of no more nodes than its losses need."""
    losses = {}
    for stream, members in by_stream(objectives).items():
        batch = batches[stream]
        outputs, masks = forward(network, batch, members.values())
        losses.update({name: objective.mean(outputs, batch, masks) for name, objective in members.items()})
    return {name: losses[name] for name in objectives}


def forward(
    network: Network, batch: Batch, objectives: Iterable[Objective]
) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
    """The outputs that losses look at; the masks too of those that are minimised themselves."""
    objectives = list(objectives)
    own = [objective.output for objective in objectives if objective.spec.target is None]
    if not own:
        return network(batch.inputs, batch.masks, outputs_of(objectives)), {}
    known = network.compute(
        {name: (tensor, batch.masks.get(name)) for name, tensor in batch.inputs.items()}, outputs_of(objectives)
    )
    return {name: known[name][0] for name in outputs_of(objectives)}, {name: known[name][1] for name in own}


def by_stream(objectives: Mapping[str, Objective]) -> dict[str, dict[str, Objective]]:
    """The losses grouped by the stream they are computed on."""
    groups: dict[str, dict[str, Objective]] = {}
    for name, objective in objectives.items():
        groups.setdefault(objective.spec.stream, {})[name] = objective
    return groups


def outputs_of(objectives: Iterable[Objective]) -> list[str]:
    """What the network is asked for, each output once."""
    return list(dict.fromkeys(objective.output for objective in objectives))


def make_updates(
    training: TrainingSpec,
    network: Network,
    objectives: Mapping[str, Objective],
    nodes: Sequence[str],
    conventions: str,
    steps_per_epoch: int,
    device: torch.device,
) -> list[Update]:
    """The updates of an iteration, in order.

    Args:
        training: the section of the spec, or a phase of it.
        network: on its device.
        objectives: all declared losses.
        nodes: every node of the network, in order.
        conventions: `keras` or `torch`.
        steps_per_epoch: iterations in an epoch.
        device: where the network is.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    scaler = torch.amp.GradScaler(device.type) if training.precision == "fp16" else None
    still = {id(each) for each in (*network.parameters_of(training.freeze), *network.modules_of(training.freeze))}
    updates = []
    for spec in training.updates:
        chosen = spec.nodes or tuple(node for node in nodes if node not in spec.except_nodes)
        named = {id(parameter) for parameter in network.parameters_of(chosen)} - still
        modules = {id(module) for module in network.modules_of(chosen)} - still
        moving = [parameter for parameter in trainable if id(parameter) in named]
        updates.append(
            Update(
                spec=spec,
                network=network,
                objectives={name: objectives[name] for name in objectives if name in spec.minimize.names},
                moving=moving,
                frozen=[parameter for parameter in trainable if id(parameter) not in named],
                normalisations=[(each, id(each) in modules) for each in network.modules() if _is_normalisation(each)],
                optimizer=make_optimizer(spec.optimizer, moving, conventions),
                schedule=make_schedule(spec.schedule, steps_per_epoch, training.epochs),
                scaler=scaler,
                precision=training.precision,
                device=device,
            )
        )
    return updates


def _is_normalisation(module: nn.Module) -> bool:
    """Whether a module keeps moving averages of what it sees in training."""
    return isinstance(getattr(module, "running_mean", None), Tensor)
