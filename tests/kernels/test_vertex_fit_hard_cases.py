"""Problems on which a plain iteration fails or misleads: narrow jets, priors that leave a line open, extreme weights,
covariances that are none.
"""

from __future__ import annotations

import pytest
import torch
from engine_kernels.vertex_fit.api import Prior, Status, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor


def narrow(jets: int, tracks: int, cone: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    toys = make_toys(jets, tracks, seed=1, cone=cone)
    return (
        torch.tensor(toys.tracks, dtype=dtype),
        torch.tensor(toys.variances, dtype=dtype),
        torch.ones(jets, tracks).to(dtype),
    )


def lines(jets: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Directions (B, 3) and the information (B, 3, 3) of lines along them."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(3)
    d = torch.nn.functional.normalize(torch.randn(jets, 3, dtype=torch.float64, generator=generator), dim=-1)
    d = d[d[:, 2].abs() < 0.99]
    return d.to(dtype), (200 * (torch.eye(3, dtype=torch.float64) - d.unsqueeze(-1) * d.unsqueeze(-2))).to(dtype)


@pytest.mark.parametrize(("cone", "tracks", "most"), [(0.12, 2, 0), (1e-2, 2, 20), (1e-3, 3, 150)])
def test_nearly_parallel_tracks_find_their_vertex(implementation: str, cone: float, tracks: int, most: int) -> None:
    """Without shorter steps 76 and 793 of 4000 do not, and leave for 1e23 mm."""
    fit = vertex_fit(*narrow(4000, tracks, cone))
    assert int((fit.status != Status.CONVERGED).sum()) <= most
    assert not (fit.status == Status.SINGULAR).any()
    assert float(fit.vertex.abs().max()) < 1e4


def test_steps_that_are_called_back_end_at_the_minimum(implementation: str) -> None:
    """The jet that swings about its minimum; chi2 by a damped Newton's method on vertex and momenta."""
    tracks, variances, weights = (value[1783:1784] for value in narrow(20000, 2, 0.12))
    fit = vertex_fit(tracks, variances, weights, max_iterations=60)
    assert fit.status.item() == Status.CONVERGED
    assert fit.chi2.item() == pytest.approx(0.62234356, abs=1e-5)


def test_who_does_not_arrive_stays_at_the_best_point_seen(implementation: str) -> None:
    inputs = narrow(500, 2, 1e-3)
    few, more = (vertex_fit(*inputs, max_iterations=most) for most in (6, 20))
    both = (few.status == Status.NOT_CONVERGED) & (more.status == Status.NOT_CONVERGED)
    assert int(both.sum()) > 10
    assert (more.chi2 <= 1.03 * few.chi2 + 2e-3)[both].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_jet_does_not_depend_on_its_padding(implementation: str, dtype: torch.dtype) -> None:
    tracks, variances, weights = narrow(2000, 2, 1e-3, dtype)
    alone = vertex_fit(tracks, variances, weights)

    def padded(value: Tensor) -> Tensor:
        return torch.cat([value, torch.full_like(value[:, :1], torch.nan)], dim=1)

    mask = torch.tensor([True, True, False]).expand(2000, 3)
    beside = vertex_fit(padded(tracks), padded(variances), padded(weights), mask)
    if implementation == "reference":  # its sums over tracks may be ordered otherwise
        assert ((alone.status == beside.status).double().mean() > 0.99).item()
    else:
        assert torch.equal(alone.vertex, beside.vertex)
        assert torch.equal(alone.status, beside.status)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_line_alone_is_no_vertex(implementation: str, dtype: torch.dtype) -> None:
    d, information = lines(500, dtype)
    none = torch.zeros(len(d), 0, 5, dtype=dtype)
    weights = torch.zeros(len(d), 0, dtype=dtype)
    fit = vertex_fit(none, none, weights, prior=Prior(d, information))
    assert (fit.status == Status.SINGULAR).all()
    weak = information + 0.02 * torch.eye(3, dtype=dtype)
    assert (vertex_fit(none, none, weights, prior=Prior(d, weak)).status == Status.CONVERGED).all()
    spot = torch.diag(torch.tensor([1e4, 1e4, 6e-4], dtype=dtype))
    fit = vertex_fit(none, none, weights, prior=Prior(d, spot))
    assert (fit.status == Status.CONVERGED).all()
    torch.testing.assert_close(fit.covariance[0], torch.linalg.inv(spot), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_track_along_a_line_is_no_vertex(implementation: str, dtype: torch.dtype) -> None:
    d, information = lines(500, dtype)
    tracks = torch.zeros(len(d), 1, 5, dtype=dtype)
    tracks[:, 0, 2], tracks[:, 0, 3], tracks[:, 0, 4] = torch.atan2(d[:, 1], d[:, 0]), torch.acos(d[:, 2]), 3e-4
    variances = torch.tensor([4e-4, 1e-3, 1e-6, 1e-6, 1e-12], dtype=dtype).expand(len(d), 1, 5)
    leaves = [
        tracks.requires_grad_(),
        variances.clone().requires_grad_(),
        torch.ones_like(tracks[..., 0]).requires_grad_(),
    ]
    fit = vertex_fit(*leaves, prior=Prior(torch.zeros(3, dtype=dtype), information))
    assert (fit.status == Status.SINGULAR).all()
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), leaves))
    across = information.roll(1, 0)
    fit = vertex_fit(*(leaf.detach() for leaf in leaves), prior=Prior(torch.zeros(3, dtype=dtype), across))
    assert ((fit.status == Status.CONVERGED).double().mean() > 0.9).item()


def test_a_prior_whose_place_is_not_finite_counts_as_none(implementation: str) -> None:
    toys = make_toys(3, 5, seed=4)
    inputs = torch.tensor(toys.tracks), torch.tensor(toys.variances), torch.ones(3, 5, dtype=torch.float64)
    position = torch.full((3,), torch.nan, dtype=torch.float64, requires_grad=True)
    information = (1e4 * torch.eye(3, dtype=torch.float64)).requires_grad_()
    fit = vertex_fit(*inputs, prior=Prior(position, information))
    torch.testing.assert_close(fit.vertex, vertex_fit(*inputs).vertex)
    for gradient in torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), (position, information)):
        assert (gradient == 0).all()


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 25), (torch.float64, 250)], ids=["float32", "float64"])
def test_the_covariance_does_not_depend_on_the_scale_of_the_weights(
    implementation: str, dtype: torch.dtype, most: int
) -> None:
    toys = make_toys(50, 5, seed=6)
    tracks, variances = torch.tensor(toys.tracks, dtype=dtype), torch.tensor(toys.variances, dtype=dtype)
    one = vertex_fit(tracks, variances, torch.ones(50, 5, dtype=dtype))
    for exponent in (-most, -most // 2, most // 2, most):
        fit = vertex_fit(tracks, variances, torch.full((50, 5), 10.0**exponent, dtype=dtype))
        assert (fit.status == Status.CONVERGED).all()
        torch.testing.assert_close(
            fit.covariance, one.covariance, rtol=2e-3, atol=1e-3 * one.covariance.abs().max().item()
        )


@pytest.mark.parametrize("correlation", [1.0, 1.5])
def test_a_covariance_that_is_none_loses_its_track_alone(implementation: str, correlation: float) -> None:
    toys = make_toys(50, 5, seed=7)
    tracks, covariance = torch.tensor(toys.tracks), torch.diag_embed(torch.tensor(toys.variances))
    weights, mask = torch.ones(50, 5, dtype=torch.float64), torch.ones(50, 5, dtype=torch.bool)
    mask[:, 2] = False
    expected = vertex_fit(tracks, covariance, weights, mask)
    both = correlation * (covariance[:, 2, 0, 0] * covariance[:, 2, 1, 1]).sqrt()
    covariance[:, 2, 0, 1] = covariance[:, 2, 1, 0] = both
    found = vertex_fit(tracks, covariance, weights)
    assert torch.equal(found.status, expected.status)
    torch.testing.assert_close(found.vertex, expected.vertex)
    assert (found.chi2 >= 0).all()
