"""The compiled vertex fit: allocates, passes addresses."""

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
    double, where = problem.tracks.dtype == torch.float64, _where(problem)
    addresses = [_address(tensor) for tensor in out]
    if not problem.tracks.is_cuda:
        native_module().vertex_fit(*_arguments(problem), addresses, 0, double, where)
        return out
    with on_device_of(problem.tracks):
        native_module().vertex_fit_cuda(*_arguments(problem), addresses, double, where)
    return out


def forward_and_response(problem: Problem) -> tuple[Solution, Tensor]:
    """The fit and how it answers to the weights, (*weights.shape, 4): d(x, y, z)/dw in mm and d(chi2)/dw.

    On the processor and in mode "exact" only.
    """
    out, response = problem.empty_solution(), problem.empty_response()
    double = problem.tracks.dtype == torch.float64
    addresses = [_address(tensor) for tensor in out]
    native_module().vertex_fit(*_arguments(problem), addresses, _address(response), double, problem.threads)
    return out, response


def weights_backward(
    ct_vertex: Tensor | None, ct_chi2: Tensor | None, response: Tensor, offsets: Tensor | None, threads: int
) -> Tensor:
    """The gradient of the weights from the cotangents and the response."""
    made = response.new_empty(response.shape[:-1])
    data = [_address(response), _address(ct_vertex), _address(ct_chi2)]
    double, shape = made.dtype == torch.float64, list(shape_of(made, offsets))
    native_module().vertex_fit_weights_backward(shape, _address(offsets), data, _address(made), double, threads)
    return made


def backward(problem: Problem, solution: Solution, cotangents: list[Tensor | None], wanted: list[bool]) -> Gradients:
    """Gradients of the outputs (vertex, covariance, chi2, momenta) weighted by their cotangents."""
    inputs = (problem.tracks, problem.covariance, problem.weights, problem.prior_position, problem.prior_information)
    made = [
        torch.zeros_like(tensor) if want and tensor is not None else None
        for tensor, want in zip(inputs, wanted, strict=True)
    ]
    double, where = problem.tracks.dtype == torch.float64, _where(problem)
    cuda = problem.tracks.is_cuda
    function = native_module().vertex_fit_backward_cuda if cuda else native_module().vertex_fit_backward
    addresses = [_address(tensor) for tensor in cotangents]
    outputs, gradients = [_address(tensor) for tensor in solution], [_address(tensor) for tensor in made]
    with on_device_of(problem.tracks):
        function(*_arguments(problem), outputs, addresses, gradients, double, where)
    return Gradients(*made)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _where(problem: Problem) -> int:
    """The number of threads, or the stream of a CUDA problem."""
    if not problem.tracks.is_cuda:
        return problem.threads
    return stream_of(problem.tracks)


def _arguments(problem: Problem) -> tuple[Any, ...]:
    p = problem
    data = (p.offsets, p.tracks, p.covariance, p.weights, p.mask, p.prior_position, p.prior_information, p.seed)
    options = [int(p.full), int(p.ndive), p.max_iterations, int(p.sandwich)]
    return list(p.shape), [_address(tensor) for tensor in data], options, p.tolerance
