"""The declared updates of specs/calratio.yaml repeat a training of the original system, loss by loss.

The stored trajectory has plain SGD, no dropout, two epochs of two batches: two steps of the adversary on a batch of the
control region, then one of everything else on a main batch and a batch of the control region that is repeated
(mirrored) to the length of the main data.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.graph.network import Network, build_network
from engine.graph.plan import input_types, plan_network
from engine.spec.load import load_experiment
from engine.training.objectives import make_objectives
from engine.training.updates import Update, make_updates

SGD = [f"training.updates.{number}.optimizer={{sgd: {{lr: 0.01}}}}" for number in (0, 1)]
RAW_WEIGHTS = ["training.losses.tagging.cross_entropy.weight=weight"]
NO_DROPOUT = [
    *(f"model.graph.{name}_summary.layers.1.dense.dropout=0" for name in ("cluster", "track", "segment")),
    *(f"model.graph.{name}_summary.layers.3.dropout=0" for name in ("cluster", "track", "segment")),
    "model.graph.jet_class.layers.1.dense.dropout=0",
]
DENSE = {
    "cluster_summary": ["conv1d", "conv1d_1", "conv1d_2", "constit_final_conv1d"],
    "track_summary": ["conv1d_3", "conv1d_4", "conv1d_5", "track_final_conv1d"],
    "segment_summary": ["conv1d_6", "conv1d_7", "MSeg_final_conv1d"],
}
HEAD = {"jet_class.1_dense.0": "dense_1", "jet_class.1_dense.1": "dense_2", "jet_class.2_dense.0": "main_output"}
LSTM = {"cluster_summary": "lstm", "track_summary": "lstm_1", "segment_summary": "lstm_2"}
NORMALISATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_variance": "moving_variance",
}
INPUTS = {"clusters": "constit", "tracks": "track", "segments": "mseg", "jet": "jet"}


def linear(weights: dict[str, np.ndarray], ours: str, theirs: str) -> dict[str, np.ndarray]:
    kernel = weights[f"{theirs}/kernel"]
    return {f"{ours}.weight": kernel.reshape(kernel.shape[-2:]).T, f"{ours}.bias": weights[f"{theirs}/bias"]}


def translated(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of the original under the names of the network built from YAML."""
    state: dict[str, np.ndarray] = {}
    for node, layers in DENSE.items():
        for number, layer in enumerate(layers):
            ours = f"{node}.0_dense.0" if number == 0 else f"{node}.1_dense.{number - 1}"
            state |= linear(weights, ours, layer)
    for ours, theirs in HEAD.items():
        state |= linear(weights, ours, theirs)
    for node, theirs in LSTM.items():
        state[f"{node}.2_lstm.weight_ih"] = weights[f"{theirs}/lstm_cell/kernel"].T
        state[f"{node}.2_lstm.weight_hh"] = weights[f"{theirs}/lstm_cell/recurrent_kernel"].T
        state[f"{node}.2_lstm.bias_ih"] = weights[f"{theirs}/lstm_cell/bias"]
    for number, layer in enumerate(["adversary_1", "adversary_2", "adversary_3", "adversary_out"]):
        state |= linear(weights, f"is_data.{2 * number + 1}_dense.0", layer)
        for ours, theirs in NORMALISATION.items():
            state[f"is_data.{2 * number}_batch_norm.{ours}"] = weights[f"adversary_norm_{number + 1}/{theirs}"]
    return state


@pytest.fixture(scope="module")
def stored(reference_data: Path) -> dict[str, np.ndarray]:
    with np.load(reference_data / "calratio" / "reference" / "step_reference_sgd.npz") as file:
        return dict(file)


@pytest.fixture
def network_and_updates(repository: Path, stored: dict[str, np.ndarray]) -> tuple[Network, list[Update]]:
    experiment = load_experiment(repository / "specs" / "calratio.yaml", [*SGD, *RAW_WEIGHTS, *NO_DROPOUT])
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    network = build_network(plan, experiment.seed)
    network.load_state_dict({name: torch.tensor(value.copy()) for name, value in translated(at(stored, 0)).items()})
    objectives = make_objectives(experiment.training.losses, plan.offers)
    cpu = torch.device("cpu")
    updates = make_updates(experiment.training, network, objectives, list(plan.nodes), "keras", 2, cpu)
    return network, updates


def at(stored: dict[str, np.ndarray], number: int) -> dict[str, np.ndarray]:
    prefix = f"w{number}/"
    return {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}


def batch(arrays: dict[str, np.ndarray], target: str, weight: str, rows: np.ndarray) -> Any:
    def tensor(name: str) -> Tensor:
        return torch.tensor(arrays[name][rows])

    return SimpleNamespace(
        inputs={name: tensor(name) for name in INPUTS},
        masks={},
        targets={target: tensor("target")},
        weights={weight: tensor("weight")},
        rows=rows,
    )


def iterations(stored: dict[str, np.ndarray]) -> list[tuple[Any, Any, Any]]:
    """For each iteration: the batch of the adversary, the main batch, the repeated batch of the control region."""
    main = {name: stored[f"x/{theirs}"] for name, theirs in INPUTS.items()}
    main |= {"target": stored["y"].argmax(1).astype(np.int32), "weight": stored["w"]}
    control = {name: stored[f"xa/{theirs}"] for name, theirs in INPUTS.items()}
    control |= {"target": stored["ya"].astype(np.int32), "weight": stored["wa"]}
    few, many = len(stored["ya"]), len(stored["y"])
    mirrored = np.pad(np.arange(few), (0, many - few), mode="symmetric")
    halves = zip(
        np.array_split(np.arange(few), 2), np.array_split(np.arange(many), 2), np.array_split(mirrored, 2), strict=True
    )
    return 2 * [
        (
            batch(control, "is_data", "control", small),
            batch(main, "label", "weight", rows),
            batch(control, "is_data", "control", repeated),
        )
        for small, rows, repeated in halves
    ]


def test_every_loss_of_the_original_training_is_repeated(
    stored: dict[str, np.ndarray], network_and_updates: tuple[Network, list[Update]]
) -> None:
    network, (adversary, rest) = network_and_updates
    network.train()
    adversary_losses, main_losses = [], []
    for number, (small, main, repeated) in enumerate(iterations(stored), 1):
        adversary.activate()
        for _ in range(adversary.spec.repeat):
            losses, _total = adversary.step({"control": small})
            adversary_losses.append(float(losses["confusion"]))
        rest.activate()
        losses, total = rest.step({"main": main, "control": repeated})
        main_losses.append([float(total), float(losses["tagging"]), float(losses["confusion"])])
        expected = translated(at(stored, number))
        for name, value in network.state_dict().items():
            np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-5, err_msg=f"{name}, iteration {number}")
    np.testing.assert_allclose(adversary_losses, stored["log_disc"][:, 0], atol=1e-5)
    np.testing.assert_allclose(main_losses, stored["log_main"][:, :3], atol=1e-5)


def test_an_update_moves_the_parameters_of_its_nodes_alone(
    stored: dict[str, np.ndarray], network_and_updates: tuple[Network, list[Update]]
) -> None:
    network, (adversary, rest) = network_and_updates
    network.train()
    small, main, repeated = iterations(stored)[0]
    for update, batches, moves in (
        (adversary, {"control": small}, lambda name: name.startswith("is_data.")),
        (rest, {"main": main, "control": repeated}, lambda name: not name.startswith("is_data.")),
    ):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        update.activate()
        update.step(batches)
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {name for name in before if moves(name)}


def test_no_gradients_are_computed_for_what_does_not_move(
    stored: dict[str, np.ndarray], network_and_updates: tuple[Network, list[Update]]
) -> None:
    network, (adversary, _) = network_and_updates
    adversary.activate()
    adversary.step({"control": iterations(stored)[0][0]})
    with_gradient = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in network.named_parameters() if name.startswith("is_data.")}
