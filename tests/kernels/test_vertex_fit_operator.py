"""The fit as an operator of torch: registration, compilation, export, mixed precision, choice of the implementation."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_kernels.dispatch import plain
from engine_kernels.vertex_fit import calls, ops, reference
from engine_kernels.vertex_fit.api import Prior, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


def inputs(jets: int = 6, tracks: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    toys = make_toys(jets, tracks, seed=61)
    weights = (
        torch.rand(jets, tracks, dtype=dtype, generator=torch.Generator(torch.get_default_device()).manual_seed(1))
        + 0.1
    )
    return torch.tensor(toys.tracks, dtype=dtype), torch.tensor(toys.variances, dtype=dtype), weights


@pytest.mark.parametrize("kind", ["single", "padded", "ragged"])
def test_operator_is_registered_completely(native: str, kind: str) -> None:
    tracks, variances, weights = inputs()
    settings = (False, True, 1e-8, 20, 1)
    head: tuple[int, ...] = (6,) if kind == "single" else (6, 1)
    if kind == "single":
        leaves = [tracks, variances, weights]
        rest: tuple[object, ...] = (None, None, None, None, None)
    elif kind == "ragged":
        leaves = [tracks.reshape(-1, 5), variances.reshape(-1, 5), weights.reshape(1, -1)]
        rest = (None, torch.arange(7) * 5, None, None, None)
    else:
        leaves = [tracks, variances, weights.unsqueeze(1)]
        position, information = (
            torch.zeros(6, 1, 3, dtype=torch.float64),
            torch.eye(3, dtype=torch.float64).expand(6, 1, 3, 3),
        )
        prior = (position.requires_grad_(), information.clone().requires_grad_())
        rest = (torch.ones(6, 5, dtype=torch.bool), None, *prior, None)
    arguments = (*(leaf.clone().requires_grad_() for leaf in leaves), *rest, *settings)
    torch.library.opcheck(torch.ops.engine_kernels.vertex_fit.default, arguments)
    detached = [value.detach() if isinstance(value, Tensor) else value for value in arguments]
    torch.library.opcheck(torch.ops.engine_kernels.vertex_fit_and_response.default, detached)
    *_, response = torch.ops.engine_kernels.vertex_fit_and_response(*detached)
    cotangents = torch.ones(*head, 3, dtype=torch.float64), torch.ones(head, dtype=torch.float64)
    torch.library.opcheck(
        torch.ops.engine_kernels.vertex_fit_weights_backward.default, (*cotangents, response, rest[1], 1)
    )
    detached[2].requires_grad_()
    torch.library.opcheck(torch.ops.engine_kernels.vertex_fit.default, detached)


class Seen(TorchDispatchMode):
    """Writes down the operators that are called while it lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: object, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        self.names.append(function.name())
        return function(*arguments, **keywords or {})


def test_the_dispatcher_is_left_out_only_where_nothing_else_listens(native: str) -> None:
    arguments = (*inputs(), *(None,) * 5, False, True, 1e-8, 20, 1)
    assert plain(arguments)
    assert plain((nn.Parameter(arguments[0]), None))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not plain(arguments)
    with torch.device("cpu"):
        assert not plain(arguments)
    assert not torch.func.vmap(lambda row: torch.tensor(plain((row,))), out_dims=0)(arguments[0]).any()
    with FakeTensorMode() as mode:
        assert not plain((mode.from_tensor(arguments[0]),))
    with Seen() as seen:
        assert not plain(arguments)
        vertex_fit(*arguments[:3])
    assert seen.names == ["engine_kernels::vertex_fit"]


def test_the_same_with_and_without_the_dispatcher(native: str) -> None:
    found = []
    for call in (ops.vertex_fit, torch.ops.engine_kernels.vertex_fit):
        leaves = [value.clone().requires_grad_() for value in inputs()]
        vertex, covariance, chi2, momenta, _ = call(*leaves, *(None,) * 5, False, True, 1e-8, 20, 1)
        total = vertex.sum() + covariance.sum() + chi2.sum() + momenta.sum()
        alone = torch.autograd.grad(vertex.sum(), leaves[2], retain_graph=True)
        found.append([vertex, covariance, chi2, momenta, *alone, *torch.autograd.grad(total, leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


class Vertexing(nn.Module):
    """Learnt weights, then the fit: what a network around it looks like."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weigh = nn.Linear(5, 1)

    def forward(self, tracks: Tensor, variances: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = torch.sigmoid(self.weigh(tracks * tracks.new_tensor([1.0, 0.1, 1.0, 1.0, 100.0])).squeeze(-1))
        fit = vertex_fit(tracks, variances, weights, mask)
        return fit.vertex, fit.covariance, fit.chi2


def compare_compiled() -> None:
    """Values and gradients of the compiled module against the eager one."""
    module = Vertexing().double()
    tracks, variances, _ = inputs()
    mask = torch.ones(6, 5, dtype=torch.bool)
    compiled = torch.compile(module, fullgraph=True)
    found = compiled(tracks, variances, mask)
    expected = module(tracks, variances, mask)
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(found, expected, strict=True))
    sum(part.sum() for part in found).backward()
    gradient = module.weigh.weight.grad.clone()
    module.weigh.weight.grad = None
    sum(part.sum() for part in module(tracks, variances, mask)).backward()
    assert torch.allclose(gradient, module.weigh.weight.grad, rtol=1e-9)
    # The vertex alone: the gradient comes from the response that the fit leaves behind.
    vertex = torch.compile(lambda weights: vertex_fit(tracks, variances, weights, mask).vertex, fullgraph=True)
    weights = torch.full((6, 5), 0.5, dtype=torch.float64, requires_grad=True)
    (found_alone,) = torch.autograd.grad(vertex(weights).sum(), weights)
    (expected_alone,) = torch.autograd.grad(vertex_fit(tracks, variances, weights, mask).vertex.sum(), weights)
    assert torch.allclose(found_alone, expected_alone, rtol=1e-9)


@pytest.mark.slow
def test_compiles_without_a_graph_break(native: str) -> None:
    """In a process of its own: the compiler imports setuptools, which refuses where distutils is already imported."""
    call = f"import runpy; runpy.run_path({__file__!r})['compare_compiled']()"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_traces_without_a_graph_break(native: str) -> None:
    tracks, variances, _ = inputs()
    mask = torch.ones(6, 5, dtype=torch.bool)
    module = Vertexing().double()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert torch.equal(compiled(tracks, variances, mask)[0], module(tracks, variances, mask)[0])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_onnx_through_the_decomposition_agrees_with_the_kernel(native: str, tmp_path: Path, dtype: torch.dtype) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    module = Vertexing().to(dtype).eval()
    tracks, variances, _ = inputs(dtype=dtype)
    mask = torch.ones(6, 5, dtype=torch.bool)
    mask[1, 3:] = False
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (tracks, variances, mask), dynamic_shapes=({0: batch},) * 3)
        program = program.run_decompositions({torch.ops.engine_kernels.vertex_fit.default: reference.decomposition})
        path = tmp_path / "fit.onnx"
        torch.onnx.export(program, dynamo=True, verbose=False).save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    many = inputs(jets=50, dtype=dtype)
    mask = torch.rand(50, 5, generator=torch.Generator(torch.get_default_device()).manual_seed(2)) < 0.8
    feeds = dict(
        zip((node.name for node in session.get_inputs()), (many[0].numpy(), many[1].numpy(), mask.numpy()), strict=True)
    )
    found = session.run(None, feeds)
    with torch.no_grad():
        vertex, covariance, chi2 = module(many[0], many[1], mask)
    sd = torch.diagonal(covariance, dim1=-2, dim2=-1).sqrt().numpy()
    good = (sd > 0).all(axis=1) & (mask.sum(1) > 2).numpy()
    assert good.sum() > 30
    limit = 1e-6 if dtype == torch.float64 else 2e-3
    assert (np.abs(found[0] - vertex.numpy()) / np.where(sd > 0, sd, 1))[good].max() < limit
    assert np.allclose(found[2][good], chi2.numpy()[good], rtol=1e-3, atol=1e-3)


def test_half_precision_is_widened(native: str) -> None:
    tracks, variances, weights = inputs(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fit = vertex_fit(tracks, variances, weights.bfloat16())
    assert fit.vertex.dtype == torch.float32
    assert torch.equal(fit.vertex, vertex_fit(tracks, variances, weights.bfloat16().float()).vertex)


def test_results_lie_in_memory_as_the_compiler_expects(implementation: str) -> None:
    settings = (*(None,) * 5, False, True, 1e-8, 20, 1)
    for dtype in (torch.float32, torch.float64):
        arguments = [value.requires_grad_() for value in inputs(dtype=dtype)]
        torch.library.opcheck(torch.ops.engine_kernels.vertex_fit.default, (*arguments, *settings))
        assert all(value.is_contiguous() for value in vertex_fit(*arguments))


def test_inputs_need_not_be_contiguous(implementation: str) -> None:
    tracks, variances, weights = inputs()
    expected = vertex_fit(tracks, variances, weights)
    strided = vertex_fit(
        tracks.mT.contiguous().mT, variances.transpose(0, 1).contiguous().transpose(0, 1), weights.mT.contiguous().mT
    )
    assert all(torch.equal(a, b) for a, b in zip(expected, strided, strict=True))


def test_a_shared_prior_collects_the_gradients_of_all_jets(implementation: str) -> None:
    tracks, variances, weights = inputs()
    position, information = torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    shared = [position.clone().requires_grad_(), information.clone().requires_grad_()]
    own = [position.expand(6, 3).clone().requires_grad_(), information.expand(6, 3, 3).clone().requires_grad_()]
    for leaves in (shared, own):
        vertex_fit(tracks, variances, weights, prior=Prior(*leaves)).vertex.sum().backward()
    for one, many in zip(shared, own, strict=True):
        assert torch.allclose(one.grad, many.grad.sum(0), rtol=1e-12)


@pytest.mark.parametrize("name", ["numba", "reference"])
def test_the_environment_chooses_the_implementation(name: str) -> None:
    program = (
        "import torch\n"
        "from engine_kernels.vertex_fit import calls\n"
        "from engine_kernels.vertex_fit.api import vertex_fit\n"
        "from engine_kernels.vertex_fit.toys import make_toys\n"
        "toys = make_toys(2, 3)\n"
        "tracks, variances = torch.tensor(toys.tracks), torch.tensor(toys.variances)\n"
        "fit = vertex_fit(tracks, variances, torch.ones(2, 3, dtype=torch.float64))\n"
        "print(calls.choice().implementation, fit.status.tolist())\n"
    )
    environment = {**os.environ, "ENGINE_KERNELS": name}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [name, "[0,", "0]"]


def test_the_module_in_use_has_a_reason() -> None:
    assert calls.choice().reason
