"""The defaults of a framework that a spec can ask for: initialisation, normalisation, slopes. Plain numbers, no torch.

Sources: the documentation of Keras 2.13/3 and of PyTorch 2; the reference networks of this project were all trained
with Keras, and reproducing them means reproducing these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Conventions:
    """What is not said in the spec.

    Attributes:
        name: "keras" or "torch".
        weight: initialisation of dense and convolution weights.
        bias: initialisation of their biases.
        embedding: initialisation of embedding tables.
        recurrent_input: initialisation of the weights that act on the input of an LSTM or GRU.
        recurrent_state: initialisation of those that act on its state.
        recurrent_bias: initialisation of its biases.
        forget_bias: what the bias of an LSTM's forget gate starts from, None for no difference to the other gates.
        single_bias: an LSTM has one bias a gate (Keras) and not two that are added up (torch).
        leaky_relu_slope: slope for negative values.
        batch_norm_epsilon: added to the variance.
        batch_norm_momentum: share of the running statistics that is kept at each step.
        batch_norm_unbiased: running variance from n - 1 (torch) and not n (Keras).
        layer_norm_epsilon: added to the variance.
    """

    name: str
    weight: str
    bias: str
    embedding: str
    recurrent_input: str
    recurrent_state: str
    recurrent_bias: str
    forget_bias: float | None
    single_bias: bool
    leaky_relu_slope: float
    batch_norm_epsilon: float
    batch_norm_momentum: float
    batch_norm_unbiased: bool
    layer_norm_epsilon: float


KERAS = Conventions(
    name="keras",
    weight="glorot_uniform",
    bias="zeros",
    embedding="uniform",
    recurrent_input="glorot_uniform",
    recurrent_state="orthogonal",
    recurrent_bias="zeros",
    forget_bias=1.0,
    single_bias=True,
    leaky_relu_slope=0.3,
    batch_norm_epsilon=1e-3,
    batch_norm_momentum=0.99,
    batch_norm_unbiased=False,
    layer_norm_epsilon=1e-3,
)

TORCH = Conventions(
    name="torch",
    weight="fan_in_uniform",
    bias="fan_in_uniform",
    embedding="standard_normal",
    recurrent_input="fan_in_uniform",
    recurrent_state="fan_in_uniform",
    recurrent_bias="fan_in_uniform",
    forget_bias=None,
    single_bias=False,
    leaky_relu_slope=0.01,
    batch_norm_epsilon=1e-5,
    batch_norm_momentum=0.9,
    batch_norm_unbiased=True,
    layer_norm_epsilon=1e-5,
)

CONVENTIONS: Mapping[str, Conventions] = {"keras": KERAS, "torch": TORCH}
