"""Bad input: masked garbage, singular problems, hostile values. Nothing crashes, nothing is NaN, nothing outside is
written.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit import native as native_fit
from engine_kernels.vertex_fit.api import Prior, Status, VertexFit, vertex_fit
from engine_kernels.vertex_fit.problem import Problem, Solution
from engine_kernels.vertex_fit.toys import make_toys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def leaves_of(*values: Tensor) -> list[Tensor]:
    return [value.clone().requires_grad_() for value in values]


def total(fit: VertexFit) -> Tensor:
    return fit.vertex.sum() + fit.covariance.sum() + fit.chi2.sum() + fit.momenta.sum()


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 0.0, 1e300], ids=str)
@pytest.mark.parametrize("full", [False, True], ids=["variances", "matrices"])
def test_masked_tracks_are_never_read(implementation: str, garbage: float, full: bool) -> None:
    toys = make_toys(20, 6, seed=51)
    tracks, covariance = torch.tensor(toys.tracks), torch.tensor(toys.variances)
    covariance = torch.diag_embed(covariance) if full else covariance
    weights = (
        torch.rand(20, 6, dtype=torch.float64, generator=torch.Generator(torch.get_default_device()).manual_seed(1))
        + 0.1
    )
    mask = torch.rand(20, 6, generator=torch.Generator(torch.get_default_device()).manual_seed(2)) < 0.7
    found = []
    for value in (0.5, garbage):
        inputs = [torch.where(mask[(...,) + (None,) * (x.dim() - 2)], x, value) for x in (tracks, covariance, weights)]
        leaves = leaves_of(*inputs)
        fit = vertex_fit(*leaves, mask)
        found.append([*fit, *torch.autograd.grad(total(fit), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert (found[1][5][~mask] == 0).all()
    assert (found[1][7][~mask] == 0).all()


def singular_cases() -> dict[str, tuple[Tensor, Tensor]]:
    toys = make_toys(1, 3, seed=52)
    tracks, variances = torch.tensor(toys.tracks), torch.tensor(toys.variances)
    parallel = tracks.clone()
    parallel[:, :, 2:] = parallel[:, :1, 2:]
    return {
        "no track": (tracks[:, :0], variances[:, :0]),
        "one track": (tracks[:, :1], variances[:, :1]),
        "identical tracks": (tracks[:, :1].repeat(1, 3, 1), variances),
        "parallel tracks": (parallel, variances),
    }


@pytest.mark.parametrize("shape", [(0, 3), (0, 0), (2, 0)], ids=str)
def test_a_batch_may_be_empty(implementation: str, shape: tuple[int, int]) -> None:
    ones = torch.ones(*shape, 5, dtype=torch.float64)
    leaves = leaves_of(ones, ones, ones[..., 0])
    fit = vertex_fit(*leaves)
    assert fit.vertex.shape == (shape[0], 3)
    for gradient, leaf in zip(torch.autograd.grad(total(fit), leaves), leaves, strict=True):
        assert gradient.shape == leaf.shape


@pytest.mark.parametrize("name", sorted(singular_cases()))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mode", ["exact", "ndive"])
def test_singular_problems_are_told(implementation: str, name: str, dtype: torch.dtype, mode: str) -> None:
    tracks, variances = (tensor.to(dtype) for tensor in singular_cases()[name])
    leaves = leaves_of(tracks, variances, torch.ones(tracks.shape[:2], dtype=dtype))
    fit = vertex_fit(*leaves, mode=mode)
    assert fit.status.tolist() == [int(Status.SINGULAR)]
    assert (fit.vertex == 0).all()
    assert (fit.covariance == 0).all()
    assert (fit.chi2 == 0).all()
    assert torch.isfinite(fit.momenta).all()
    for gradient in torch.autograd.grad(total(fit), leaves):
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", sorted(singular_cases()))
def test_a_prior_makes_them_regular(implementation: str, name: str) -> None:
    tracks, variances = singular_cases()[name]
    prior = Prior.of(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), 4 * torch.eye(3, dtype=torch.float64))
    leaves = leaves_of(tracks, variances, torch.ones(tracks.shape[:2], dtype=torch.float64))
    fit = vertex_fit(*leaves, prior=prior)
    assert fit.status.tolist() == [int(Status.CONVERGED)]
    assert torch.linalg.eigvalsh(fit.covariance).min() > 0
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(total(fit), leaves))


def test_unusable_tracks_do_not_spoil_the_others(implementation: str) -> None:
    toys = make_toys(1, 9, seed=53)
    tracks, variances, weights = (
        torch.tensor(toys.tracks),
        torch.tensor(toys.variances),
        torch.ones(1, 9, dtype=torch.float64),
    )
    expected = vertex_fit(tracks[:, :4], variances[:, :4], weights[:, :4])
    tracks[0, 4, 0] = np.nan
    variances[0, 5, 3] = 0.0
    variances[0, 6, 1] = -1.0
    tracks[0, 7, 3] = 0.0
    weights[0, 8] = np.inf
    leaves = leaves_of(tracks, variances, weights)
    found = vertex_fit(*leaves)
    assert torch.allclose(found.vertex, expected.vertex, rtol=1e-12, atol=0)
    for gradient in torch.autograd.grad(total(found), leaves):
        assert (gradient[0, 4:] == 0).all()
        assert (gradient[0, :4] != 0).any()


def test_a_prior_that_is_not_finite_counts_as_none(implementation: str) -> None:
    toys = make_toys(3, 5, seed=54)
    leaves = leaves_of(torch.tensor(toys.tracks), torch.tensor(toys.variances), torch.ones(3, 5, dtype=torch.float64))
    expected = vertex_fit(*leaves)
    position, information = torch.zeros(3, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    information[1, 0, 0] = np.inf
    information[2] = np.nan
    given = leaves_of(position, information)
    found = vertex_fit(*leaves, prior=Prior(*given))
    assert torch.allclose(found.vertex[1:], expected.vertex[1:], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(found.vertex[0], expected.vertex[0], rtol=1e-6)
    wanted = torch.autograd.grad(total(expected), leaves)
    made = torch.autograd.grad(total(found), [*leaves, *given])
    for gradient, without in zip(made, wanted, strict=False):
        assert torch.allclose(gradient[1:], without[1:], rtol=1e-6, atol=1e-9)
    assert all(torch.isfinite(gradient).all() for gradient in made)


def numbers(dtype: str) -> st.SearchStrategy[float]:
    """Ordinary values, and everything else a float can hold."""
    width = 64 if dtype == "float64" else 32
    return st.one_of(
        st.floats(-4, 4, width=width), st.floats(width=width), st.sampled_from([0.0, 1e-30, 1e30, 3.140625])
    )


@st.composite
def hostile(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    dtype = draw(st.sampled_from(["float64", "float32"]))
    jets, tracks = draw(st.integers(1, 3)), draw(st.sampled_from([0, 1, 2, 3, 7, 64]))
    full, vertices = draw(st.booleans()), draw(st.integers(1, 2))
    shape = (jets, tracks)

    def array(*size: int) -> np.ndarray:
        return draw(arrays(dtype, size, elements=numbers(dtype), fill=st.sampled_from([0.5, 1.0])))

    covariance = array(*shape, 5, 5) if full else array(*shape, 5)
    return (
        array(*shape, 5),
        covariance,
        array(jets, vertices, tracks),
        draw(arrays(np.bool_, shape)),
        array(jets, 3),
        array(jets, 3, 3),
    )


@SETTINGS
@given(values=hostile(), with_prior=st.booleans(), mode=st.sampled_from(["exact", "ndive"]))
def test_no_input_crashes_or_makes_nan(
    compiled: str, values: tuple[np.ndarray, ...], with_prior: bool, mode: str
) -> None:
    tracks, covariance, weights, mask, position, information = (torch.tensor(value) for value in values)
    leaves = leaves_of(tracks, covariance, weights, position, information)
    prior = Prior(leaves[3], leaves[4]) if with_prior else None
    if mode == "ndive" and covariance.dim() == 4:
        mode = "exact"
    fit = vertex_fit(*leaves[:3], mask, prior=prior, mode=mode)
    assert all(torch.isfinite(part).all() for part in fit)
    assert set(fit.status.flatten().tolist()) <= {0, 1, 2}
    wanted = leaves if with_prior else leaves[:3]
    for gradient in torch.autograd.grad(total(fit), wanted):
        assert torch.isfinite(gradient).all()
    alone = leaves[2].detach().requires_grad_()
    fit = vertex_fit(tracks, covariance, alone, mask, mode=mode)
    (gradient,) = torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), alone)
    assert torch.isfinite(gradient).all()


@SETTINGS
@given(values=hostile())
def test_nothing_outside_the_outputs_is_written(native: str, values: tuple[np.ndarray, ...]) -> None:
    tracks, covariance, weights, mask, _, _ = (torch.tensor(value) for value in values)
    problem = Problem(tracks, covariance, weights, mask, None, None, None, None, False, True, 1e-8, 20, 1)
    guarded: list[tuple[Tensor, Tensor]] = []

    def guard(like: Tensor) -> Tensor:
        """A tensor between two fences of a known pattern."""
        store = torch.full((like.numel() + 64,), 77, dtype=like.dtype)
        guarded.append((store, like))
        return store[32 : 32 + like.numel()].reshape(like.shape)

    solution = Solution(*(guard(part) for part in problem.empty_solution()))
    response = guard(problem.empty_response())
    module, double = native_fit.native_module(), tracks.dtype == torch.float64
    result = native_fit._addresses(*solution, response)
    module.vertex_fit(*native_fit._arguments(problem), result, double, 1)
    cotangents = [torch.ones_like(part) for part in solution[:4]]
    gradients = [guard(part).zero_() for part in (tracks, covariance, weights)]
    given, wanted = native_fit._addresses(*cotangents), native_fit._addresses(*gradients, None, None)
    module.vertex_fit_backward(*native_fit._arguments(problem), result, given, wanted, double, 1)
    gradients.append(guard(weights))
    target = gradients[-1].data_ptr()
    module.vertex_fit_weights_backward(list(problem.shape), 0, response.data_ptr(), given, target, double, 1)
    for store, _ in guarded:
        assert (store[:32] == 77).all()
        assert (store[-32:] == 77).all()
    assert all(torch.isfinite(part).all() for part in (*solution, *gradients))


def test_wrong_arguments_are_named() -> None:
    tracks, weights = torch.zeros(2, 3, 5), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"covariance must have the shape"):
        vertex_fit(tracks, torch.zeros(2, 3, 4), weights)
    with pytest.raises(ValueError, match=r"weights of shape \[2, 4\] do not fit"):
        vertex_fit(tracks, torch.ones(2, 3, 5), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="choose exact or ndive"):
        vertex_fit(tracks, torch.ones(2, 3, 5), weights, mode="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="offsets must rise from 0 to the number of tracks, 3"):
        vertex_fit(tracks[0], torch.ones(3, 5), weights[0], offsets=torch.tensor([0, 7, 3]))
    for position in (torch.zeros(3, 3), torch.zeros(2, 2, 3)):
        with pytest.raises(ValueError, match=r"position of shape .* does not fit vertices of shape \[2, 3\]"):
            vertex_fit(tracks, torch.ones(2, 3, 5), weights, prior=Prior(position, torch.eye(3)))
    with pytest.raises(ValueError, match=r"the seed of shape .* does not fit vertices of shape \[2, 4, 3\]"):
        vertex_fit(tracks, torch.ones(2, 3, 5), torch.ones(2, 4, 3), seed=torch.zeros(2, 3, 3))
    elsewhere = torch.zeros(2, 3, device="meta")
    for one in ({"mask": elsewhere.bool()}, {"seed": elsewhere}, {"prior": Prior(elsewhere, torch.eye(3))}):
        with pytest.raises(ValueError, match=r"must lie on one device, not on cpu and meta"):
            vertex_fit(tracks, torch.ones(2, 3, 5), weights, **one)
    with pytest.raises(ValueError, match="one type, float32 or float64"):
        vertex_fit(tracks.double(), torch.ones(2, 3, 5), weights)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 1, 3)], ids=str)
def test_a_prior_may_be_shared_or_of_each_jet(implementation: str, shape: tuple[int, ...]) -> None:
    toys = make_toys(4, 5, seed=55)
    inputs = torch.tensor(toys.tracks), torch.tensor(toys.variances), torch.ones(4, 5, dtype=torch.float64)
    position, information = torch.full(shape, 0.1, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    found = vertex_fit(*inputs, prior=Prior(position, information.expand(*shape[:-1], 3, 3)), seed=position)
    axis = inputs[2].unsqueeze(1)
    expected = vertex_fit(*inputs[:2], axis, prior=Prior(position, information), seed=position)
    assert found.vertex.shape == (4, 3)
    assert torch.equal(found.vertex, expected.vertex[:, 0])
    assert torch.equal(found.momenta, expected.momenta[:, 0])


def test_a_prior_near_the_largest_number_warns_of_nothing(implementation: str) -> None:
    half = torch.full((1, 1, 5), 0.5, dtype=torch.float64)
    information = torch.full((3, 3), 0.5, dtype=torch.float64)
    information[0, 0] = 2.0**1023  # twice this is infinite
    prior = Prior(half[0, 0, :3].clone().requires_grad_(), information.requires_grad_())
    fit = vertex_fit(half, half, half[..., 0], torch.zeros(1, 1, dtype=torch.bool), prior=prior)
    for gradient in torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), prior):
        assert torch.isfinite(gradient).all()
