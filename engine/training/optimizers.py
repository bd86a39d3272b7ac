"""Optimizers by name, with the defaults of Keras or of torch where the spec leaves a setting open.

The formulas are those of `torch.optim`. Keras differs in defaults (an epsilon of 1e-7, the momentum schedule of Nadam,
weight decays), which `conventions: keras` sets, and in where Adam adds its epsilon, which changes steps by 1e-7 only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from engine.spec.sections import ChoiceSpec

DEFAULTS: dict[str, dict[str, dict[str, float]]] = {
    "keras": {
        "nadam": {"eps": 1e-7, "momentum_decay": 1.0},
        "adam": {"eps": 1e-7},
        "adamw": {"eps": 1e-7, "weight_decay": 4e-3},
        "sgd": {},
    },
    "torch": {
        "nadam": {"eps": 1e-8, "momentum_decay": 4e-3},
        "adam": {"eps": 1e-8},
        "adamw": {"eps": 1e-8, "weight_decay": 1e-2},
        "sgd": {},
    },
}
"""What `null` means for a setting, for each convention. Keras' momentum schedule 0.96^t is a momentum decay of 1."""


def make_optimizer(
    choice: ChoiceSpec, parameters: Sequence[Parameter], conventions: str, device: torch.device
) -> Optimizer:
    """The optimizer of some parameters.

    Args:
        choice: kind and settings; those that are absent or null take the default of the conventions.
        parameters: what it moves.
        conventions: `keras` or `torch`.
        device: on CUDA all parameters are updated by one kernel where torch has one.
    """
    options = {key: value for key, value in choice.options.items() if value is not None}
    options = {**DEFAULTS[conventions][choice.kind], **options}
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    return OPTIMIZERS[choice.kind](parameters, options, device.type == "cuda")


def _nadam(parameters: Sequence[Parameter], options: Mapping[str, Any], cuda: bool) -> Optimizer:
    return torch.optim.NAdam(parameters, foreach=cuda, **options)


def _adam(parameters: Sequence[Parameter], options: Mapping[str, Any], cuda: bool) -> Optimizer:
    return torch.optim.Adam(parameters, fused=True, **options)


def _adamw(parameters: Sequence[Parameter], options: Mapping[str, Any], cuda: bool) -> Optimizer:
    return torch.optim.AdamW(parameters, fused=True, **options)


def _sgd(parameters: Sequence[Parameter], options: Mapping[str, Any], cuda: bool) -> Optimizer:
    return torch.optim.SGD(parameters, fused=True, **options)


OPTIMIZERS: dict[str, Callable[[Sequence[Parameter], Mapping[str, Any], bool], Optimizer]] = {
    "nadam": _nadam,
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}
