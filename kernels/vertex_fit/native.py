"""The compiled vertex fit, on the processor or a CUDA device: allocates, passes addresses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..backends import native_module
from ..streams import on_device_of, stream_of
from .problem import Gradients, Problem, Solution, shape_of


def forward(problem: Problem) -> Solution:
    """Fit every problem (see `api.vertex_fit`)."""
    out = problem.empty_solution()
    _call("vertex_fit", problem.tracks, problem.threads, *_arguments(problem), _addresses(*out, None))
    return out


def forward_and_response(problem: Problem) -> tuple[Solution, Tensor]:
    """The fit and how it answers to the weights, (*weights.shape, 4): d(x, y, z)/dw in mm and d(chi2)/dw.

    In mode "exact" only.
    """
    out, response = problem.empty_solution(), problem.empty_response()
    _call("vertex_fit", problem.tracks, problem.threads, *_arguments(problem), _addresses(*out, response))
    return out, response


def weights_backward(
    ct_vertex: Tensor | None, ct_chi2: Tensor | None, response: Tensor, offsets: Tensor | None, threads: int
) -> Tensor:
    """The gradient of the weights from the cotangents and the response."""
    made = response.new_empty(response.shape[:-1])
    cotangents = _addresses(ct_vertex, None, ct_chi2, None)
    arguments = list(shape_of(made, offsets)), *_addresses(offsets, response), cotangents, made.data_ptr()
    _call("vertex_fit_weights_backward", response, threads, *arguments)
    return made


def backward(problem: Problem, solution: Solution, cotangents: list[Tensor | None], wanted: list[bool]) -> Gradients:
    """Gradients of the outputs (vertex, covariance, chi2, momenta) weighted by their cotangents."""
    made = problem.zero_gradients(wanted)
    addresses = _addresses(*solution, None), _addresses(*cotangents), _addresses(*made)
    _call("vertex_fit_backward", problem.tracks, problem.threads, *_arguments(problem), *addresses)
    return made


def _call(name: str, like: Tensor, threads: int, *arguments: Any) -> None:
    """The kernel of the device that `like` lies on, in its precision: with threads, or on the device's stream."""
    double = like.dtype == torch.float64
    if not like.is_cuda:
        getattr(native_module(), name)(*arguments, double, threads)
        return
    with on_device_of(like):
        getattr(native_module(), f"{name}_cuda")(*arguments, double, stream_of(like))


def _addresses(*tensors: Tensor | None) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _arguments(problem: Problem) -> tuple[Any, ...]:
    p = problem
    data = (p.offsets, p.tracks, p.covariance, p.weights, p.mask, p.prior_position, p.prior_information, p.seed)
    options = [int(p.full), int(p.ndive), p.max_iterations, int(p.sandwich)]
    return list(p.shape), _addresses(*data), options, p.tolerance
