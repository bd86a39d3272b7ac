"""The smartBKG networks, each a file of YAML: published parameter counts, and one of them against plain torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.graph.network import Network, build_network
from engine.graph.plan import Plan, input_types, plan_network
from engine.spec.load import load_experiment

COUNTS = {
    "smartbkg": 193_274,
    "smartbkg/CNN_ResNet34": 862_913,  # the published one with the summary of the decay, which it left out
    "smartbkg/CNN_ResNet34_as_committed": 750_897,
    "smartbkg/CNN_ResNeXt": 124_513,
    "smartbkg/CNN_combined": 151_745,
    "smartbkg/CNN_1x1_combined": 157_121,
    "smartbkg/CNN_1x1_ResNet": 238_257,
    "smartbkg/CNN_LSTM": 488_065,
    "smartbkg/feed_forward": 8_682_993,
    "smartbkg/decay/CNN_decay": 79_281,
    "smartbkg/decay/CNN_LSTM": 72_305,
    "smartbkg/decay/feed_forward": 2_809_073,
    "smartbkg/particles/CNN_vanilla": 171_953,
    "smartbkg/particles/CNN_1x1": 179_345,
    "smartbkg/particles/CNN_ResNet": 130_337,
    "smartbkg/particles/CNN_ResNet34": 1_783_473,
    "smartbkg/particles/CNN_ResNet50": 4_406_705,
    "smartbkg/particles/CNN_ResNeXt": 113_329,
    "smartbkg/particles/CNN_ResNet_preact": 2_568_625,
    "smartbkg/particles/CNN_attention": 59_490,
    "smartbkg/particles/feed_forward": 15_507_593,
}
OPTIMIZERS = {
    "smartbkg": ("adam", 5e-4, True),
    "smartbkg/CNN_ResNet34": ("sgd", 1e-2, None),
    "smartbkg/CNN_ResNet34_as_committed": ("sgd", 1e-2, None),
    "smartbkg/CNN_1x1_ResNet": ("adam", 5e-4, True),
    "smartbkg/feed_forward": ("adam", 5e-4, False),
    "smartbkg/particles/CNN_ResNet": ("adam", 5e-4, True),
    "smartbkg/particles/CNN_ResNet_preact": ("adam", 5e-4, True),
    "smartbkg/particles/feed_forward": ("adam", 1e-3, False),
}
"""Those that differ from Adam with amsgrad and 1e-3."""


def plan_of(repository: Path, name: str) -> Plan:
    experiment = load_experiment(repository / "specs" / f"{name}.yaml")
    return plan_network(experiment.model, input_types(experiment.data), experiment.conventions)


def test_every_network_has_its_file(repository: Path) -> None:
    specs = repository / "specs"
    files = [specs / "smartbkg.yaml", *(specs / "smartbkg").rglob("*.yaml")]
    networks = {file.relative_to(specs).with_suffix("").as_posix() for file in files} - {"smartbkg/bias"}
    assert networks == set(COUNTS)
    assert len(networks - {"smartbkg/CNN_ResNet34_as_committed"}) == 20


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_published_parameter_counts_and_optimizers(repository: Path, name: str) -> None:
    experiment = load_experiment(repository / "specs" / f"{name}.yaml")
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    assert sum(plan.counts) == COUNTS[name]
    optimizer = experiment.training.updates[0].optimizer
    found = (optimizer.kind, optimizer.options["lr"], optimizer.options.get("amsgrad"))
    assert found == OPTIMIZERS.get(name, ("adam", 1e-3, True))


def test_the_recommended_network_learns_as_many_as_published(repository: Path) -> None:
    assert plan_of(repository, "smartbkg").counts == (191_762, 1_512)


def test_the_bias_network_sees_twenty_numbers_and_has_the_published_parameters(repository: Path) -> None:
    plan = plan_of(repository, "smartbkg/bias")
    assert plan.inputs["variables"].shape == (20,)
    assert sum(plan.counts) == 10_497


@pytest.fixture(scope="module")
def port(repository: Path) -> ModuleType:
    """The same network written directly in torch, as the benchmark has it."""
    place = importlib.util.spec_from_file_location("smartbkg_port", repository / "benchmarks" / "smartbkg_network.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def names() -> dict[str, str]:
    """For each parameter or buffer of the port its name in our state, by the layers' places."""
    pairs = {
        "tokens.weight": "decay_tokens.1_embedding.weight",
        "codes.weight": "shared.pdg.0_embedding.weight",
    }
    keys = ("weight", "bias", "running_mean", "running_var")
    ours = dict(zip(keys, ("weight", "bias", "running_mean", "running_variance"), strict=True))

    def node(theirs: str, path: str) -> None:
        pairs[f"{theirs}.convolution.weight"] = f"{path}.output.0_conv1d.weight"
        pairs.update({f"{theirs}.normalisation.{key}": f"{path}.output.1_batch_norm.{ours[key]}" for key in keys})

    wide = "decay_summary.0_parallel_convolutions.output.0_parallel"
    for i in range(6):
        node(f"wide.{i}", f"{wide}.{i}.0_conv_node")
    for i in range(4):
        path = f"particle_summary.{i}_residual.path"
        node(f"residual.{i}.nodes.0", f"{path}.0_conv_node")
        node(f"residual.{i}.nodes.1", f"{path}.1_conv_node")
        pairs.update({f"residual.{i}.last.{key}": f"{path}.2_conv1d.{key}" for key in ("weight", "bias")})
    dense = {
        "decay.0": "decay_summary.1_dense_node.output.0_dense.0",
        "decay.3": "decay_summary.3_dense_node.output.0_dense.0",
        "head.0": "passes.1_dense_node.output.0_dense.0",
        "head.3": "passes.3_dense_node.output.0_dense.0",
        "head.5": "passes.4_dense.0",
    }
    pairs.update({f"{theirs}.{key}": f"{path}.{key}" for theirs, path in dense.items() for key in ("weight", "bias")})
    return pairs


def without_dropout(network: Network) -> Network:
    for module in network.modules():
        if hasattr(module, "rate"):
            module.rate = 0.0
    return network


@pytest.mark.parametrize("training", [True, False])
def test_the_recommended_network_is_the_one_in_plain_torch(repository: Path, port: ModuleType, training: bool) -> None:
    """Outputs in float32 and float64, and gradients and running means in float64, where rounding has no say."""
    network = without_dropout(build_network(plan_of(repository, "smartbkg"), 3))
    other = port.Port(network.plan.inputs["pdg"].vocabulary, dropout=False)
    pairs, state = names(), network.state_dict()
    loaded = other.load_state_dict({theirs: state[ours] for theirs, ours in pairs.items()}, strict=False)
    assert all("num_batches" in key for key in loaded.missing_keys)
    inputs, masks = port.make_batch(network, 12)
    labels = torch.randint(0, 2, (12, 1), generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        single = network.eval()(inputs, masks, ["passes.logits"])["passes.logits"]
        torch.testing.assert_close(single, other.eval()(inputs), atol=1e-6, rtol=1e-6)
    network, other = network.double().train(training), other.double().train(training)
    inputs = {name: value.double() for name, value in inputs.items()}
    results: list[Tensor] = []
    for logits in (network(inputs, masks, ["passes.logits"])["passes.logits"], other(inputs)):
        functional.binary_cross_entropy_with_logits(logits, labels).backward()
        results.append(logits.detach())
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=1e-6)
    parameters, theirs = dict(network.named_parameters()), dict(other.named_parameters())
    assert set(pairs.values()) >= set(parameters)
    for name, parameter in theirs.items():
        torch.testing.assert_close(parameters[pairs[name]].grad, parameter.grad, atol=1e-6, rtol=1e-6)
    if training:  # the running means moved alike
        after = network.state_dict()
        mean = "residual.2.nodes.1.normalisation.running_mean"
        torch.testing.assert_close(after[pairs[mean]], other.state_dict()[mean], atol=1e-7, rtol=1e-6)


def test_grouped_convolutions_are_the_groups_one_by_one(repository: Path) -> None:
    """The bottleneck in sixteen groups is sixteen of four features each, side by side, with the input added."""
    network = build_network(plan_of(repository, "smartbkg/particles/CNN_ResNeXt"), 1).eval()
    block = network.nodes["passes"].steps[2]
    state = block.state_dict()
    x = torch.randn(5, 50, 64, generator=torch.Generator().manual_seed(1))
    parts = []
    for first in range(0, 64, 4):
        part = x[..., first : first + 4].transpose(1, 2)
        for i in range(3):
            weight = state[f"path.{i}_conv_node.output.0_conv1d.weight"][first : first + 4]
            part = functional.conv1d(part, weight, padding="same")
            part = functional.leaky_relu(part / (1 + 1e-3) ** 0.5, 0.3)  # normalised as it starts: variance 1
        parts.append(part.transpose(1, 2))
    with torch.no_grad():
        ((result, _),) = block([(x, None)])
    torch.testing.assert_close(result, functional.leaky_relu(x + torch.cat(parts, dim=-1), 0.3), atol=1e-5, rtol=1e-5)
