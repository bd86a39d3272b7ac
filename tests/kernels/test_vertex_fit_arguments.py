"""Arguments of the fit: settings out of range are named, a prior may be a plain pair, half precision costs no prior."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from engine_kernels.vertex_fit.api import Prior, vertex_fit
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor

ZEROS = torch.zeros(2, 3, 5), torch.ones(2, 3, 5), torch.ones(2, 3)


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    toys = make_toys(4, 5, seed=56)
    made = toys.tracks, toys.variances, np.linspace(0.2, 1.0, 20).reshape(4, 5)
    tracks, variances, weights = (torch.tensor(value, dtype=dtype) for value in made)
    return tracks, variances, weights


@pytest.mark.parametrize("name", ["threads", "max_iterations"])
@pytest.mark.parametrize("value", [0, -1, 2.0, 3.5, 2**40, "2"])
def test_counts_are_whole_numbers_in_range(implementation: str, name: str, value: Any) -> None:
    zeros = [given.to(torch.get_default_device()) for given in ZEROS]
    with pytest.raises(ValueError, match=rf"{name} must be a whole number from 1 to 2147483647, not {value!r}"):
        vertex_fit(*zeros, **{name: value})
    vertex_fit(*zeros, **{name: np.int32(2)})


def test_no_threads_are_named_too() -> None:
    with pytest.raises(ValueError, match="threads must be a whole number from 1 to 2147483647, not None"):
        vertex_fit(*ZEROS, threads=None)  # type: ignore[arg-type]


def test_a_prior_may_be_a_plain_pair() -> None:
    pair = torch.zeros(3), torch.eye(3)
    given = inputs(torch.float64)
    assert torch.equal(vertex_fit(*given, prior=pair).vertex, vertex_fit(*given, prior=Prior(*pair)).vertex)


@pytest.mark.parametrize("prior", [torch.eye(3), (torch.zeros(3),)])
def test_what_is_no_prior_is_named(prior: Any) -> None:
    expected = re.escape(f"prior must be Prior(position, information), not {type(prior).__name__}")
    with pytest.raises(ValueError, match=expected):
        vertex_fit(*ZEROS, prior=prior)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_leaves_the_prior_and_the_seed_their_digits(native: str, half: torch.dtype) -> None:
    tracks, variances, weights = inputs(torch.float32)
    prior = Prior(torch.tensor([0.01, 0.02, 50.03]), 1e5 * torch.eye(3))  # 1e5 is beyond the range of float16
    seed = torch.tensor([0.01, 0.02, 50.03])
    with torch.autocast("cpu", dtype=half):
        found = vertex_fit(tracks.to(half), variances, weights.to(half), prior=prior, seed=seed)
    expected = vertex_fit(tracks.to(half).float(), variances, weights.to(half).float(), prior=prior, seed=seed)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_mixed_precision_takes_no_whole_numbers(native: str) -> None:
    tracks, variances, weights = inputs(torch.float32)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(ValueError, match=r"must be floating-point numbers, not torch\.float32, torch\.int16"),
    ):
        vertex_fit(tracks.short(), variances, weights)
