"""The networks of jets and vertices: published parameter counts, and that gradients go where they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor

from engine.graph.network import Network, build_network
from engine.graph.plan import Plan, input_types, plan_network
from engine.spec.load import load_experiment


def plan_of(specs: Path, name: str) -> Plan:
    experiment = load_experiment(specs / f"{name}.yaml")
    return plan_network(experiment.model, input_types(experiment.data), experiment.conventions)


@pytest.mark.parametrize(
    ("name", "count"),
    [("ndive", 17_569), ("ndive_ftag", 66_938), ("ndive_ftag/none", 37_049), ("ndive_ftag/true_vertex", 49_369)],
)
def test_published_parameter_counts(repository: Path, name: str, count: int) -> None:
    """arXiv 2310.12804: 17,569 for NDIVE, 37,049 and 66,938 for the tagger without and with it; nothing is fixed."""
    assert plan_of(repository / "specs", name).counts == (count, 0)


def batch(network: Network, jets: int = 40) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Inputs of the tagger, masks and true vertices."""
    types = network.plan.inputs
    toys = make_toys(jets, 15, seed=5)
    mask = torch.arange(15) < torch.randint(1, 16, (jets, 1), generator=torch.Generator().manual_seed(3))
    inputs = {name: torch.randn(jets, *types[name].shape) for name in types}
    inputs["perigee"] = torch.from_numpy(toys.tracks).float() * mask.unsqueeze(-1)
    inputs["errors"] = torch.from_numpy(toys.variances).float().sqrt() * mask.unsqueeze(-1)
    return inputs, {name: mask for name, value in types.items() if value.masked}, torch.from_numpy(toys.vertex).float()


def test_the_flavour_teaches_the_vertexer_through_the_fit(repository: Path) -> None:
    network = build_network(plan_of(repository / "specs", "ndive_ftag"), 1)
    inputs, masks, vertex = batch(network)
    values = network(inputs, masks, ["flavour.logits", "vertex.position", "same_vertex"])
    assert values["same_vertex"].shape == (40, 15, 15, 1)
    values["flavour.logits"].square().sum().backward()
    gradients = [each.grad for each in network.parameters_of(["track_score"])]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert max(gradient.abs().max() for gradient in gradients if gradient is not None) > 0
    several = masks["perigee"].sum(1) > 4
    assert (values["vertex.position"] - vertex)[several].abs().median() < 0.2  # all are from one vertex


def test_the_vertex_does_not_vanish_with_the_scale_of_the_scores(repository: Path) -> None:
    """The fit has no scale of the weights, so nothing holds the scores: a training may move all of a jet."""
    network = build_network(plan_of(repository / "specs", "ndive"), 1)
    inputs, masks, _ = batch(network)
    names, bias = ["vertex.position", "vertex.chi2"], network.parameters_of(["track_score"])[-1]
    before = network(inputs, masks, names)
    with torch.no_grad():
        bias -= 500
    after = network(inputs, masks, names)
    several = masks["perigee"].sum(1) > 2
    for name in names:
        torch.testing.assert_close(after[name][several], before[name][several], atol=1e-3, rtol=1e-3)
    after["vertex.position"].sum().backward()
    first, *_ = network.parameters_of(["track_score"])
    assert first.grad is not None
    assert first.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["ndive", "ndive_ftag", "ndive_ftag/none", "ndive_ftag/true_vertex"])
def test_padding_and_the_order_of_the_tracks_have_no_say(repository: Path, name: str) -> None:
    network = build_network(plan_of(repository / "specs", name), 1).eval()
    inputs, masks, _ = batch(network)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    moved = {
        key: torch.where(masks[key].unsqueeze(-1), value, 7.0)[:, order] if key in masks else value
        for key, value in inputs.items()
    }
    output = "vertex.position" if name == "ndive" else "flavour"
    first = network(inputs, masks, [output])[output]
    second = network(moved, {key: mask[:, order] for key, mask in masks.items()}, [output])[output]
    good = masks["perigee"].sum(1) > 2
    torch.testing.assert_close(first[good], second[good], atol=2e-3, rtol=2e-3)
