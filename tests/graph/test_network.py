"""Seeds, states, dropout, recurrent masks, normalisation: what training relies on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.graph.conventions import CONVENTIONS, KERAS
from engine.graph.initialise import KINDS, generator_for, initialise
from engine.graph.modules.dropout import LEVELS, Dropout
from engine.graph.modules.formulas import GradientReversal
from engine.graph.modules.normalisation import BatchNorm
from engine.graph.modules.recurrent import Lstm
from engine.graph.modules.values import Start
from engine.graph.network import Network
from engine.graph.registry import primitive_blocks
from engine.graph.types import TensorType

MakeNetwork = Callable[..., Network]

SMALL = """
graph:
  summary: {from: objects, layers: [dense: {units: [8, 4], activation: relu, dropout: 0.2}, lstm: 3]}
  out: {from: [summary, row], layers: [concat, batch_norm, dense: {units: 2, activation: softmax}]}
"""


def batch(seed: int = 0, rows: int = 16) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        "objects": torch.randn(rows, 7, 6, generator=generator),
        "row": torch.randn(rows, 5, generator=generator),
    }
    return inputs, {"objects": torch.rand(rows, 7, generator=generator) < 0.7}


def test_a_seed_gives_the_same_network_and_leaves_the_global_generator_alone(make_network: MakeNetwork) -> None:
    state = torch.get_rng_state()
    first, second, other = make_network(SMALL), make_network(SMALL), make_network(SMALL, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert not torch.equal(
        first.state_dict()["summary.1_lstm.weight_ih"], other.state_dict()["summary.1_lstm.weight_ih"]
    )


def test_a_further_layer_elsewhere_leaves_all_others_as_they_were(make_network: MakeNetwork) -> None:
    longer = SMALL + "  extra: {from: summary, layers: [dense: [9, 9]]}\n"
    before, after = make_network(SMALL).state_dict(), make_network(longer).state_dict()
    assert set(before) < set(after)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_state_makes_the_round_trip(make_network: MakeNetwork, tmp_path: Path) -> None:
    network, copied = make_network(SMALL), make_network(SMALL, seed=9).eval()
    inputs, masks = batch()
    network.train()(inputs, masks, ["out"])
    torch.save(network.state_dict(), tmp_path / "state.pt")
    copied.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    network.eval()
    assert torch.equal(network(inputs, masks, ["out"])["out"], copied(inputs, masks, ["out"])["out"])
    assert "out.1_batch_norm.running_variance" in network.state_dict()
    assert not any("bias_hh" in name for name in network.state_dict())  # Keras has one bias a gate


def test_a_deep_copy_is_independent(make_network: MakeNetwork) -> None:
    network = make_network(SMALL)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    inputs, masks = batch()
    assert torch.equal(copied.eval()(inputs, masks, ["out.logits"])["out.logits"], torch.zeros(16, 2))
    assert network.eval()(inputs, masks, ["out.logits"])["out.logits"].abs().sum() > 0


def test_nodes_may_have_the_names_of_torch_methods(make_network: MakeNetwork) -> None:
    text = "graph: {train: {from: row, layers: [dense: 3]}, forward: {from: train, layers: [dense: 2]}}"
    network = make_network(text)
    assert network.train()({"row": torch.zeros(2, 5)}, {}, ["forward"])["forward"].shape == (2, 2)
    assert "train.0_dense.0.weight" in network.state_dict()


def test_dropout_keeps_the_mean_and_drops_the_declared_share() -> None:
    torch.manual_seed(5)
    x = torch.full((400, 500), 2.0, requires_grad=True)
    ((y, _),) = Dropout(0.2).train()([(x, None)])
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / x.numel()))
    kept = y[y != 0]
    assert torch.allclose(kept, torch.tensor(2.0 * LEVELS / (LEVELS - round(0.2 * LEVELS))))
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, y != 0)
    correlation = np.corrcoef((y[:, :-1] != 0).flatten().numpy(), (y[:, 1:] != 0).flatten().numpy())[0, 1]
    assert abs(correlation) < 0.01


def test_dropout_follows_the_seed_and_rests_outside_of_training() -> None:
    module, x = Dropout(0.5), torch.ones(33, 7)
    torch.manual_seed(1)
    first = module.train()([(x, None)])[0][0]
    state = torch.get_rng_state()
    second = module([(x, None)])[0][0]
    torch.manual_seed(1)
    assert torch.equal(module([(x, None)])[0][0], first)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(module([(x, None)])[0][0], second)
    assert not torch.equal(first, second)
    assert torch.equal(module.eval()([(x, None)])[0][0], x)


def test_fused_relu_and_dropout_have_the_gradient_of_the_two_in_turn(make_network: MakeNetwork) -> None:
    """With the same random numbers: relu, times the kept elements, scaled."""
    fused = make_network("graph: {out: {from: row, layers: [dense: {units: 9, activation: relu, dropout: 0.3}]}}")
    apart = make_network("graph: {out: {from: row, layers: [dense: {units: 9, activation: relu}, dropout: 0.3]}}")
    apart.load_state_dict(fused.state_dict())
    x = torch.randn(50, 5)
    results = []
    for network in (fused, apart):
        torch.manual_seed(3)
        y = network.train()({"row": x}, {}, ["out"])["out"]
        (y**3).sum().backward()
        results.append((y, *(parameter.grad for parameter in network.parameters())))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("sequence", [False, True])
def test_masked_lstm_is_a_loop_that_steps_over_padding(sequence: bool) -> None:
    module = Lstm(
        3, 4, sequence=sequence, use_mask=True, starts=("glorot_uniform", "orthogonal", "normal"), forget=1.0,
        single_bias=True,
    )  # fmt: skip
    initialise(module, 1)
    x, mask = torch.randn(20, 6, 3), torch.rand(20, 6) < 0.5
    ((result, _),) = module([(x, mask)])
    cell = nn.LSTMCell(3, 4)
    with torch.no_grad():
        cell.weight_ih.copy_(module.weight_ih)
        cell.weight_hh.copy_(module.weight_hh)
        cell.bias_ih.copy_(module.bias_ih)
        cell.bias_hh.zero_()
        for row in range(20):
            h, c = torch.zeros(1, 4), torch.zeros(1, 4)
            for i in range(6):
                if mask[row, i]:
                    h, c = cell(x[row : row + 1, i], (h, c))
                if sequence:
                    torch.testing.assert_close(result[row, i], h[0])
            if not sequence:
                torch.testing.assert_close(result[row], h[0])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("unbiased", [False, True])
def test_batch_norm_statistics_are_those_of_numpy(masked: bool, unbiased: bool) -> None:
    module = BatchNorm(3, 0.9, 1e-3, unbiased=unbiased, use_mask=True).train()
    initialise(module, 1)
    x, mask = torch.randn(8, 5, 3) * 4 + 1, torch.rand(8, 5) < 0.6
    ((y, _),) = module([(x, mask if masked else None)])
    real = x[mask].numpy() if masked else x.reshape(-1, 3).numpy()
    mean, variance = real.mean(0), real.var(0)
    expected = (real - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose((y[mask] if masked else y.reshape(-1, 3)).detach().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(module.running_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(module.running_variance.numpy(), 0.9 + 0.1 * real.var(0, ddof=int(unbiased)), rtol=1e-5)


def test_batch_norm_of_one_row_stays_finite() -> None:
    for convention in CONVENTIONS.values():
        types = [TensorType((3,))]
        module = primitive_blocks()["batch_norm"]().build(types, convention).train()
        initialise(module, 1)
        ((y, _),) = module([(torch.randn(1, 3), None)])
        assert torch.isfinite(y).all()
        assert all(torch.isfinite(tensor).all() for tensor in module.state_dict().values())


def test_gradients_are_reversed() -> None:
    x = torch.randn(4, requires_grad=True)
    ((y, _),) = GradientReversal(2.5)([(x, None)])
    assert torch.equal(y, x)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full((4,), -2.5))


def test_initialisations_have_the_declared_spread() -> None:
    start = Start("", 300, 500)
    deviations = {
        "glorot_uniform": np.sqrt(2 / 800), "glorot_normal": np.sqrt(2 / 800), "he_uniform": np.sqrt(2 / 300),
        "he_normal": np.sqrt(2 / 300), "lecun_uniform": np.sqrt(1 / 300), "lecun_normal": np.sqrt(1 / 300),
        "uniform": 0.05 / np.sqrt(3), "normal": 0.05, "standard_normal": 1.0, "fan_in_uniform": 1 / np.sqrt(900),
        "zeros": 0.0, "ones": 0.0,
    }  # fmt: skip
    for kind, fill in KINDS.items():
        tensor = torch.empty(500, 300)
        fill(tensor, start, generator_for(1, kind))
        if kind == "orthogonal":
            torch.testing.assert_close(tensor.T @ tensor, torch.eye(300), atol=1e-4, rtol=0)
        else:
            assert tensor.std().item() == pytest.approx(deviations[kind], rel=0.02), kind
    assert set(KINDS) == set(deviations) | {"orthogonal"}


def test_forget_gate_starts_open_with_keras_conventions() -> None:
    module = primitive_blocks()["lstm"](units=3).build([TensorType((5, 2))], KERAS)
    initialise(module, 1)
    assert module.bias_ih.tolist() == [0] * 3 + [1] * 3 + [0] * 6


def test_torch_conventions_start_as_torch_does(make_network: MakeNetwork) -> None:
    network = make_network("graph: {out: {from: objects, layers: [dense: 400, lstm: 5]}}", conventions="torch")
    weight = network.state_dict()["out.0_dense.0.weight"]
    assert weight.std().item() == pytest.approx(nn.Linear(6, 400).weight.std().item(), rel=0.1)
    assert weight.abs().max() <= 1 / np.sqrt(6)
    assert network.state_dict()["out.1_lstm.bias_hh"].abs().max() <= 1 / np.sqrt(5)


def test_mixed_precision_runs_through_every_kind_of_layer(make_network: MakeNetwork) -> None:
    text = """
    graph:
      tokens: {from: objects, layers: [batch_norm, dense: {units: 8, activation: relu, dropout: 0.1}]}
      seen:
        from: tokens
        layers: [attention: {heads: 2, dropout: 0.1}, layer_norm, gru: {units: 4, return: sequence}, softmax_pool]
      out: {from: [seen, row], layers: [concat, dense: {units: 2, activation: softmax}]}
    """
    network = make_network(text).train()
    inputs, masks = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = network(inputs, masks, ["out", "out.logits"])
    values["out.logits"].float().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@pytest.mark.cuda
def test_cuda_gives_what_the_cpu_gives(make_network: MakeNetwork) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    network = make_network(SMALL).eval()
    inputs, masks = batch()
    expected = network(inputs, masks, ["out"])["out"]
    network = network.cuda()
    result = network(
        {name: each.cuda() for name, each in inputs.items()},
        {name: each.cuda() for name, each in masks.items()},
        ["out"],
    )["out"]
    torch.testing.assert_close(result.cpu(), expected, atol=1e-5, rtol=1e-4)
