"""The fit against published numbers (mode ndive) and an independent solver (mode exact), with the tolerances of the
data's README.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit.api import Status, VertexFit, vertex_fit

FILES = ["ref_nominal", "ref_softmax"]


@dataclass(frozen=True)
class Limits:
    """In standard deviations (vertex, gradient) or relative (covariance, chi2)."""

    vertex: float
    gradient: float
    covariance: float
    covariance_of_two: float
    chi2: float
    chi2_of_two: float


CONVERGED = Limits(1e-10, 1e-10, 1e-9, 1e-9, 1e-9, 1e-9)
STOPPED = Limits(5e-3, 3e-3, 2e-3, 2e-3, 1e-5, 1e-5)
SINGLE = Limits(1e-3, 1e-3, 2e-3, 1e-1, 1e-2, 1e-2)
PUBLISHED = Limits(1e-5, 1e-5, 1e-5, 1e-5, 1e-7, 1e-3)
PUBLISHED_SINGLE = Limits(1e-3, 1e-3, 1e-3, 1e-1, 1e-2, 1e-2)


def fit(data: dict[str, np.ndarray], dtype: torch.dtype, mode: str, tolerance: float) -> tuple[VertexFit, torch.Tensor]:
    def tensor(key: str) -> torch.Tensor:
        return torch.tensor(data[key], dtype=dtype)

    weights = tensor("weights").requires_grad_()
    iterations = 60 if tolerance < 1e-12 else None
    result = vertex_fit(
        tensor("par"),
        tensor("sigma") ** 2,
        weights,
        torch.tensor(data["mask"]),
        mode=mode,
        tolerance=tolerance,
        max_iterations=iterations,
        seed=tensor("seed"),
        sandwich=False,
    )
    (gradient,) = torch.autograd.grad((result.vertex * tensor("cotangent")).sum(), weights)
    return result, gradient


def check(data: dict[str, np.ndarray], prefix: str, result: VertexFit, gradient: torch.Tensor, limits: Limits) -> None:
    expected = {key: data[f"{prefix}_{key}"] for key in ("vertex", "cov", "chi2", "vjp_w", "mom")}
    sd = np.sqrt(np.einsum("bii->bi", expected["cov"]))
    real, two = data["mask"], data["n"] == 2
    vertex = result.vertex.detach().double().cpu().numpy()
    assert (np.abs(vertex - expected["vertex"]) / sd).max() < limits.vertex
    scale = np.linalg.norm(sd * data["cotangent"], axis=1)[:, None]
    off = np.abs(gradient.double().cpu().numpy() - expected["vjp_w"]) * data["weights"] / scale
    assert off[real].max() < limits.gradient
    covariance = result.covariance.detach().double().cpu().numpy()
    relative = (np.abs(covariance - expected["cov"]) / (sd[:, :, None] * sd[:, None, :])).max(axis=(1, 2))
    assert relative[~two].max() < limits.covariance
    assert relative[two].max() < limits.covariance_of_two
    chi2 = result.chi2.detach().double().cpu().numpy()
    apart = np.abs(chi2 - expected["chi2"])
    assert (apart / expected["chi2"])[~two].max() < limits.chi2
    # Two tracks leave one degree of freedom: the smallest chi2 are compared in absolute terms.
    assert np.minimum(apart / expected["chi2"], apart * 10 * limits.chi2_of_two / 1e-2)[two].max() < limits.chi2_of_two
    momenta = result.momenta.detach().double().cpu().numpy()
    assert (np.abs(momenta - expected["mom"]) / data["sigma"][..., 2:])[real].max() < 50 * limits.vertex
    assert (momenta[~real] == 0).all()
    assert set(result.status.tolist()) == {int(Status.CONVERGED)}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("dtype", "mode", "tolerance", "limits"),
    [
        (torch.float64, "exact", 1e-24, CONVERGED),
        (torch.float64, "exact", 1e-8, STOPPED),
        (torch.float32, "exact", 1e-8, SINGLE),
        (torch.float64, "ndive", 1e-8, PUBLISHED),
        (torch.float32, "ndive", 1e-8, PUBLISHED_SINGLE),
    ],
    ids=["exact-converged", "exact-default", "exact-float32", "ndive", "ndive-float32"],
)
def test_agrees_with_the_reference_numbers(
    reference_data: Path,
    implementation: str,
    name: str,
    dtype: torch.dtype,
    mode: str,
    tolerance: float,
    limits: Limits,
) -> None:
    data = dict(np.load(reference_data / "vertex" / f"{name}.npz"))
    result, gradient = fit(data, dtype, mode, tolerance)
    check(data, "jax" if mode == "ndive" else "exact", result, gradient, limits)


def test_the_whole_derivative_of_the_vertex_agrees(reference_data: Path, native: str) -> None:
    data = dict(np.load(reference_data / "vertex" / "ref_nominal.npz"))
    sd = np.sqrt(np.einsum("bii->bi", data["exact_cov"]))
    for axis in range(3):
        data["cotangent"] = np.eye(3)[axis][None].repeat(len(sd), axis=0)
        _, gradient = fit(data, torch.float64, "exact", 1e-24)
        off = np.abs(gradient.numpy() - data["exact_dvdw"][:, axis]) * data["weights"] / sd[:, axis, None]
        assert off[data["mask"]].max() < 1e-10


def test_ragged_tracks_give_what_padded_ones_give(reference_data: Path, implementation: str) -> None:
    data = dict(np.load(reference_data / "vertex" / "ref_nominal.npz"))
    padded, _ = fit(data, torch.float64, "exact", 1e-8)
    real = data["mask"].reshape(-1)
    flat = [torch.tensor(data[key].reshape(len(real), -1)[real]) for key in ("par", "sigma", "weights")]
    offsets = torch.tensor(np.concatenate([[0], np.cumsum(data["mask"].sum(axis=1))]))
    seed = torch.tensor(data["seed"])
    ragged = vertex_fit(flat[0], flat[1] ** 2, flat[2].squeeze(1), offsets=offsets, seed=seed, sandwich=False)
    assert torch.equal(ragged.vertex, padded.vertex.detach())
    assert torch.equal(ragged.covariance, padded.covariance.detach())
    assert torch.equal(ragged.momenta, padded.momenta.detach().reshape(-1, 3)[real])
