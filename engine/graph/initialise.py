"""How parameters start: each depends on the seed and its own name only, so a new layer leaves the others as they are.

Formulas: Glorot and Bengio 2010 (glorot), He et al. 2015 (he), LeCun et al. 1998 (lecun), Saxe et al. 2014
(orthogonal). Normal draws of the scaled kinds are cut at two standard deviations, as in Keras.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from operator import attrgetter

import torch
from torch import Generator, Tensor, nn

from engine.graph.modules.values import GraphModule, Start

Fill = Callable[[Tensor, Start, Generator], None]

CUT_NORMAL_DEVIATION = 0.87962566103423978
"""Standard deviation of a normal distribution of width 1 that is cut at +-2."""


def constant(value: float) -> Fill:
    """The same value everywhere."""

    def fill(tensor: Tensor, start: Start, generator: Generator) -> None:
        tensor.fill_(value)

    return fill


def uniform(limit: Callable[[Start], float]) -> Fill:
    """Evenly between -limit and limit."""

    def fill(tensor: Tensor, start: Start, generator: Generator) -> None:
        tensor.uniform_(-limit(start), limit(start), generator=generator)

    return fill


def normal(deviation: Callable[[Start], float], *, cut: bool) -> Fill:
    """Normally distributed around 0; where `cut`, within two widths and widened so that the deviation holds."""

    def fill(tensor: Tensor, start: Start, generator: Generator) -> None:
        width = deviation(start)
        if cut:
            width /= CUT_NORMAL_DEVIATION
            nn.init.trunc_normal_(tensor, 0.0, width, -2 * width, 2 * width, generator=generator)
        else:
            tensor.normal_(0.0, width, generator=generator)

    return fill


def orthogonal(tensor: Tensor, start: Start, generator: Generator) -> None:
    """Rows or columns (whichever are fewer) of length 1 at right angles."""
    nn.init.orthogonal_(tensor.view(tensor.shape[0], -1), generator=generator)


def variance_scaled(scale: float, fans: Callable[[Start], float]) -> tuple[Fill, Fill]:
    """Uniform and normal draws of variance scale / fans."""
    return uniform(lambda start: math.sqrt(3 * scale / fans(start))), normal(
        lambda start: math.sqrt(scale / fans(start)), cut=True
    )


GLOROT = variance_scaled(1.0, lambda start: (start.fan_in + start.fan_out) / 2)
HE = variance_scaled(2.0, lambda start: start.fan_in)
LECUN = variance_scaled(1.0, lambda start: start.fan_in)

KINDS: Mapping[str, Fill] = {
    "glorot_uniform": GLOROT[0],
    "glorot_normal": GLOROT[1],
    "he_uniform": HE[0],
    "he_normal": HE[1],
    "lecun_uniform": LECUN[0],
    "lecun_normal": LECUN[1],
    "orthogonal": orthogonal,
    "uniform": uniform(lambda start: 0.05),
    "normal": normal(lambda start: 0.05, cut=False),
    "standard_normal": normal(lambda start: 1.0, cut=False),
    "fan_in_uniform": uniform(lambda start: 1 / math.sqrt(max(start.fan_in, 1))),
    "zeros": constant(0.0),
    "ones": constant(1.0),
}


def generator_for(seed: int, name: str) -> Generator:
    """A generator that depends on the seed and a parameter's name only."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Fill every parameter of a network."""
    for path, module in network.named_modules():
        if not isinstance(module, GraphModule):
            continue
        for name, start in module.starts.items():
            tensor = attrgetter(name)(module)
            KINDS[start.kind](tensor, start, generator_for(seed, f"{path}.{name}"))
            if start.forget is not None:
                first, last, value = start.forget
                tensor[first:last] = value
