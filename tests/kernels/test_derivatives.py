"""Derivatives that the kernels do not have are refused, never zero: second ones, forward mode, those of torch.func."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from engine_kernels.extrapolate.api import extrapolate
from engine_kernels.sanitize.tensors import TensorSanitizer
from engine_kernels.sanitize.transforms import FeatureTransform
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.functional import jacobian

# which torch itself calls for forward mode
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

Case = tuple[Callable[[Tensor], Tensor], Tensor]


def fit_of_weights() -> Case:
    toys = make_toys(3, 4, seed=91)
    tracks, variances = torch.tensor(toys.tracks), torch.tensor(toys.variances)
    weights = torch.linspace(0.2, 1.0, 12, dtype=torch.float64).reshape(3, 4)
    return lambda given: vertex_fit(tracks, variances, given).vertex, weights


def fit_of_tracks() -> Case:
    toys = make_toys(3, 4, seed=91)
    variances, weights = torch.tensor(toys.variances), torch.ones(3, 4, dtype=torch.float64)
    return lambda given: vertex_fit(given, variances, weights).covariance, torch.tensor(toys.tracks)


def extrapolation() -> Case:
    toys = make_toys(3, 4, seed=92)
    points = torch.tensor(toys.vertex)
    return lambda given: extrapolate(given, points), torch.tensor(toys.tracks)


def transforms() -> Case:
    return TensorSanitizer([FeatureTransform(log1p=True), FeatureTransform(scale=2.0)]), torch.rand(3, 2)


FITS = pytest.mark.parametrize("make", [fit_of_weights, fit_of_tracks, extrapolation])
ALL = pytest.mark.parametrize("make", [fit_of_weights, fit_of_tracks, extrapolation, transforms])


@FITS
def test_a_second_derivative_is_refused_also_under_a_constant_cotangent(
    implementation: str, make: Callable[[], Case]
) -> None:
    function, start = make()
    given = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(given).sum(), given, create_graph=True)
    penalty = (gradient**2).sum() + given.sum()
    with pytest.raises(NotImplementedError, match="has first derivatives only: detach"):
        penalty.backward()


@FITS
def test_a_graph_of_the_gradients_may_be_asked_for_where_first_derivatives_are_used(
    implementation: str, make: Callable[[], Case]
) -> None:
    function, start = make()
    given, factor = start.clone().requires_grad_(), torch.ones((), dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(function(given).sum(), given)
    (gradient,) = torch.autograd.grad(function(given).sum(), given, create_graph=True)
    assert torch.equal(gradient.detach(), expected)
    (slope,) = torch.autograd.grad((gradient * factor).sum(), factor)
    assert torch.allclose(slope, expected.sum())
    gradient.mul_(2)  # as one scales a gradient in place
    assert torch.equal(gradient.detach(), 2 * expected)


@FITS
def test_jacobians_at_once_are_those_of_one_row_after_another(native: str, make: Callable[[], Case]) -> None:
    function, start = make()
    expected = jacobian(function, start)
    assert torch.allclose(jacobian(function, start, vectorize=True), expected, rtol=1e-12)
    assert torch.allclose(jacobian(function, start, vectorize=True, create_graph=True), expected, rtol=1e-12)


def test_the_transforms_of_features_have_second_derivatives() -> None:
    function, start = transforms()
    given = start.double().requires_grad_()
    (gradient,) = torch.autograd.grad(function(given).double().sum(), given, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), given)
    assert torch.allclose(second[:, 0], -((1 + start.double()[:, 0]) ** -2), rtol=1e-5)


@ALL
def test_forward_mode_is_refused(implementation: str, make: Callable[[], Case]) -> None:
    function, start = make()
    with pytest.raises(NotImplementedError, match="has no forward-mode derivatives"):
        torch.func.jvp(function, (start,), (torch.ones_like(start),))
    with forward_ad.dual_level():
        with pytest.raises(NotImplementedError, match="has no forward-mode derivatives"):
            function(forward_ad.make_dual(start, torch.ones_like(start)))
        assert torch.equal(function(start), function(start.clone()))


@FITS
def test_forward_mode_through_the_backward_pass_is_refused(native: str, make: Callable[[], Case]) -> None:
    function, start = make()
    given = start.clone().requires_grad_()
    out = function(given)
    with forward_ad.dual_level():
        cotangent = forward_ad.make_dual(torch.ones_like(out), torch.ones_like(out))
        with pytest.raises(NotImplementedError, match="has no forward-mode derivatives"):
            torch.autograd.grad(out, given, cotangent)


@ALL
def test_gradients_of_torch_func_are_refused_in_our_words(native: str, make: Callable[[], Case]) -> None:
    function, start = make()
    for transformed in (torch.func.grad(lambda given: function(given).sum()), torch.func.jacrev(function)):
        with pytest.raises(NotImplementedError, match=r"torch\.func .* do not go through"):
            transformed(start)


@FITS
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap_without_gradients_goes_through(native: str, make: Callable[[], Case]) -> None:
    function, start = make()
    assert torch.equal(torch.func.vmap(function)(torch.stack([start, start]))[1], function(start))


def test_in_place_the_gradient_is_not_lost_without_a_word() -> None:
    function = TensorSanitizer([FeatureTransform(scale=2.0)] * 2)
    doubled = torch.ones(3, 2, requires_grad=True) * 2
    with pytest.raises(ValueError, match="in place, values that require a gradient would lose it"):
        function.in_place(doubled)
    with torch.no_grad():
        assert (function.in_place(doubled) == 4).all()
