"""What the operators of the vertex fit do below the recording of gradients: their calls, and the shapes of results."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import backends
from ..inputs import check_offsets
from . import native
from .problem import Gradients, Problem, Solution

DIFFERENTIABLE = (0, 1, 2, 5, 6)
"""Places of the arguments that may have a gradient, in the order of `Gradients`."""


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
    inputs = [arguments[8:][index] for index in DIFFERENTIABLE]
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
        for index, want in zip(DIFFERENTIABLE, wanted, strict=True)
    )


IMPLEMENTED: dict[str, Any] = {
    "vertex_fit": _forward,
    "vertex_fit_backward": _backward,
    "vertex_fit_and_response": _forward_and_response,
    "vertex_fit_weights_backward": _weights_backward,
}
FAKE: dict[str, Any] = {
    "vertex_fit": _fake_forward,
    "vertex_fit_backward": _fake_backward,
    "vertex_fit_and_response": _fake_forward_and_response,
    "vertex_fit_weights_backward": _fake_weights_backward,
}
