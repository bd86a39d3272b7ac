"""What a vertex fit must obey without any reference: invariances, exact identities, independence of how it is
called.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit.api import Prior, VertexFit, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys, perigee_of
from torch import Tensor

TIGHT = {"tolerance": 1e-24, "max_iterations": 80}


def inputs(jets: int = 60, tracks: int = 6, seed: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    toys = make_toys(jets, tracks, seed=seed)
    weights = (
        torch.rand(
            jets, tracks, dtype=torch.float64, generator=torch.Generator(torch.get_default_device()).manual_seed(seed)
        )
        + 0.1
    )
    return torch.tensor(toys.tracks), torch.tensor(toys.variances), weights


def sigmas(fit: VertexFit) -> Tensor:
    return torch.diagonal(fit.covariance, dim1=-2, dim2=-1).sqrt()


def test_chi2_changes_with_a_weight_by_the_chi2_of_the_track(implementation: str) -> None:
    tracks, variances, weights = inputs()
    weights.requires_grad_()
    fit = vertex_fit(tracks, variances, weights, **TIGHT)
    (gradient,) = torch.autograd.grad(fit.chi2.sum(), weights, retain_graph=True)
    assert torch.allclose((weights * gradient).sum(-1), fit.chi2, rtol=1e-9)
    (moved,) = torch.autograd.grad((fit.vertex / sigmas(fit).detach()).sum(), weights)
    # Scaling all weights together moves nothing.
    assert (weights * moved).sum(-1).abs().max() < 1e-8


def test_the_scale_of_the_weights_does_not_matter(implementation: str) -> None:
    tracks, variances, weights = inputs()
    one, other = vertex_fit(tracks, variances, weights, **TIGHT), vertex_fit(tracks, variances, 1e-3 * weights, **TIGHT)
    assert ((one.vertex - other.vertex).abs() / sigmas(one)).max() < 1e-9
    assert torch.allclose(one.covariance, other.covariance, rtol=1e-8)
    assert torch.allclose(1e-3 * one.chi2, other.chi2, rtol=1e-9)
    inverse = vertex_fit(tracks, variances, 1e-3 * weights, sandwich=False, **TIGHT).covariance
    assert torch.allclose(
        inverse, 1e3 * vertex_fit(tracks, variances, weights, sandwich=False, **TIGHT).covariance, rtol=1e-8
    )


def test_rotating_the_tracks_rotates_the_vertex(implementation: str) -> None:
    tracks, variances, weights = inputs()
    turn = 1.234
    turned = tracks.clone()
    turned[..., 2] += turn + 2 * np.pi
    one, other = vertex_fit(tracks, variances, weights, **TIGHT), vertex_fit(turned, variances, weights, **TIGHT)
    c, s = np.cos(turn), np.sin(turn)
    rotation = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert ((one.vertex @ rotation.mT - other.vertex).abs() / sigmas(other)).max() < 1e-8
    assert torch.allclose(rotation @ one.covariance @ rotation.mT, other.covariance, rtol=1e-7, atol=1e-12)
    assert torch.allclose(one.chi2, other.chi2, rtol=1e-8)


def test_a_mirror_image_has_the_mirrored_vertex(implementation: str) -> None:
    tracks, variances, weights = inputs()
    mirrored = tracks * torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)  # y -> -y
    one, other = vertex_fit(tracks, variances, weights, **TIGHT), vertex_fit(mirrored, variances, weights, **TIGHT)
    flip = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    assert ((one.vertex * flip - other.vertex).abs() / sigmas(one)).max() < 1e-9


def test_the_order_of_the_tracks_does_not_matter(implementation: str) -> None:
    tracks, variances, weights = inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    one = vertex_fit(tracks, variances, weights, **TIGHT)
    other = vertex_fit(tracks[:, order], variances[:, order], weights[:, order], **TIGHT)
    assert ((one.vertex - other.vertex).abs() / sigmas(one)).max() < 1e-9
    assert torch.allclose(one.momenta[:, order], other.momenta, rtol=1e-10)


def test_the_seed_does_not_matter(implementation: str) -> None:
    tracks, variances, weights = inputs()
    one = vertex_fit(tracks, variances, weights, tolerance=1e-14, max_iterations=60)
    for shift in ([1.0, 0.0, 0.0], [0.0, 20.0, 0.0], [-5.0, 5.0, 20.0]):
        seed = one.vertex + torch.tensor(shift, dtype=torch.float64)
        other = vertex_fit(tracks, variances, weights, seed=seed, tolerance=1e-14, max_iterations=60)
        assert ((one.vertex - other.vertex).abs() / sigmas(one)).max() < 1e-6


def test_a_strong_prior_wins_and_a_weak_one_does_not_matter(implementation: str) -> None:
    tracks, variances, weights = inputs()
    position = torch.tensor([0.3, -0.2, 5.0], dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    free = vertex_fit(tracks, variances, weights, **TIGHT)
    strong = vertex_fit(tracks, variances, weights, prior=Prior.of(position, 1e-12 * eye), **TIGHT)
    weak = vertex_fit(tracks, variances, weights, prior=Prior(position, 1e-14 * eye), **TIGHT)
    assert (strong.vertex - position).abs().max() < 1e-6
    assert ((weak.vertex - free.vertex).abs() / sigmas(free)).max() < 1e-6


def test_a_prior_is_worth_what_the_tracks_it_replaces_were() -> None:
    tracks, variances, _ = inputs(tracks=8)
    ones = torch.ones(tracks.shape[:2], dtype=torch.float64)
    whole = vertex_fit(tracks, variances, ones, **TIGHT)
    half = vertex_fit(tracks[:, :4], variances[:, :4], ones[:, :4], **TIGHT)
    prior = Prior(half.vertex, torch.linalg.inv(half.covariance))
    rest = vertex_fit(tracks[:, 4:], variances[:, 4:], ones[:, 4:], prior=prior, **TIGHT)
    assert ((rest.vertex - whole.vertex).abs() / sigmas(whole)).max() < 0.05
    assert torch.allclose(rest.chi2 + half.chi2, whole.chi2, rtol=0.02, atol=0.02)


def test_one_track_and_a_jet_axis_meet_on_the_axis(implementation: str) -> None:
    toys = make_toys(20, 1, seed=4)
    direction = torch.tensor(toys.vertex) / torch.tensor(toys.vertex).norm(dim=-1, keepdim=True)
    across = torch.eye(3, dtype=torch.float64) - direction.unsqueeze(-1) * direction.unsqueeze(-2)
    prior = Prior(torch.zeros(20, 3, dtype=torch.float64), across * 1e4)
    weights = torch.ones(20, 1, dtype=torch.float64)
    fit = vertex_fit(
        torch.tensor(toys.true_tracks),
        torch.tensor(toys.variances),
        weights,
        prior=prior,
        tolerance=1e-20,
        max_iterations=60,
    )
    found = fit.status == 0
    assert found.float().mean() > 0.8
    sd = (fit.covariance @ direction.unsqueeze(-1)).squeeze(-1).mul(direction).sum(-1).sqrt()
    along = ((fit.vertex - torch.tensor(toys.vertex)) * direction).sum(-1)
    assert (along.abs() / sd)[found].max() < 1e-2


def test_vertices_of_a_jet_are_fits_of_their_own(implementation: str) -> None:
    tracks, variances, weights = inputs()
    both = torch.stack([weights, weights.flip(-1)], dim=1)
    together = vertex_fit(tracks, variances, both)
    for k in range(2):
        alone = vertex_fit(tracks, variances, both[:, k])
        assert torch.equal(together.vertex[:, k], alone.vertex)
        assert torch.equal(together.momenta[:, k], alone.momenta)


def test_a_matrix_with_the_variances_on_its_diagonal_is_the_same(implementation: str) -> None:
    tracks, variances, weights = inputs()
    one = vertex_fit(tracks, variances, weights, **TIGHT)
    other = vertex_fit(tracks, torch.diag_embed(variances), weights, **TIGHT)
    assert ((one.vertex - other.vertex).abs() / sigmas(one)).max() < 1e-10
    assert torch.allclose(one.covariance, other.covariance, rtol=1e-9)


@pytest.mark.parametrize("opening", [1e-2, 1e-3, 1e-4])
def test_narrow_pairs_keep_their_vertex_and_error(implementation: str, opening: float) -> None:
    vertex = np.array([6.0, 8.0, 5.0])
    # Circles of one radius: of two, a narrow pair would cross a second time nearby.
    momenta = np.array([[0.9 + opening / 2, 1.1, 3e-4], [0.9 - opening / 2, 1.1, 3e-4]])
    tracks = torch.tensor(perigee_of(vertex, momenta)).unsqueeze(0)
    variances = torch.tensor([0.02, 0.05, 1e-6, 1e-6, 1e-7], dtype=torch.float64).square().expand(1, 2, 5).clone()
    ones = torch.ones(1, 2, dtype=torch.float64)
    fit = vertex_fit(tracks, variances, ones, tolerance=1e-18, max_iterations=100)
    assert (fit.status == 0).all()
    assert ((fit.vertex - torch.tensor(vertex)).abs() / sigmas(fit)).max() < 2e-2
    along = torch.tensor([np.cos(0.9), np.sin(0.9)], dtype=torch.float64)
    transverse = np.hypot(0.02 / np.sqrt(2), 0) * 2 / opening  # two lines that cross at this angle
    sd = (along @ fit.covariance[0, :2, :2] @ along).sqrt()
    assert abs(sd / transverse - 1) < 0.2


def test_results_do_not_depend_on_threads_or_neighbours(native: str) -> None:
    jets = 1000  # fewer are not worth a second thread
    tracks, variances, weights = inputs(jets=jets)
    weights.requires_grad_()
    found = []
    for threads, order in ((1, torch.arange(jets)), (3, torch.arange(jets)), (1, torch.arange(jets - 1, -1, -1))):
        fit = vertex_fit(tracks[order], variances[order], weights[order], threads=threads)
        (gradient,) = torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), weights)
        back = torch.argsort(order)
        found.append([fit.vertex[back], fit.covariance[back], fit.chi2[back], fit.momenta[back], gradient])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_instruction_set_gives_the_same_bits(native: str, dtype: torch.dtype) -> None:
    from engine_kernels.backends import native_module

    set_level = native_module().vertex_fit_level
    tracks, variances, weights = (tensor.to(dtype) for tensor in inputs(jets=101, tracks=9))
    matrices = torch.diag_embed(variances)
    found = []
    try:
        for level in range(3):
            if set_level(level) != level:
                continue
            row = []
            for covariance in (variances, matrices):
                leaves = [tensor.clone().requires_grad_() for tensor in (tracks, covariance, weights)]
                fit = vertex_fit(*leaves)
                loss = fit.vertex.sum() + fit.chi2.sum() + fit.covariance.sum() + fit.momenta.sum()
                row += [*fit, *torch.autograd.grad(loss, leaves)]
                alone = weights.clone().requires_grad_()
                fit = vertex_fit(tracks, covariance, alone)
                row += torch.autograd.grad(fit.vertex.sum() + fit.chi2.sum(), alone)
            found.append(row)
    finally:
        set_level(-1)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
