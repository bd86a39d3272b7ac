"""Vertex fit and extrapolation inside of a network: values, gradients, masks, precision, ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.toys import make_toys, perigee_of
from torch import Tensor, nn

from engine.graph.modules.helices import information, spread
from engine.graph.network import Network
from engine.graph.types import TensorType
from engine.spec.resources import folder

MakeNetwork = Callable[..., Network]

OBJECTS = 8
INPUTS = {
    "perigee": TensorType((OBJECTS, 5), masked=True),
    "errors": TensorType((OBJECTS, 5), masked=True),
    "scores": TensorType((OBJECTS, 1), masked=True),
    "spot": TensorType((3,)),
    "spot_errors": TensorType((3,)),
}
FIT = """
graph:
  weight: {from: scores, layers: [activation: sigmoid]}
  vertex: {from: {tracks: perigee, errors: errors, weights: weight}, layers: [vertex_fit]}
  displaced: {from: {tracks: perigee, to: vertex.position}, layers: [extrapolate]}
  out: {from: displaced.perigee, layers: [mean_pool, dense: 2]}
"""


def jets(count: int, seed: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Inputs, masks and true vertices; the first jet has no track, the second one."""
    toys = make_toys(count, OBJECTS, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(count, OBJECTS, generator=generator) < 0.7
    mask[0] = False
    mask[1] = torch.arange(OBJECTS) == 2
    real = mask.unsqueeze(-1)
    tensors = {
        "perigee": torch.where(real, torch.from_numpy(toys.tracks).float(), 0.0),
        "errors": torch.where(real, torch.from_numpy(np.sqrt(toys.variances)).float(), 0.0),
        "scores": torch.randn(count, OBJECTS, 1, generator=generator),
        "spot": torch.zeros(count, 3),
        "spot_errors": torch.full((count, 3), 0.01),
    }
    return tensors, dict.fromkeys(("perigee", "errors", "scores"), mask), torch.from_numpy(toys.vertex).float()


def test_the_outputs_are_those_of_the_kernel(make_network: MakeNetwork) -> None:
    network = make_network(FIT, INPUTS)
    inputs, masks, _ = jets(50)
    names = [f"vertex.{name}" for name in ("position", "covariance", "chi2", "momenta", "status")]
    values = network(inputs, masks, names)
    weights = torch.sigmoid(inputs["scores"])[..., 0]
    expected = vertex_fit(inputs["perigee"], inputs["errors"] ** 2, weights, masks["perigee"])
    torch.testing.assert_close(values[names[0]], expected.vertex)
    torch.testing.assert_close(values[names[1]], expected.covariance.flatten(-2))
    torch.testing.assert_close(values[names[2]][:, 0], expected.chi2)
    torch.testing.assert_close(values[names[3]], expected.momenta)
    assert torch.equal(values[names[4]][:, 0], expected.status.float())
    assert [network.plan.outputs[name].shape for name in names] == [(3,), (9,), (1,), (OBJECTS, 3), (1,)]


def test_positions_are_where_the_tracks_come_from(make_network: MakeNetwork) -> None:
    """Mean over its error of 1 a coordinate, with as many degrees of freedom as tracks give."""
    text = "graph: {vertex: {from: {tracks: perigee, errors: errors}, layers: [vertex_fit: {precision: float64}]}}"
    network = make_network(text, INPUTS)
    inputs, masks, true = jets(3000)
    values = network(inputs, masks, ["vertex.position", "vertex.covariance", "vertex.status"])
    good = (masks["perigee"].sum(1) >= 3) & (values["vertex.status"][:, 0] == 0)
    variance = values["vertex.covariance"].reshape(-1, 3, 3).diagonal(dim1=1, dim2=2)
    pulls = ((values["vertex.position"] - true) / variance.sqrt())[good]
    assert good.sum() > 2500
    assert pulls.std(0) == pytest.approx(np.ones(3), abs=0.05)


def test_fits_without_a_unique_point_are_finite_and_have_no_gradient(make_network: MakeNetwork) -> None:
    network = make_network(FIT, INPUTS).train()
    inputs, masks, _ = jets(20)
    inputs["scores"].requires_grad_()
    values = network(inputs, masks, ["vertex.position", "vertex.chi2", "vertex.covariance", "vertex.status", "out"])
    sum(value.square().sum() for value in values.values()).backward()
    gradient = inputs["scores"].grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert torch.equal(values["vertex.status"][:2, 0], torch.tensor([2.0, 2.0]))
    assert torch.count_nonzero(gradient[:2]) == 0
    assert torch.count_nonzero(gradient[~masks["scores"]]) == 0
    assert (gradient[2:][masks["scores"][2:]] != 0).float().mean() > 0.9
    assert all(torch.isfinite(value).all() for value in values.values())


def test_gradients_of_the_weights_are_those_of_small_steps(make_network: MakeNetwork) -> None:
    text = FIT.replace("[vertex_fit]", "[vertex_fit: {precision: float64, tolerance: 1.0e-14}]")
    network = make_network(text, INPUTS).double()
    inputs, masks, _ = jets(6)
    inputs = {name: value.double() for name, value in inputs.items()}

    def far(scores: Tensor) -> Tensor:
        weights = torch.sigmoid(scores)
        node = network.nodes["vertex"]
        known: dict[str, Any] = {name: (value, masks.get(name)) for name, value in inputs.items()}
        return node({**known, "weight": (weights, masks["scores"])}, inputs["spot"])["vertex.chi2"][0].double()

    scores = inputs["scores"].requires_grad_()
    (gradient,) = torch.autograd.grad(far(scores).sum(), scores)
    for jet, track in ((2, 0), (3, 1), (4, 5)):
        step = torch.zeros_like(scores)
        step[jet, track] = 1e-2
        with torch.no_grad():
            slope = ((far(scores + step) - far(scores - step)).sum() / 2e-2).item()
        assert slope == pytest.approx(gradient[jet, track].item(), rel=2e-3, abs=2e-3)


def test_a_prior_holds_what_the_tracks_leave_open(make_network: MakeNetwork) -> None:
    text = """
    graph:
      vertex:
        from: {errors: errors, tracks: perigee, prior: spot, prior_errors: spot_errors}
        layers: [vertex_fit]
    """
    inputs, masks, _ = jets(10)
    values = make_network(text, INPUTS)(inputs, masks, ["vertex.position", "vertex.covariance", "vertex.status"])
    assert torch.equal(values["vertex.position"][0], torch.zeros(3))
    torch.testing.assert_close(values["vertex.covariance"][0].reshape(3, 3), torch.eye(3) * 1e-4)
    assert values["vertex.status"][1] == 0


def test_several_vertices_are_fitted_with_a_weight_each(make_network: MakeNetwork) -> None:
    text = """
    graph:
      weights: {from: scores, layers: [dense: {units: 2, activation: sigmoid}]}
      both: {from: {tracks: perigee, errors: errors, weights: weights}, layers: [vertex_fit]}
      first: {from: {tracks: perigee, errors: errors, weights: {from: weights, select: 0}}, layers: [vertex_fit]}
    """
    network = make_network(text, INPUTS)
    inputs, masks, _ = jets(10)
    values = network(inputs, masks, ["both.position", "both.momenta", "first.position", "first.momenta"])
    assert values["both.position"].shape == (10, 2, 3)
    torch.testing.assert_close(values["both.position"][:, 0], values["first.position"])
    torch.testing.assert_close(values["both.momenta"][..., :3], values["first.momenta"])


def test_positions_may_have_an_end(make_network: MakeNetwork) -> None:
    network = make_network(FIT.replace("[vertex_fit]", "[vertex_fit: {clip: 2.5}]"), INPUTS)
    inputs, masks, _ = jets(50)
    position = network(inputs, masks, ["vertex.position"])["vertex.position"]
    assert position.abs().max() == 2.5


def test_tracks_end_where_they_began(make_network: MakeNetwork) -> None:
    """About their own vertex, tracks without errors have d0 = z0 = 0 and come closest to it there."""
    toys = make_toys(30, OBJECTS, seed=4)
    text = "graph: {out: {from: {tracks: perigee, to: spot}, layers: [extrapolate: {precision: float64}]}}"
    mask = torch.ones(30, OBJECTS, dtype=torch.bool)
    mask[:, 5] = False
    vertex = torch.from_numpy(toys.vertex)
    tracks = torch.from_numpy(perigee_of(toys.vertex[:, None], toys.momenta))
    network = make_network(text, INPUTS)
    values = network({"perigee": tracks, "spot": vertex}, {"perigee": mask}, ["out.perigee", "out.point"])
    assert values["out.perigee"][..., :2].abs().max() < 1e-6
    expected = torch.where(mask.unsqueeze(-1), vertex.unsqueeze(1), 0.0).float()
    torch.testing.assert_close(values["out.point"], expected.expand(30, OBJECTS, 3))
    momenta = torch.from_numpy(toys.momenta).float()[mask]
    torch.testing.assert_close(values["out.perigee"][mask][:, 2:], momenta, atol=1e-6, rtol=1e-6)


def test_mixed_precision_does_not_reach_the_fit(make_network: MakeNetwork) -> None:
    """Weights that arrive with eight bits give what the same weights give in float32, and gradients come back."""
    network = make_network(FIT.replace("activation: sigmoid", "dense: {units: 1, activation: sigmoid}"), INPUTS)
    inputs, masks, _ = jets(40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = network(inputs, masks, ["weight", "vertex.position", "displaced.perigee", "out"])
    expected = vertex_fit(inputs["perigee"], inputs["errors"] ** 2, values["weight"][..., 0].float(), masks["perigee"])
    torch.testing.assert_close(values["vertex.position"], expected.vertex)
    assert {values["vertex.position"].dtype, values["displaced.perigee"].dtype} == {torch.float32}
    values["out"].float().sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in network.parameters() if each.grad is not None)


class Flat(nn.Module):
    """The network with inputs and masks as tensors of their own."""

    def __init__(self, network: Network, outputs: list[str]) -> None:
        super().__init__()
        self.network, self.outputs = network.eval(), outputs

    def forward(self, perigee: Tensor, errors: Tensor, scores: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        inputs = {"perigee": perigee, "errors": errors, "scores": scores}
        values = self.network(inputs, dict.fromkeys(inputs, mask), self.outputs)
        return tuple(values[name] for name in self.outputs)


def test_the_compiler_finds_no_graph_break(make_network: MakeNetwork) -> None:
    module = Flat(make_network(FIT, INPUTS), ["vertex.position", "out"])
    inputs, masks, _ = jets(12)
    arguments = (inputs["perigee"], inputs["errors"], inputs["scores"], masks["perigee"])
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    for found, expected in zip(compiled(*arguments), module(*arguments), strict=True):
        torch.testing.assert_close(found, expected)


def operations(graph: onnx.GraphProto) -> set[str]:
    """The operations of a graph and of the graphs within it."""
    inner = [part.g for node in graph.node for part in node.attribute if part.type == onnx.AttributeProto.GRAPH]
    return {node.op_type for node in graph.node}.union(*map(operations, inner))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["exact", "ndive"])
def test_onnx_gives_what_the_kernel_gives(make_network: MakeNetwork, tmp_path: Path, precision: str, mode: str) -> None:
    """Traced with one batch, right for others; positions to a thousandth of their errors."""
    onnxruntime = pytest.importorskip("onnxruntime")
    text = FIT.replace("[vertex_fit]", f"[vertex_fit: {{precision: {precision}, mode: {mode}}}]")
    text = text.replace("[extrapolate]", f"[extrapolate: {{precision: {precision}}}]")
    names = ["vertex.position", "vertex.covariance", "vertex.chi2", "displaced.perigee", "displaced.point", "out"]
    module = Flat(make_network(text, INPUTS), names)
    example = (torch.ones(2, 3, 5), torch.ones(2, 3, 5), torch.ones(2, 3, 1), torch.ones(2, 3, dtype=torch.bool))
    arguments = ["perigee", "errors", "scores", "mask"]
    axes = {name: {0: "jets", 1: "tracks"} for name in arguments}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, example, tmp_path / "fit.onnx", dynamo=False, input_names=arguments,
            output_names=[name.replace(".", "_") for name in names],
            dynamic_axes={**axes, **{name.replace(".", "_"): {0: "jets"} for name in names}}, opset_version=18,
        )  # fmt: skip
    if precision == "float64":
        assert "Cos" not in operations(onnx.load(tmp_path / "fit.onnx").graph), "not before onnxruntime 1.29"
    session = onnxruntime.InferenceSession(tmp_path / "fit.onnx", providers=["CPUExecutionProvider"])
    inputs, masks, _ = jets(400, seed=7)
    given = (inputs["perigee"], inputs["errors"], inputs["scores"], masks["perigee"])
    feed = {name: value.numpy() for name, value in zip(arguments, given, strict=True)}
    found = dict(zip(names, map(torch.from_numpy, session.run(None, feed)), strict=True))
    with torch.no_grad():
        expected = dict(zip(names, module(*given), strict=True))
    deviation = expected["vertex.covariance"].reshape(-1, 3, 3).diagonal(dim1=1, dim2=2).sqrt()
    several = masks["perigee"].sum(1) > 2
    off = ((found["vertex.position"] - expected["vertex.position"]).abs() / deviation)[several]
    assert off.max() < (1e-3 if precision == "float32" else 1e-5)
    assert torch.isfinite(found["vertex.position"]).all()
    torch.testing.assert_close(found["vertex.chi2"][several], expected["vertex.chi2"][several], atol=2e-3, rtol=2e-3)
    if precision == "float64" and mode == "exact":
        for name in ("displaced.perigee", "displaced.point", "out"):
            torch.testing.assert_close(found[name][several], expected[name][several], atol=1e-4, rtol=1e-4)


def test_errors_are_deviations_or_a_covariance() -> None:
    root = torch.randn(4, 3, 3)
    full = root @ root.mT + torch.eye(3)
    upper = full[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    assert torch.equal(spread(upper, 3), full)
    assert torch.equal(spread(full.flatten(1), 3), full)
    torch.testing.assert_close(information(upper), torch.linalg.inv(full), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(information(torch.tensor([[0.5, 1.0, -2.0]]))[0], torch.diag(torch.tensor([4, 1, 0.25])))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{from: {tracks: perigee, weights: scores}, layers: [vertex_fit]}", "needs an input `errors`"),
        ("{from: {tracks: perigee, errors: scores}, layers: [vertex_fit]}", "takes as `errors` 5 standard deviations"),
        ("{from: {tracks: scores, errors: errors}, layers: [vertex_fit]}", "takes as `tracks` d0, z0, phi, theta, rho"),
        ("{from: {tracks: perigee, errors: errors, weight: scores}, layers: [vertex_fit]}", "has no input `weight`"),
        ("{from: {tracks: perigee, errors: errors, prior: spot}, layers: [vertex_fit]}", "needs both `prior` and"),
        (
            "{from: {tracks: perigee, errors: errors}, layers: [vertex_fit: {mode: fast}]}",
            "`mode`, which must be one of",
        ),
        ("{from: {tracks: perigee, to: scores}, layers: [extrapolate]}", "takes as `to` a row of 3 features"),
        ("{from: {tracks: perigee, errors: errors}, layers: [vertex_fit, dense: 3]}", "put `concat`"),
    ],
)
def test_wrong_inputs_are_told(mistakes: Callable[..., list[str]], node: str, message: str) -> None:
    assert message in mistakes(f"graph: {{out: {node}}}", INPUTS)[0]


def test_the_gradient_ends_at_detach(make_network: MakeNetwork) -> None:
    text = "graph: {first: {from: spot, layers: [dense: 3]}, out: {from: first, layers: [detach, dense: 2]}}"
    network = make_network(text, INPUTS)
    network({"spot": torch.randn(4, 3)}, {}, ["out"])["out"].sum().backward()
    assert [each.grad is None for each in network.parameters()] == [True, True, False, False]


def test_a_ghost_track_is_a_track_like_any_other(make_network: MakeNetwork) -> None:
    """Prepended along an axis, with the mean errors and a weight that is learnt, it takes part in the fit."""
    blocks = yaml.safe_load((folder("specs") / "blocks" / "tracks.yaml").read_text())["blocks"]
    graph = """
    perigee_and_ghost: {from: {tracks: perigee, axis: {from: spot, select: [0, 1]}}, layers: [ghost_perigee]}
    errors_and_ghost: {from: errors, layers: [ghost_errors]}
    ghost_weight: {layers: [parameter: {shape: [1]}, activation: sigmoid]}
    weights: {from: {objects: scores, first: ghost_weight}, layers: [prepend]}
    vertex: {from: {tracks: perigee_and_ghost, errors: errors_and_ghost, weights: weights}, layers: [vertex_fit]}
    """
    network = make_network(yaml.safe_dump({"blocks": blocks, "graph": yaml.safe_load(graph)}, sort_keys=False), INPUTS)
    assert network.plan.nodes["perigee_and_ghost"].type == TensorType((OBJECTS + 1, 5), masked=True)
    inputs, masks, _ = jets(30)
    inputs["scores"] = inputs["scores"].sigmoid()
    inputs["spot"] = torch.rand(30, 3) + 0.5
    phi, theta, _ = inputs["spot"].unbind(1)
    mask, zero = masks["perigee"], torch.zeros(30)
    errors = torch.stack([inputs["errors"][i][mask[i]].mean(0) if mask[i].any() else torch.zeros(5) for i in range(30)])
    expected = vertex_fit(
        torch.cat([torch.stack([zero, zero, phi, theta, zero], 1).unsqueeze(1), inputs["perigee"]], dim=1),
        torch.cat([errors.unsqueeze(1), inputs["errors"]], dim=1) ** 2,
        torch.cat([torch.full((30, 1), 0.5), inputs["scores"][..., 0]], dim=1),
        torch.cat([torch.ones(30, 1, dtype=torch.bool), mask], dim=1),
    )
    values = network(inputs, masks, ["vertex.position", "vertex.chi2", "vertex.status"])
    torch.testing.assert_close(values["vertex.position"], expected.vertex)
    assert values["vertex.status"][0] == 2
    values["vertex.chi2"].sum().backward()
    (weight,) = network.parameters_of(["ghost_weight"])
    assert weight.grad.item() != 0
