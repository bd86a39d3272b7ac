"""The vertex fit as operators of torch: schema, fake, autograd and mixed-precision rule.

A low-level `torch.library.Library` is used: a call costs a third of what `custom_op` takes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..derivatives import check_derivatives, without_second
from ..dispatch import plain
from .calls import DIFFERENTIABLE, FAKE, IMPLEMENTED, responds

_SETTINGS = "bool ndive, bool sandwich, float tolerance, int max_iterations, int threads"
_INPUTS = (
    "Tensor tracks, Tensor covariance, Tensor weights, Tensor? mask, Tensor? offsets, "
    "Tensor? prior_position, Tensor? prior_information, Tensor? seed, " + _SETTINGS
)
_LIBRARY = torch.library.Library("engine_kernels", "FRAGMENT")
_LIBRARY.define(f"vertex_fit({_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)")
_LIBRARY.define(
    "vertex_fit_backward(Tensor? ct_vertex, Tensor? ct_covariance, Tensor? ct_chi2, Tensor? ct_momenta, "
    "Tensor vertex, Tensor momenta, Tensor status, bool[] wanted, "
    f"{_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
# Where the weights alone are learnt, the fit leaves behind how its result answers to them; later the tracks would have
# to be read and linearised once more.
_LIBRARY.define(f"vertex_fit_and_response({_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)")
_LIBRARY.define(
    "vertex_fit_weights_backward(Tensor? ct_vertex, Tensor? ct_chi2, Tensor response, Tensor? offsets, int threads)"
    " -> Tensor"
)
_WEIGHTS_ALONE = [index == 2 for index in DIFFERENTIABLE]


def vertex_fit(*arguments: Any) -> Any:
    """The operator; without the dispatcher where that would change nothing."""
    if plain(arguments):
        return _autograd(None, *arguments)
    check_derivatives("vertex_fit", *arguments[:8])
    return torch.ops.engine_kernels.vertex_fit.default(*arguments)


class _Differentiable(torch.autograd.Function):
    """The fit with its gradients. `torch.library.register_autograd` would do, but takes half a millisecond a call: it
    goes through the schema argument by argument.
    """

    @staticmethod
    def forward(ctx: Any, keys: Any, *arguments: Any) -> tuple[Tensor, ...]:
        wanted = [bool(ctx.needs_input_grad[1 + index]) for index in DIFFERENTIABLE]
        response: Tensor | None = None
        if wanted == _WEIGHTS_ALONE and responds(*arguments):
            *result, response = _below("vertex_fit_and_response", keys, *arguments)
        else:
            result = _below("vertex_fit", keys, *arguments)
        vertex, _, _, momenta, status = result
        ctx.mark_non_differentiable(status)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arguments[:8], vertex, momenta, status, response)
        ctx.wanted, ctx.settings = wanted, arguments[8:]
        return tuple(result)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            return without_second("vertex_fit", _Differentiable.backward, ctx, cotangents)
        *inputs, vertex, momenta, status, response = ctx.saved_tensors
        ct_vertex, ct_covariance, ct_chi2, ct_momenta = cotangents[:4]
        gradients: list[Tensor | None] = [None] * 14
        if response is not None and ct_covariance is None and ct_momenta is None:
            given = (ct_vertex, ct_chi2, response, inputs[4], ctx.settings[-1])
            gradients[3] = _undifferentiated("vertex_fit_weights_backward", *given)
            return tuple(gradients)
        given = (*cotangents[:4], vertex, momenta, status, ctx.wanted, *inputs, *ctx.settings)
        found = _undifferentiated("vertex_fit_backward", *given)
        for index, want, gradient in zip(DIFFERENTIABLE, ctx.wanted, found, strict=True):
            gradients[1 + index] = gradient if want else None
        return tuple(gradients)


def _undifferentiated(name: str, *arguments: Any) -> Any:
    """An operator without a gradient of its own."""
    if plain(arguments):
        return IMPLEMENTED[name](*arguments)
    check_derivatives("vertex_fit", *(value for value in arguments[:4] if isinstance(value, Tensor)))
    return getattr(torch.ops.engine_kernels, name).default(*arguments)


def _below(name: str, keys: Any, *arguments: Any) -> Any:
    """The implementation below the recording of gradients: of a device, or of tensors that hold no numbers."""
    if keys is None:
        return IMPLEMENTED[name](*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return getattr(torch.ops.engine_kernels, name).default.redispatch(keys, *arguments)


def _autograd(keys: Any, *arguments: Any) -> Any:
    """Records the gradients, then goes on below; keys: what is left of the dispatcher's way, None without it."""
    if keys is not None:
        keys = keys & torch._C._after_autograd_keyset
    if torch.is_grad_enabled() and any(isinstance(value, Tensor) and value.requires_grad for value in arguments[:8]):
        return _Differentiable.apply(keys, *arguments)
    return _below("vertex_fit", keys, *arguments)


def _autocast(device: str) -> Any:
    """Mixed precision: half-precision inputs are widened; a fit needs the digits of float32."""

    def widen(*arguments: Any) -> Any:
        cast = [
            value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value
            for value in arguments
        ]
        wide = [v.dtype for v in cast if isinstance(v, Tensor) and v.is_floating_point()]
        if len(set(wide)) > 1:
            cast = [v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in cast]
        with torch.autocast(device, enabled=False):
            return torch.ops.engine_kernels.vertex_fit(*cast)

    return widen


for _device in ("CPU", "CUDA"):
    for _name, _implemented in IMPLEMENTED.items():
        _LIBRARY.impl(_name, _implemented, _device)
    _LIBRARY.impl("vertex_fit", _autocast(_device.lower()), f"Autocast{_device}")
for _name, _made in FAKE.items():
    torch.library.register_fake(f"engine_kernels::{_name}", _made, lib=_LIBRARY)
_LIBRARY.impl("vertex_fit", _autograd, "Autograd", with_keyset=True)
