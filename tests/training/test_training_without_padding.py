"""The losses of the flavour tagger and their gradients, with the real tracks alone and with padding."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.data.batches import Batch
from engine.graph import packing
from engine.graph.network import build_network
from engine.graph.plan import input_types, plan_network
from engine.spec.load import load_experiment
from engine.training.objectives import make_objectives
from engine.training.updates import compute_losses

TRACKS = [15, 0, 1, 2, 5, 3, 0, 7, 4, 2]


def batch(widths: dict[str, int]) -> Batch:
    """Jets with tracks from a displaced point, in the shapes of the spec."""
    generator = torch.Generator().manual_seed(2)
    jets, mask = len(TRACKS), torch.arange(15) < torch.tensor(TRACKS)[:, None]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    phi, theta = normal(jets, 15), math.pi / 2 + 0.3 * normal(jets, 15)
    d0 = torch.sin(phi) + 0.02 * normal(jets, 15)  # from (1, 0, 2) mm
    z0 = 2 + torch.cos(phi) / torch.tan(theta) + 0.02 * normal(jets, 15)
    inputs = {
        "perigee": torch.stack([d0, z0, phi, theta, 1e-4 * normal(jets, 15)], dim=2),
        "errors": torch.tensor([0.02, 0.02, 1e-3, 1e-3, 1e-6]).expand(jets, 15, 5).clone(),
        "tracks": normal(jets, 15, widths["tracks"]),
        "jet": normal(jets, widths["jet"]),
    }
    both = mask.unsqueeze(2) & mask.unsqueeze(1)
    targets = {
        "flavour": torch.arange(jets) % 3,
        "vertex": torch.where((torch.arange(jets) % 3 > 0)[:, None], torch.tensor([1.0, 0.0, 2.0]), math.nan),
        "origin": torch.where(mask, torch.randint(0, 4, mask.shape, generator=generator), -1),
        "same_vertex": torch.where(both, (normal(jets, 15, 15) > 0).float(), math.nan),
    }
    inputs = {name: x if x.dim() == 2 else x * mask.unsqueeze(2) for name, x in inputs.items()}
    masks = {name: mask.clone() for name in ("perigee", "errors", "tracks")}
    return Batch(inputs, masks, targets, {"weight": torch.ones(jets)}, np.arange(jets))


def test_losses_and_gradients_of_the_tagger_are_those_with_padding(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load_experiment(repository / "specs" / "ndive_ftag.yaml")
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    losses = experiment.training.losses
    objectives = {
        name: replace(each, incomplete=name != "flavour")
        for name, each in make_objectives(losses, plan.offers, experiment.data.targets).items()
    }
    jets = batch({name: value.features for name, value in plan.inputs.items()})
    results = []
    for most_real in (packing.MOST_REAL, 0.0):
        monkeypatch.setattr(packing, "MOST_REAL", most_real)
        network = build_network(plan, 1).train()
        found = compute_losses(network, objectives, {"jets": jets})
        sum(found.values()).backward()  # type: ignore[union-attr]
        results.append(({name: loss.item() for name, loss in found.items()}, dict(network.named_parameters())))
    (ours, our_network), (theirs, their_network) = results
    assert ours == pytest.approx(theirs, rel=1e-5)
    gradients = {name: parameter.grad for name, parameter in their_network.items() if parameter.grad is not None}
    assert gradients.keys() == their_network.keys()
    largest = max(each.abs().max().item() for each in gradients.values())
    for name, expected in gradients.items():
        found_here = our_network[name].grad
        torch.testing.assert_close(
            found_here, expected, rtol=1e-3, atol=1e-6 * largest, msg=lambda text, n=name: n + text
        )
