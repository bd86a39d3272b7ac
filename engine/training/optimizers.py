"""Optimizers by name, with the formulas and defaults of Keras or of torch as the conventions of the spec say.

They are written out here, on lists of tensors, because `torch.optim` imports the whole compiler of torch when the first
optimizer is made, which takes longer than everything else up to the first training step. Tests hold them equal to
`torch.optim` and to the formulas of Keras. With g the gradient, m and v the means of g and g^2, t the steps from 1 on:

- adam, torch: lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps); Keras adds eps to sqrt(v) instead.
- nadam (Dozat 2016): mu_t = beta1 * (1 - 0.5 * 0.96^(t * momentum_decay)), the mean of momentum and gradient weighted
  by mu_(t+1) and 1 - mu_t, each corrected for its bias.
- novograd (Ginsburg et al. 2019, arXiv:1905.11286), tensor by tensor: v = beta2 * v + (1 - beta2) * |g|^2 (|g|^2 at
  first), m = beta1 * m + g / (sqrt(v) + eps) + weight_decay * w, step -lr * m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from engine.spec.sections import ChoiceSpec


class Optimizer:
    """Base: moves parameters by their gradients; those without a gradient stay.

    Attributes:
        parameters: what it moves.
        options: settings, all filled in.
        rate: the learning rate of the next step; `options["lr"]` times the factor of the schedule.
        steps: done so far.
        slots: what it remembers of each parameter, by name.
    """

    slot_names: ClassVar[tuple[str, ...]] = ()
    decays_itself: ClassVar[bool] = False  # the formula has the weight decay in it

    def __init__(self, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
        self.parameters = list(parameters)
        self.options = dict(options)
        self.rate = float(options["lr"])
        self.steps = 0
        self.slots = {name: [torch.zeros_like(each) for each in self.parameters] for name in self.slot_names}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameters as the loss scaler of torch looks for them."""
        return [{"params": self.parameters}]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        used = [index for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        self.steps += 1
        if not used:
            return
        parameters: list[Tensor] = [self.parameters[index] for index in used]
        gradients = [grad for index in used if (grad := self.parameters[index].grad) is not None]
        decay = 0.0 if self.decays_itself else self.options["weight_decay"]
        if decay and self.options.get("decoupled"):
            torch._foreach_mul_(parameters, 1.0 - self.rate * decay)
        elif decay:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
        self.move(parameters, gradients, {name: [slot[i] for i in used] for name, slot in self.slots.items()})

    def move(self, parameters: list[Tensor], gradients: list[Tensor], slots: Mapping[str, list[Tensor]]) -> None:
        """The formula of the optimizer, on parameters that have a gradient."""
        raise NotImplementedError

    def forget(self) -> None:
        """Begin anew: no step was done, nothing is remembered of the gradients."""
        self.steps = 0
        for slot in self.slots.values():
            for each in slot:
                each.zero_()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"kind": type(self).__name__, "steps": self.steps, "rate": self.rate, "slots": self.slots}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: it is of another optimizer or of other parameters.
        """
        if state["kind"] != type(self).__name__ or state["slots"].keys() != self.slots.keys():
            raise ValueError(f"it holds the state of the optimizer {state['kind']}, not of {type(self).__name__}")
        for name, slot in self.slots.items():
            if [each.shape for each in state["slots"][name]] != [each.shape for each in slot]:
                raise ValueError("its optimizer moved other parameters")
            for mine, saved in zip(slot, state["slots"][name], strict=True):
                mine.copy_(saved)
        self.steps, self.rate = state["steps"], state["rate"]


class SGD(Optimizer):
    """Gradient descent, with momentum where asked for."""

    slot_names = ("momentum",)

    def __init__(self, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
        super().__init__(parameters, options)
        if not options["momentum"]:
            self.slots = {}

    def move(self, parameters: list[Tensor], gradients: list[Tensor], slots: Mapping[str, list[Tensor]]) -> None:
        momentum = self.options["momentum"]
        if momentum:
            velocity = slots["momentum"]
            torch._foreach_mul_(velocity, momentum)
            torch._foreach_add_(velocity, gradients)
            if self.options["nesterov"]:
                gradients = list(torch._foreach_add(gradients, velocity, alpha=momentum))
            else:
                gradients = velocity
        torch._foreach_add_(parameters, gradients, alpha=-self.rate)


class Adam(Optimizer):
    """Adaptive moments; with `decoupled` weight decay it is AdamW."""

    slot_names = ("mean", "square", "largest")

    def __init__(self, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
        super().__init__(parameters, options)
        if not options.get("amsgrad"):
            del self.slots["largest"]

    def move(self, parameters: list[Tensor], gradients: list[Tensor], slots: Mapping[str, list[Tensor]]) -> None:
        beta1, beta2, eps = (self.options[key] for key in ("beta1", "beta2", "eps"))
        mean, square = _moments(gradients, slots, beta1, beta2)
        if "largest" in slots:
            square = slots["largest"]
            torch._foreach_maximum_(square, slots["square"])
        root = (1.0 - beta2**self.steps) ** 0.5
        width = list(torch._foreach_sqrt(square))
        torch._foreach_div_(width, root)
        torch._foreach_add_(width, eps / root if self.options["eps_first"] else eps)
        torch._foreach_addcdiv_(parameters, mean, width, value=-self.rate / (1.0 - beta1**self.steps))


class Nadam(Optimizer):
    """Adam with Nesterov momentum."""

    slot_names = ("mean", "square")

    def __init__(self, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
        super().__init__(parameters, options)
        self.product = 1.0  # of mu_1 .. mu_t

    def move(self, parameters: list[Tensor], gradients: list[Tensor], slots: Mapping[str, list[Tensor]]) -> None:
        beta1, beta2, eps = (self.options[key] for key in ("beta1", "beta2", "eps"))
        now, following = self._momentum(self.steps), self._momentum(self.steps + 1)
        self.product *= now
        mean, square = _moments(gradients, slots, beta1, beta2)
        width = list(torch._foreach_sqrt(square))
        torch._foreach_div_(width, (1.0 - beta2**self.steps) ** 0.5)
        torch._foreach_add_(width, eps)
        along, ahead = (1.0 - now) / (1.0 - self.product), following / (1.0 - self.product * following)
        torch._foreach_addcdiv_(parameters, gradients, width, value=-self.rate * along)
        torch._foreach_addcdiv_(parameters, mean, width, value=-self.rate * ahead)

    def forget(self) -> None:
        super().forget()
        self.product = 1.0

    def _momentum(self, step: int) -> float:
        return float(self.options["beta1"] * (1.0 - 0.5 * 0.96 ** (step * self.options["momentum_decay"])))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "product": self.product}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.product = state["product"]


class Novograd(Optimizer):
    """Momentum of gradients that are divided by the norm of their tensor."""

    slot_names = ("mean", "square")
    decays_itself = True

    def __init__(self, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
        super().__init__(parameters, options)
        self.slots["square"] = [each.new_zeros(()) for each in self.parameters]

    def move(self, parameters: list[Tensor], gradients: list[Tensor], slots: Mapping[str, list[Tensor]]) -> None:
        beta1, beta2, decay = (self.options[key] for key in ("beta1", "beta2", "weight_decay"))
        mean, square = slots["mean"], slots["square"]
        # One number a tensor: as one vector, since each call takes as long for a number as for a thousand
        norms_T = torch.stack(torch._foreach_norm(gradients))
        weight = 1.0 - beta2 if self.steps > 1 else 1.0
        squares_T = torch.stack(square).mul_(beta2).addcmul_(norms_T, norms_T, value=weight)
        torch._foreach_copy_(square, squares_T.unbind())
        torch._foreach_mul_(mean, beta1)
        torch._foreach_addcdiv_(mean, gradients, squares_T.sqrt().add_(self.options["eps"]).unbind())
        if decay:
            torch._foreach_add_(mean, parameters, alpha=decay)
        torch._foreach_add_(parameters, mean, alpha=-self.rate)


def _moments(
    gradients: list[Tensor], slots: Mapping[str, list[Tensor]], beta1: float, beta2: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Bring the means of gradients and of their squares up to date."""
    mean, square = slots["mean"], slots["square"]
    torch._foreach_lerp_(mean, gradients, 1.0 - beta1)
    torch._foreach_mul_(square, beta2)
    torch._foreach_addcmul_(square, gradients, gradients, 1.0 - beta2)
    return mean, square


_ADAM: dict[str, Any] = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0}
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "nadam": (Nadam, _ADAM),
    "adam": (Adam, {**_ADAM, "amsgrad": False}),
    "adamw": (Adam, {**_ADAM, "amsgrad": False, "decoupled": True}),
    "novograd": (Novograd, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.25, "eps": 1e-6, "weight_decay": 0.0}),
    "sgd": (SGD, {"lr": 1e-2, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}),
}
"""The class of each kind, and the settings that do not depend on the conventions."""

CONVENTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "keras": {
        "nadam": {"eps": 1e-7, "momentum_decay": 1.0},
        "adam": {"eps": 1e-7, "eps_first": True},
        "adamw": {"eps": 1e-7, "eps_first": True, "weight_decay": 4e-3},
        "novograd": {},
        "sgd": {},
    },
    "torch": {
        "nadam": {"eps": 1e-8, "momentum_decay": 4e-3},
        "adam": {"eps": 1e-8, "eps_first": False},
        "adamw": {"eps": 1e-8, "eps_first": False, "weight_decay": 1e-2},
        "novograd": {},
        "sgd": {},
    },
}
"""What a setting of `null` stands for."""


def make_optimizer(choice: ChoiceSpec, parameters: Sequence[Parameter], conventions: str) -> Optimizer:
    """The optimizer of some parameters.

    Args:
        choice: kind and settings; those that are absent or null take the default of the conventions.
        parameters: what it moves.
        conventions: `keras` or `torch`.
    """
    kind, defaults = OPTIMIZERS[choice.kind]
    given = {key: value for key, value in choice.options.items() if value is not None}
    return kind(parameters, {**defaults, **CONVENTIONS[conventions][choice.kind], **given})
