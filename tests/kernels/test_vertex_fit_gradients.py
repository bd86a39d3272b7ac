"""Gradients of vertex, covariance, chi2 and momenta: finite differences, and agreement of every implementation with
the oracle.
"""

from __future__ import annotations

import pytest
import torch
from engine_kernels.vertex_fit.api import Prior, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor


def case(full: bool, prior: bool, vertices: int, jets: int = 3, tracks: int = 4) -> tuple[list[Tensor], Tensor]:
    """Leaves in natural units (errors, millimetres) that are mapped to inputs by `fit`, and the mask."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(7)
    toys = make_toys(jets, tracks, seed=31)
    variances = torch.tensor(toys.variances)
    leaves = [torch.zeros(jets, tracks, 5, dtype=torch.float64), torch.ones(jets, tracks, 5, dtype=torch.float64)]
    if full:
        mix = torch.eye(5, dtype=torch.float64) + 0.2 * torch.randn(
            jets, tracks, 5, 5, generator=generator, dtype=torch.float64
        )
        leaves[1] = mix @ mix.mT
    shape = (jets, vertices, tracks) if vertices else (jets, tracks)
    leaves.append(0.2 + torch.rand(shape, generator=generator, dtype=torch.float64))
    if prior:
        spread = torch.randn(jets, 3, 3, generator=generator, dtype=torch.float64)
        leaves += [torch.tensor(toys.vertex) + 0.1, spread @ spread.mT + torch.eye(3, dtype=torch.float64)]
    mask = torch.ones(jets, tracks, dtype=torch.bool)
    mask[0, 1] = False
    case.base = torch.tensor(toys.tracks), variances.sqrt()  # type: ignore[attr-defined]
    return [leaf.requires_grad_() for leaf in leaves], mask


def fit(leaves: tuple[Tensor, ...], mask: Tensor, sandwich: bool = True) -> tuple[Tensor, ...]:
    """Vertex, covariance, chi2 and momenta of leaves whose steps of 1e-6 are small and not lost."""
    tracks, sd = case.base  # type: ignore[attr-defined]
    covariance = leaves[1] * sd**2 if leaves[1].dim() == 3 else leaves[1] * sd.unsqueeze(-1) * sd.unsqueeze(-2)
    prior = Prior(leaves[3], leaves[4]) if len(leaves) > 3 else None
    out = vertex_fit(
        tracks + leaves[0] * sd,
        covariance,
        leaves[2],
        mask,
        prior=prior,
        tolerance=1e-26,
        max_iterations=80,
        sandwich=sandwich,
    )
    assert (out.status == 0).all()
    return out.vertex, out.covariance, out.chi2, out.momenta * torch.tensor([100.0, 100.0, 1e5], dtype=torch.float64)


CASES = [
    pytest.param(False, False, 0, True, id="variances"),
    pytest.param(False, True, 2, True, id="variances-prior-two-vertices"),
    pytest.param(True, False, 0, True, id="matrices"),
    pytest.param(True, True, 0, False, id="matrices-prior-inverse"),
]


@pytest.mark.parametrize(("full", "prior", "vertices", "sandwich"), CASES)
def test_gradients_are_those_of_finite_differences(
    compiled: str, full: bool, prior: bool, vertices: int, sandwich: bool
) -> None:
    leaves, mask = case(full, prior, vertices)
    assert torch.autograd.gradcheck(
        lambda *inputs: fit(inputs, mask, sandwich), leaves, eps=1e-5, atol=2e-5, rtol=1e-5, nondet_tol=0.0
    )


@pytest.mark.parametrize(("full", "prior", "vertices", "sandwich"), CASES)
def test_all_implementations_have_the_gradients_of_the_oracle(
    compiled: str, monkeypatch: pytest.MonkeyPatch, full: bool, prior: bool, vertices: int, sandwich: bool
) -> None:
    def gradients() -> list[Tensor]:
        leaves, mask = case(full, prior, vertices, jets=30, tracks=7)
        generator = torch.Generator(torch.get_default_device()).manual_seed(3)
        out = fit(tuple(leaves), mask, sandwich)
        loss = sum((torch.randn(part.shape, generator=generator, dtype=torch.float64) * part).sum() for part in out)
        return list(torch.autograd.grad(loss, leaves))

    found = gradients()
    monkeypatch.setenv("ENGINE_KERNELS", "reference")
    for own, oracle in zip(found, gradients(), strict=True):
        assert torch.allclose(own, oracle, rtol=1e-6, atol=1e-7 * oracle.abs().max().item())


@pytest.mark.parametrize(("full", "prior", "vertices", "sandwich"), CASES)
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
@pytest.mark.parametrize("parts", [(0,), (2,), (0, 2), (0, 1, 2, 3)], ids=["vertex", "chi2", "both", "all"])
def test_weights_have_the_same_gradient_alone_and_with_the_others(
    compiled: str, full: bool, prior: bool, vertices: int, sandwich: bool, ragged: bool, parts: tuple[int, ...]
) -> None:
    """Alone, it comes from what the fit left behind; with the others, the tracks are linearised once more."""
    leaves, mask = case(full, prior, vertices, jets=40, tracks=6)
    tracks, sd = case.base  # type: ignore[attr-defined]
    covariance = leaves[1] * sd**2 if not full else leaves[1] * sd.unsqueeze(-1) * sd.unsqueeze(-2)
    inputs = [tracks.clone(), covariance.detach(), leaves[2].detach()]
    offsets = None
    if ragged:
        keep = torch.rand(40, 6, generator=torch.Generator(torch.get_default_device()).manual_seed(2)) < 0.7
        keep[3] = False
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), keep.sum(1).cumsum(0)])
        weights = inputs[2]
        inputs = [inputs[0][keep], inputs[1][keep], weights.movedim(1, 0)[:, keep] if vertices else weights[keep]]
        mask = mask[keep]
    constraint = Prior(*(leaf.detach() for leaf in leaves[3:])) if prior else None

    def gradient(alone: bool) -> Tensor:
        own = [value.clone().requires_grad_(index == 2 or not alone) for index, value in enumerate(inputs)]
        out = vertex_fit(*own, mask, offsets, constraint, sandwich=sandwich)
        generator = torch.Generator(torch.get_default_device()).manual_seed(5)
        loss = sum((torch.randn(out[k].shape, generator=generator, dtype=torch.float64) * out[k]).sum() for k in parts)
        return torch.autograd.grad(loss, own)[-1] if not alone else torch.autograd.grad(loss, own[2])[0]

    alone, together = gradient(True), gradient(False)
    assert together.abs().max() > 0
    assert torch.allclose(alone, together, rtol=1e-9, atol=1e-11 * together.abs().max().item())


def test_a_cotangent_that_is_not_finite_silences_its_problem_alone(compiled: str) -> None:
    toys = make_toys(3, 17, seed=43)
    weights = torch.full((3, 17), 0.5, dtype=torch.float64, requires_grad=True)
    out = vertex_fit(torch.tensor(toys.tracks), torch.tensor(toys.variances), weights)
    cotangents = torch.ones(3, 3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    (expected,) = torch.autograd.grad((out.vertex, out.chi2), weights, cotangents, retain_graph=True)
    cotangents[0][1, 2] = torch.nan
    cotangents[1][1] = torch.inf
    (found,) = torch.autograd.grad((out.vertex, out.chi2), weights, cotangents)
    assert (found[1] == 0).all()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


def test_a_weight_of_zero_has_a_gradient(compiled: str) -> None:
    leaves, mask = case(False, False, 0)
    with torch.no_grad():
        leaves[2][1, 2] = 0.0
    (zero,) = torch.autograd.grad(fit(tuple(leaves), mask)[0].sum(), leaves[2])
    with torch.no_grad():
        leaves[2][1, 2] = 1e-7
    (tiny,) = torch.autograd.grad(fit(tuple(leaves), mask)[0].sum(), leaves[2])
    assert zero[1, 2] != 0
    assert torch.allclose(zero[1], tiny[1], rtol=1e-4)


def test_float32_gradients_follow_float64(compiled: str) -> None:
    toys = make_toys(200, 6, seed=41)
    found = []
    for dtype in (torch.float64, torch.float32):
        inputs = [torch.tensor(array, dtype=dtype) for array in (toys.tracks, toys.variances)]
        weights = torch.full((200, 6), 0.7, dtype=dtype, requires_grad=True)
        out = vertex_fit(*inputs, weights, tolerance=1e-12)
        sd = torch.diagonal(out.covariance, dim1=-2, dim2=-1).sqrt().detach()
        found.append(torch.autograd.grad((out.vertex / sd).sum(), weights)[0].double())
    assert (found[0] - found[1]).abs().max() < 3e-3


def test_the_published_mode_differentiates_the_vertex_by_the_weights_alone(compiled: str) -> None:
    toys = make_toys(5, 4, seed=42)
    tracks, variances = (torch.tensor(array, requires_grad=True) for array in (toys.tracks, toys.variances))
    weights = torch.full((5, 4), 0.5, dtype=torch.float64, requires_grad=True)
    out = vertex_fit(tracks, variances, weights, mode="ndive")
    to_tracks, to_weights = torch.autograd.grad(out.vertex.sum(), [tracks, weights], retain_graph=True)
    assert (to_tracks == 0).all()
    assert (to_weights != 0).all()
    (other,) = torch.autograd.grad(out.chi2.sum() + out.covariance.sum(), weights)
    assert (other == 0).all()
