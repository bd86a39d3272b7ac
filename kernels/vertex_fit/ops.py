"""The vertex fit as operators of torch: schema, fake, autograd and mixed-precision rule.

A low-level `torch.library.Library` is used: a call costs a third of what `custom_op` takes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import backends
from ..derivatives import check_derivatives, without_second
from ..dispatch import plain
from ..inputs import check_offsets
from . import native
from .problem import Gradients, Problem, Solution

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
_DIFFERENTIABLE = (0, 1, 2, 5, 6)
_WEIGHTS_ALONE = [index == 2 for index in _DIFFERENTIABLE]


def vertex_fit(*arguments: Any) -> Any:
    """The operator; without the dispatcher where that would change nothing."""
    if plain(arguments):
        return _autograd(None, *arguments)
    check_derivatives("vertex_fit", *arguments[:8])
    return torch.ops.engine_kernels.vertex_fit.default(*arguments)


def choice() -> backends.Choice:
    """What tensors of the processor run with, and why."""
    return backends.choose("vertex_fit")


def _choice_for(tracks: Tensor) -> str:
    return (backends.choose_cuda("vertex_fit") if tracks.is_cuda else choice()).implementation


def implementation(problem: Problem) -> Any:
    """The module (native, numba, reference) that runs this problem."""
    name = _choice_for(problem.tracks)
    if name in ("native", "cuda"):
        return native
    if name == "numba":
        from . import numba

        return numba
    from . import reference

    return reference


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _problem(*arguments: Any) -> Problem:
    return Problem(*map(_contiguous, arguments[:8]), *arguments[8:])  # type: ignore[arg-type]


def _checked_problem(*arguments: Any) -> Problem:
    """Backward there is nothing to check again: on a CUDA device that would wait for it."""
    problem = _problem(*arguments)
    if problem.offsets is not None:
        check_offsets(problem.offsets, problem.tracks.shape[0])
    return problem


def _forward(*arguments: Any) -> Solution:
    problem = _checked_problem(*arguments)
    result: Solution = implementation(problem).forward(problem)
    return result


def _fake_forward(*arguments: Any) -> Solution:
    return Problem(*arguments).empty_solution()


def _forward_and_response(*arguments: Any) -> tuple[Tensor, ...]:
    solution, response = native.forward_and_response(_checked_problem(*arguments))
    return (*solution, response)


def _fake_forward_and_response(*arguments: Any) -> tuple[Tensor, ...]:
    problem = Problem(*arguments)
    return (*problem.empty_solution(), problem.empty_response())


def _weights_backward(
    ct_vertex: Tensor | None, ct_chi2: Tensor | None, response: Tensor, offsets: Tensor | None, threads: int
) -> Tensor:
    made: Tensor = native.weights_backward(
        _contiguous(ct_vertex), _contiguous(ct_chi2), response.contiguous(), _contiguous(offsets), threads
    )
    return made


def _fake_weights_backward(
    ct_vertex: Tensor | None, ct_chi2: Tensor | None, response: Tensor, offsets: Tensor | None, threads: int
) -> Tensor:
    return response.new_empty(response.shape[:-1])


def responds(*arguments: Any) -> bool:
    """True where the fit can leave its response to the weights behind: compiled and in mode "exact"."""
    tracks, ndive = arguments[0], arguments[8]
    return not ndive and _choice_for(tracks) in ("native", "cuda")


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    """The gradients by input, empty where not wanted: torch's compiler miscounts lists of tensors."""
    *cotangents, vertex, momenta, status, wanted = arguments[:8]
    problem = _problem(*arguments[8:])
    vertex = vertex.contiguous()  # also in the places of covariance and chi2, which no gradient needs
    solution = Solution(vertex, vertex, vertex, momenta.contiguous(), status.contiguous())
    asked, given = list(wanted), [_contiguous(tensor) for tensor in cotangents]
    if problem.ndive:  # as published: the vertex with respect to the weights, everything else is constant
        asked, given = [False, False, asked[2], False, False], [given[0], None, None, None]
    found: Gradients = implementation(problem).backward(problem, solution, given, asked)
    inputs = [arguments[8:][index] for index in _DIFFERENTIABLE]
    return tuple(
        vertex.new_empty(0)
        if not want
        else torch.zeros_like(value, memory_format=torch.contiguous_format)
        if gradient is None
        else gradient
        for want, gradient, value in zip(wanted, found, inputs, strict=True)
    )


def _fake_backward(*arguments: Any) -> tuple[Tensor, ...]:
    wanted, inputs = arguments[7], arguments[8:]
    return tuple(
        torch.empty_like(inputs[index], memory_format=torch.contiguous_format) if want else inputs[0].new_empty(0)
        for index, want in zip(_DIFFERENTIABLE, wanted, strict=True)
    )


class _Differentiable(torch.autograd.Function):
    """The fit with its gradients. `torch.library.register_autograd` would do, but takes half a millisecond a call: it
    goes through the schema argument by argument.
    """

    @staticmethod
    def forward(ctx: Any, keys: Any, *arguments: Any) -> tuple[Tensor, ...]:
        wanted = [bool(ctx.needs_input_grad[1 + index]) for index in _DIFFERENTIABLE]
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
        for index, want, gradient in zip(_DIFFERENTIABLE, ctx.wanted, found, strict=True):
            gradients[1 + index] = gradient if want else None
        return tuple(gradients)


def _undifferentiated(name: str, *arguments: Any) -> Any:
    """An operator without a gradient of its own."""
    if plain(arguments):
        return _IMPLEMENTED[name](*arguments)
    check_derivatives("vertex_fit", *(value for value in arguments[:4] if isinstance(value, Tensor)))
    return getattr(torch.ops.engine_kernels, name).default(*arguments)


def _below(name: str, keys: Any, *arguments: Any) -> Any:
    """The implementation below the recording of gradients: of a device, or of tensors that hold no numbers."""
    if keys is None:
        return _IMPLEMENTED[name](*arguments)
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


_IMPLEMENTED: dict[str, Any] = {
    "vertex_fit": _forward,
    "vertex_fit_backward": _backward,
    "vertex_fit_and_response": _forward_and_response,
    "vertex_fit_weights_backward": _weights_backward,
}
_FAKE: dict[str, Any] = {
    "vertex_fit": _fake_forward,
    "vertex_fit_backward": _fake_backward,
    "vertex_fit_and_response": _fake_forward_and_response,
    "vertex_fit_weights_backward": _fake_weights_backward,
}
for _device in ("CPU", "CUDA"):
    for _name, _implemented in _IMPLEMENTED.items():
        _LIBRARY.impl(_name, _implemented, _device)
    _LIBRARY.impl("vertex_fit", _autocast(_device.lower()), f"Autocast{_device}")
for _name, _made in _FAKE.items():
    torch.library.register_fake(f"engine_kernels::{_name}", _made, lib=_LIBRARY)
_LIBRARY.impl("vertex_fit", _autograd, "Autograd", with_keyset=True)
