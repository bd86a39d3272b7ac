"""Layers written in YAML are layers like any other: values, counts, nesting, sharing; and they need no Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from engine.graph.describe import descriptions, library
from engine.graph.network import Network
from engine.graph.plan import Plan
from engine.graph.types import TensorType
from engine.spec.load import load_text
from engine.spec.resources import folder

MakeNetwork = Callable[..., Network]
MakePlan = Callable[..., Plan]

INPUT = {"x": TensorType((20, 6))}
MASKED = {"x": TensorType((20, 6), masked=True)}


def with_library(graph: str) -> str:
    """A model with all blocks that come with the program."""
    files = sorted((folder("specs") / "blocks").glob("*.yaml"))
    blocks = {name: block for file in files for name, block in yaml.safe_load(file.read_text())["blocks"].items()}
    return yaml.safe_dump({"blocks": blocks, "graph": yaml.safe_load(graph)}, sort_keys=False)


class Residual(nn.Module):
    """The residual layer of the library, written by hand: x + conv(conv(act(norm(conv(x)))))."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(6, 8, 3, padding="same", bias=False)
        self.first_norm = nn.BatchNorm1d(8, eps=1e-3)
        self.second = nn.Conv1d(8, 6, 3, padding="same", bias=False)
        self.second_norm = nn.BatchNorm1d(6, eps=1e-3)
        self.third = nn.Conv1d(6, 6, 3, padding="same")

    def forward(self, x_BNF: torch.Tensor) -> torch.Tensor:
        y = functional.leaky_relu(self.first_norm(self.first(x_BNF.transpose(1, 2))), 0.3)
        y = functional.leaky_relu(self.second_norm(self.second(y)), 0.3)
        return x_BNF + self.third(y).transpose(1, 2)


def test_residual_layer_in_yaml_equals_one_written_by_hand(make_network: MakeNetwork) -> None:
    network = make_network(with_library("out: {from: x, layers: [residual: {filters: 8, kernel: 3}]}"), INPUT)
    by_hand = Residual()
    path = "out.0_residual.path"
    names = {
        "first.weight": f"{path}.0_conv_node.output.0_conv1d.weight",
        "first_norm.weight": f"{path}.0_conv_node.output.1_batch_norm.weight",
        "first_norm.bias": f"{path}.0_conv_node.output.1_batch_norm.bias",
        "second.weight": f"{path}.1_conv_node.output.0_conv1d.weight",
        "second_norm.weight": f"{path}.1_conv_node.output.1_batch_norm.weight",
        "second_norm.bias": f"{path}.1_conv_node.output.1_batch_norm.bias",
        "third.weight": f"{path}.2_conv1d.weight",
        "third.bias": f"{path}.2_conv1d.bias",
    }
    state = network.state_dict()
    by_hand.load_state_dict({name: state[ours] for name, ours in names.items()}, strict=False)
    x = torch.randn(9, 20, 6)
    for training in (True, False):
        result = network.train(training)({"x": x}, {}, ["out"])["out"]
        torch.testing.assert_close(result, by_hand.train(training)(x), atol=2e-6, rtol=2e-6)
        if training:
            loss = result.square().sum()
            loss.backward()
            by_hand(x).square().sum().backward()
            gradient = dict(network.named_parameters())[names["second.weight"]].grad
            torch.testing.assert_close(gradient, by_hand.second.weight.grad, atol=1e-3, rtol=1e-4)
            by_hand.load_state_dict(
                {
                    "first_norm.running_mean": network.state_dict()[
                        f"{path}.0_conv_node.output.1_batch_norm.running_mean"
                    ],
                    "first_norm.running_var": network.state_dict()[
                        f"{path}.0_conv_node.output.1_batch_norm.running_variance"
                    ],
                    "second_norm.running_mean": network.state_dict()[
                        f"{path}.1_conv_node.output.1_batch_norm.running_mean"
                    ],
                    "second_norm.running_var": network.state_dict()[
                        f"{path}.1_conv_node.output.1_batch_norm.running_variance"
                    ],
                },
                strict=False,
            )


def test_number_of_layers_is_a_parameter(make_plan: MakePlan) -> None:
    def trainable(layers: int) -> int:
        text = with_library(f"out: {{from: x, layers: [residual: {{filters: 8, kernel: 3, layers: {layers}}}]}}")
        return make_plan(text, INPUT).nodes["out"].trainable

    node = 8 * 8 * 3 + 2 * 8
    assert trainable(4) - trainable(3) == node
    assert trainable(1) == 6 * 6 * 3 + 2 * 6 + 6 * 6 * 3 + 6


def test_squeeze_excitation_scales_every_object_alike(make_network: MakeNetwork) -> None:
    network = make_network(with_library("out: {from: x, layers: [squeeze_excitation: 2]}"), MASKED).eval()
    x, mask = torch.randn(4, 20, 6), torch.rand(4, 20) < 0.7
    ratio = network({"x": x}, {"x": mask}, ["out"])["out"] / x
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert ((ratio > 0) & (ratio < 1)).all()
    assert network.plan.nodes["out"].trainable == (6 * 3 + 3) + (3 * 6 + 6)


def test_additive_attention_is_the_formula(make_network: MakeNetwork) -> None:
    """h = tanh(Wq x + Wk x' + b), weights softmax over x' of Wa h + ba: l = sum of weights times x'."""
    network = make_network(with_library("out: {from: x, layers: [additive_attention: 5]}"), MASKED).eval()
    state = {name.removeprefix("out.0_additive_attention."): value for name, value in network.state_dict().items()}
    x, mask = torch.randn(3, 20, 6), torch.rand(3, 20) < 0.7
    query, key = (
        x @ state["query.0_dense.0.weight"].T,
        x @ state["key.0_dense.0.weight"].T + state["key.0_dense.0.bias"],
    )
    pairs = torch.tanh(query[:, :, None] + key[:, None])
    scores = pairs @ state["weights.2_dense.0.weight"][0] + state["weights.2_dense.0.bias"]
    weights = torch.softmax(scores.masked_fill(~mask[:, None], -torch.inf), dim=-1)
    result = network({"x": x}, {"x": mask}, ["out"])["out"]
    torch.testing.assert_close(result[mask], (weights @ x)[mask])
    assert (
        network.plan.nodes["out"].trainable == 6 * 5 * 2 + 5 + 5 + 1
    )  # as the published layer with 32 units: 32 (2F + 2) + 1


@pytest.mark.parametrize("policy", ["all", "keys", "ignore"])
def test_post_norm_block_equals_torch_transformer_layer(make_network: MakeNetwork, policy: str) -> None:
    """nn.TransformerEncoderLayer is the independent implementation; it knows masks of keys only."""
    text = with_library(
        f"out: {{from: x, layers: [post_norm_block: {{heads: 2, units: 12, epsilon: 1.0e-5, mask: {policy}}}]}}"
    )
    network = make_network(text, MASKED).eval()
    state = {name.removeprefix("out.0_post_norm_block."): value for name, value in network.state_dict().items()}
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, norm_first=False).eval()
    attention = "attended.0_attention"
    parts = [f"{attention}.{part}" for part in ("query", "key", "value")]
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([state[f"{part}.weight"] for part in parts]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([state[f"{part}.bias"] for part in parts]))
        pairs = {
            "self_attn.out_proj": f"{attention}.output",
            "linear1": "transformed.0_dense.0",
            "linear2": "transformed.1_dense.0",
            "norm1": "middle.1_layer_norm",
            "norm2": "output.1_layer_norm",
        }
        for theirs, ours in pairs.items():
            for tensor in ("weight", "bias"):
                layer.get_parameter(f"{theirs}.{tensor}").copy_(state[f"{ours}.{tensor}"])
    x, mask = torch.randn(5, 20, 6), torch.rand(5, 20) < 0.7
    with torch.no_grad():
        expected = layer(x, src_key_padding_mask=None if policy == "ignore" else ~mask)
        result = network({"x": x}, {"x": mask}, ["out"])["out"]
    torch.testing.assert_close(result[mask], expected[mask], atol=1e-5, rtol=1e-4)


def test_a_layer_that_no_primitive_provides_needs_only_yaml(make_network: MakeNetwork) -> None:
    """A bilinear gate with a free scale: x * sigmoid(s * (W x) . x), made of einsum, parameter and expression."""
    text = """
    blocks:
      bilinear_gate:
        parameters: {start: {type: string, default: ones}}
        graph:
          moved:
            from: input
            layers: [einsum: {equation: "nf, fg -> ng", parameters: [mix], sizes: {g: input.channels}}]
          score: {from: [moved, input], layers: [einsum: "nf, nf -> n", reshape: {shape: [-1, 1], mask: ignore}]}
          scale: {layers: [parameter: {shape: [1], initialisation: $start}]}
          output:
            from: {x: input, score: score, scale: {broadcast: scale}}
            layers: [expression: "x / (1 + exp(-scale * score))"]
    graph:
      out: {from: x, layers: [bilinear_gate, bilinear_gate: {start: zeros}]}
    """
    network = make_network(text, INPUT)
    state = network.state_dict()
    x = torch.randn(4, 20, 6)
    mix = state["out.0_bilinear_gate.moved.0_einsum.weights.mix"]
    score = (x @ mix * x).sum(-1, keepdim=True)
    expected = x * torch.sigmoid(score) * 0.5  # the second gate has scale 0
    torch.testing.assert_close(network({"x": x}, {}, ["out"])["out"], expected)
    assert network.plan.nodes["out"].trainable == 2 * (36 + 1)


def test_named_inputs_of_a_block(make_network: MakeNetwork) -> None:
    text = """
    blocks:
      difference:
        inputs: [left, right]
        parameters: {factor: {type: number, default: 1}}
        graph: {output: {from: {a: left, b: right}, layers: [expression: "(a - b) * $factor"]}}
    graph:
      out: {from: {right: x, left: y}, layers: [difference: -2]}
    """
    inputs = {"x": TensorType((3,)), "y": TensorType((3,))}
    values = make_network(text, inputs)({"x": torch.ones(2, 3), "y": torch.full((2, 3), 5.0)}, {}, ["out"])
    assert torch.equal(values["out"], torch.full((2, 3), -8.0))


def test_shared_layers_are_one_set_of_weights(make_network: MakeNetwork) -> None:
    text = """
    graph:
      left: {from: x, layers: [share: {name: encoder, layers: [dense: {units: 4, activation: relu}, dense: 2]}]}
      right: {from: y, layers: [share: encoder, activation: tanh]}
      far: {from: z, layers: [dense: 2]}
    """
    inputs = {"x": TensorType((5, 3)), "y": TensorType((5, 3)), "z": TensorType((3,))}
    network = make_network(text, inputs)
    keys = [name for name in network.state_dict() if name.startswith("shared.encoder.")]
    assert keys == [f"shared.encoder.{i}_dense.0.{part}" for i in range(2) for part in ("weight", "bias")]
    assert (network.plan.nodes["left"].trainable, network.plan.nodes["right"].trainable) == (4 * 4 + 5 * 2, 0)
    assert sum(each.numel() for each in network.parameters()) == network.plan.counts[0]
    x = torch.randn(2, 5, 3)
    values = network({"x": x, "y": x, "z": x[:, 0]}, {}, ["left", "right"])
    torch.testing.assert_close(values["left"].tanh(), values["right"])
    assert {id(e) for e in network.parameters_of(["right"])} == {id(e) for e in network.parameters_of(["left"])}
    assert len(network.parameters_of(["far"])) == 2


def test_shared_embedding_serves_inputs_of_any_length(make_network: MakeNetwork) -> None:
    text = """
    graph:
      out:
        from:
          - {from: pdg, layers: [embedding: {size: 4, vocabulary: 9, share: codes}, mean_pool]}
          - {from: mother, layers: [embedding: {size: 4, vocabulary: 9, share: codes}, mean_pool]}
        layers: [concat]
    """
    inputs = {"pdg": TensorType((7, 1)), "mother": TensorType((3, 1))}
    network = make_network(text, inputs)
    assert list(network.state_dict()) == ["shared.codes.0_embedding.weight"]
    values = network({"pdg": torch.full((2, 7, 1), 5.0), "mother": torch.full((2, 3, 1), 5.0)}, {}, ["out"])["out"]
    torch.testing.assert_close(values[:, :4], values[:, 4:])


def test_parallel_branches_and_repetitions(make_plan: MakePlan) -> None:
    text = """
    graph:
      out:
        from: x
        layers:
          - parallel: {for: {kernel: [1, 3, 5]}, layers: [conv1d: {filters: 4, kernel: $kernel}, mean_pool]}
          - concat
          - repeat:
              for: {units: [8, 4], function: [relu, tanh]}
              layers: [dense: {units: $units, activation: $function}]
          - repeat: {times: 0, layers: [dense: 99]}
    """
    node = make_plan(text, INPUT).nodes["out"]
    assert node.type.shape == (4,)
    assert node.trainable == sum(4 * (6 * k + 1) for k in (1, 3, 5)) + (12 + 1) * 8 + (8 + 1) * 4
    assert node.layers == "3 branches [conv1d 4 x 1; mean_pool]; concat features; dense 8 relu; dense 4 tanh"


def test_the_library_passes_the_schema_when_it_is_included(repository: Path) -> None:
    files = sorted(
        path.relative_to(repository / "specs").as_posix() for path in (repository / "specs/blocks").glob("*")
    )
    text = f"include: [calratio.yaml, {', '.join(files)}]\nname: with_library\n"
    experiment = load_text(text, beside=repository / "specs")
    assert len(experiment.model.blocks) >= 9


def test_every_block_of_the_library_is_described_and_builds(make_network: MakeNetwork) -> None:
    values = {"filters": 4, "units": 8, "heads": 2}
    sources = {"prepend": {"objects": "x", "first": "row"}, "ghost_perigee": {"tracks": "helices", "axis": "axis"}}
    inputs = {**MASKED, "row": TensorType((6,)), "helices": TensorType((20, 5), masked=True), "axis": TensorType((2,))}
    tensors = {each: torch.randn(3, *kind.shape) for each, kind in inputs.items()}
    seen = 0
    for specs in library().values():
        for name, spec in specs.items():
            assert spec.description, name
            assert all(parameter.description for parameter in spec.parameters.values()), name
            given = {each: values[each] for each, parameter in spec.parameters.items() if parameter.required}
            text = with_library(yaml.safe_dump({"out": {"from": sources.get(name, "x"), "layers": [{name: given}]}}))
            network = make_network(text, inputs)
            mask = torch.rand(3, 20) < 0.7
            assert torch.isfinite(network(tensors, {"x": mask, "helices": mask}, ["out"])["out"]).all()
            assert sum(each.numel() for each in network.parameters()) == network.plan.counts[0]
            assert name in descriptions()
            seen += 1
    assert seen >= 9
