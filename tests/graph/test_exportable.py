"""Networks go through torch.export and the ONNX exporter with a dynamic batch, whatever blocks they are made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.graph.network import Network, build_network
from engine.graph.plan import input_types, plan_network
from engine.graph.types import TensorType
from engine.spec.load import load_experiment

MakeNetwork = Callable[..., Network]

MANY_BLOCKS = """
graph:
  codes: {from: row, layers: [select: [0, 1], embedding: {size: 3, vocabulary: 5}]}
  convolved:
    from: objects
    layers:
      - batch_norm
      - conv1d: {filters: 8, kernel: 4, activation: leaky_relu}
      - pool1d: {size: 2, kind: mean}
      - gru: {units: 4, return: sequence}
      - lstm: 3
  attended:
    from: [objects, {broadcast: row}]
    layers: [concat, dense: 6, attention: {heads: 2}, layer_norm, softmax_pool]
  paired:
    from: objects
    layers:
      - pairs: add
      - activation: tanh
      - einsum: {equation: "nmf, fg -> ng", parameters: [w], sizes: {g: 2}}
      - max_pool
  free: {layers: [parameter: {shape: [2], initialisation: ones}]}
  out:
    from: [codes, convolved, attended, paired, free]
    layers: [concat, expression: "x / (1 + abs(x))", dense: {units: 3, activation: softmax}]
"""


class Flat(nn.Module):
    """A network with its inputs and masks as a flat list of tensors."""

    def __init__(self, network: Network, output: str) -> None:
        super().__init__()
        self.network = network
        self.output = output
        self.names = list(network.plan.inputs)
        self.masked = [name for name, value in network.plan.inputs.items() if value.masked]

    def forward(self, *tensors: Tensor) -> Tensor:
        inputs = dict(zip(self.names, tensors, strict=False))
        masks = dict(zip(self.masked, tensors[len(self.names) :], strict=True))
        return self.network(inputs, masks, [self.output])[self.output]


def tensors(inputs: dict[str, TensorType], rows: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows)
    values = [torch.randn(rows, *value.shape, generator=generator) for value in inputs.values()]
    masks = [torch.rand(rows, *value.objects, generator=generator) < 0.7 for value in inputs.values() if value.masked]
    return values + masks


def calratio(repository: Path) -> Network:
    experiment = load_experiment(repository / "specs" / "calratio.yaml")
    return build_network(plan_network(experiment.model, input_types(experiment.data), experiment.conventions), 1)


@pytest.fixture
def many_blocks(make_network: MakeNetwork) -> Network:
    return make_network(MANY_BLOCKS, {"objects": TensorType((7, 6), masked=True), "row": TensorType((5,))})


def captured(network: Network, output: str) -> tuple[Flat, torch.export.ExportedProgram]:
    """The graph that torch.export makes of a network, for any batch size."""
    flat = Flat(network.eval(), output)
    example = tuple(tensors(dict(network.plan.inputs), 3))
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    shapes = {"tensors": tuple({0: batch} for _ in example)}
    return flat, torch.export.export(flat, example, dynamic_shapes=shapes, strict=False)


def check_captured(network: Network, output: str) -> None:
    """Captured with one batch size, the graph gives the same values for others."""
    flat, program = captured(network, output)
    for rows in (1, 7):
        values = tensors(dict(network.plan.inputs), rows)
        torch.testing.assert_close(program.module()(*values), flat(*values))


def check_onnx(network: Network, output: str, file: Path) -> None:
    """The same through ONNX and onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    flat, program = captured(network, output)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(program, f=file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        values = tensors(dict(network.plan.inputs), rows)
        feed = {each.name: value.numpy() for each, value in zip(session.get_inputs(), values, strict=True)}
        with torch.no_grad():
            np.testing.assert_allclose(session.run(None, feed)[0], flat(*values).numpy(), atol=1e-5)


@pytest.mark.slow
def test_calratio_network_can_be_captured(repository: Path) -> None:
    check_captured(calratio(repository), "jet_class")


def test_a_network_of_many_blocks_can_be_captured(many_blocks: Network) -> None:
    check_captured(many_blocks, "out")


@pytest.mark.slow
def test_calratio_network_goes_to_onnx_with_three_lstm_nodes(repository: Path, tmp_path: Path) -> None:
    check_onnx(calratio(repository), "jet_class", tmp_path / "calratio.onnx")
    onnx = pytest.importorskip("onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "calratio.onnx").graph.node]
    assert kinds.count("LSTM") == 3


@pytest.mark.slow
def test_a_network_of_many_blocks_goes_to_onnx(many_blocks: Network, tmp_path: Path) -> None:
    check_onnx(many_blocks, "out", tmp_path / "many.onnx")
