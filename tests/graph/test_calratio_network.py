"""The network of specs/calratio.yaml is the published one: parameter counts, and outputs with the trained weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.graph.network import Network, build_network
from engine.graph.plan import Plan, input_types, plan_network
from engine.spec.load import load_experiment

BRANCHES = {
    "cluster_summary": (["conv1d", "conv1d_1", "conv1d_2", "constit_final_conv1d"], "lstm"),
    "track_summary": (["conv1d_3", "conv1d_4", "conv1d_5", "track_final_conv1d"], "lstm_1"),
    "segment_summary": (["conv1d_6", "conv1d_7", "MSeg_final_conv1d"], "lstm_2"),
}
"""The original's names of the layers of each branch: the convolutions of width 1, then the LSTM."""
HEAD = ["dense_1", "dense_2", "main_output"]


@pytest.fixture(scope="module")
def plan(repository: Path) -> Plan:
    experiment = load_experiment(repository / "specs" / "calratio.yaml")
    return plan_network(experiment.model, input_types(experiment.data), experiment.conventions)


def published_state(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The published weights under the names of our state."""
    state: dict[str, np.ndarray] = {}
    for node, (layers, lstm) in BRANCHES.items():
        keys = [f"{node}.0_dense.0", *(f"{node}.1_dense.{i}" for i in range(len(layers) - 1))]
        for key, layer in zip(keys, layers, strict=True):
            state[f"{key}.weight"] = weights[f"{layer}.kernel"][0].T
            state[f"{key}.bias"] = weights[f"{layer}.bias"]
        state[f"{node}.2_lstm.weight_ih"] = weights[f"{lstm}.lstm_cell.kernel"].T
        state[f"{node}.2_lstm.weight_hh"] = weights[f"{lstm}.lstm_cell.recurrent_kernel"].T
        state[f"{node}.2_lstm.bias_ih"] = weights[f"{lstm}.lstm_cell.bias"]
    for key, layer in zip(["1_dense.0", "1_dense.1", "2_dense.0"], HEAD, strict=True):
        state[f"jet_class.{key}.weight"] = weights[f"{layer}.kernel"].T
        state[f"jet_class.{key}.bias"] = weights[f"{layer}.bias"]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def jets(file: Path, plan: Plan) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], np.ndarray]:
    """Inputs, masks and the published outputs of 881 real jets."""
    stored = np.load(file)
    names = {"clusters": "constit", "tracks": "track", "segments": "mseg", "jet": "jet"}
    inputs = {name: torch.from_numpy(stored[original]) for name, original in names.items()}
    masks = {name: (inputs[name] != 0).any(-1) for name, value in plan.inputs.items() if value.masked}
    return inputs, masks, stored["pred"]


def test_classification_part_has_60067_parameters(plan: Plan) -> None:
    counts = [node.counts for name, node in plan.nodes.items() if name != "is_data"]
    assert [sum(column) for column in zip(*counts, strict=True)] == [60_067, 0]


def test_adversary_has_661_parameters_of_which_571_are_trainable(plan: Plan) -> None:
    node = plan.nodes["is_data"]
    assert (node.trainable + node.fixed, node.trainable) == (661, 571)


def test_published_weights_give_the_published_outputs(plan: Plan, reference_data: Path) -> None:
    folder = reference_data / "calratio" / "reference"
    network = build_network(plan, seed=1).eval()
    weights = dict(np.load(folder / "keras_testmodel_weights_epoch1.npz"))
    missing, unexpected = network.load_state_dict(published_state(weights), strict=False)
    assert not unexpected
    assert all(name.startswith("is_data.") for name in missing)
    inputs, masks, published = jets(folder / "keras_testmodel_pred_main881.npz", plan)
    with torch.no_grad():
        result = network(inputs, masks, ["jet_class"])["jet_class"].numpy()
    assert np.abs(result - published).max() < 1e-6


def test_only_what_is_asked_for_is_computed(plan: Plan) -> None:
    network = build_network(plan, seed=1)
    called: list[str] = []
    for name, module in network.nodes.items():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    inputs = {"clusters": torch.zeros(2, 30, 12)}
    network(inputs, {"clusters": torch.ones(2, 30, dtype=torch.bool)}, ["cluster_summary"])
    assert called == ["cluster_summary"]
    assert plan.inputs_needed(["cluster_summary"]) == ("clusters",)


def test_logits_and_outputs_belong_together(plan: Plan) -> None:
    network = build_network(plan, seed=1).eval()
    inputs = {name: torch.randn(5, *value.shape) for name, value in plan.inputs.items()}
    values = network(inputs, {}, ["jet_class.logits", "jet_class", "is_data.logits", "is_data"])
    torch.testing.assert_close(values["jet_class.logits"].softmax(-1), values["jet_class"])
    torch.testing.assert_close(values["is_data.logits"].sigmoid(), values["is_data"])


def test_adversary_is_unused_without_its_loss(plan: Plan) -> None:
    assert plan.unused(["jet_class.logits"]) == ("is_data",)
    assert plan.unused(["is_data"]) == ()


def test_planning_needs_neither_torch_nor_numpy_and_is_fast(repository: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, time\n"
        "from engine.spec.load import load_experiment\n"
        "from engine.graph.plan import input_types, plan_network\n"
        f"e = load_experiment({str(repository / 'specs' / 'calratio.yaml')!r})\n"
        "plan_network(e.model, input_types(e.data), e.conventions)\n"
        "start = time.process_time()\n"
        "plan_network(e.model, input_types(e.data), e.conventions)\n"
        "assert time.process_time() - start < 0.02\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_parameters_and_modules_of_nodes(plan: Plan) -> None:
    network: Network = build_network(plan, seed=1)
    adversary = network.parameters_of(["is_data"])
    assert sum(each.numel() for each in adversary) == 571
    others = network.parameters_of([name for name in plan.nodes if name != "is_data"])
    assert {id(each) for each in adversary} | {id(each) for each in others} == {id(e) for e in network.parameters()}
    norms = [each for each in network.modules_of(["is_data"]) if hasattr(each, "running_mean")]
    assert len(norms) == 4
