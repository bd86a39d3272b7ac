"""`engine inspect` of specs and of ONNX files: the nodes of the network with their parameters are found again."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from engine.cli import main
from engine.errors import ExportError
from engine.export.anatomy import picture, read_anatomy
from engine.graph.network import Network, build_network
from engine.graph.plan import input_types, plan_network
from engine.spec.load import load_experiment


class Wrapped(nn.Module):
    """The classifier with its inputs as tensors, the way the exporter wraps it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, *tensors: Tensor) -> Tensor:
        inputs = dict(zip(self.network.plan.inputs, tensors, strict=True))
        return self.network(inputs, {}, ["jet_class"])["jet_class"]


@pytest.fixture(scope="module")
def exported(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = load_experiment(repository / "specs" / "calratio.yaml")
    network = build_network(plan_network(experiment.model, input_types(experiment.data), experiment.conventions), 1)
    tensors = tuple(torch.randn(2, *kind.shape) for kind in network.plan.inputs.values())
    path = tmp_path_factory.mktemp("anatomy") / "network.onnx"
    names = list(network.plan.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Wrapped(network), tensors, path, dynamo=False, input_names=names, output_names=["jet_class_output"],
            dynamic_axes={name: {0: "rows"} for name in names},
        )  # fmt: skip
    return path


def test_an_exported_file_has_the_nodes_of_the_network(exported: Path) -> None:
    anatomy = read_anatomy(exported)
    assert list(anatomy.groups) == ["cluster_summary", "track_summary", "segment_summary", "jet_class"]
    assert anatomy.groups["jet_class"].needs[-1] == "jet"
    assert anatomy.groups["jet_class"].parameters == 47_875
    assert "lstm" in anatomy.groups["track_summary"].layers
    assert anatomy.inputs["clusters"] == "rows x 30 x 12"
    assert anatomy.outputs["jet_class_output"] == ("any x 3", "jet_class")
    drawn = picture(anatomy)
    assert all(name in drawn for name in (*anatomy.inputs, *anatomy.groups, *anatomy.outputs))


def test_a_file_that_is_no_onnx_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_text("this is no network")
    with pytest.raises(ExportError, match="cannot be read as ONNX"):
        read_anatomy(path)


def test_the_command_prints_layers_and_draws(repository: Path, exported: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    drawn = tmp_path / "model.svg"
    result = runner.invoke(main, ["inspect", str(repository / "specs" / "smartbkg.yaml"), "-o", str(drawn)])
    assert result.exit_code == 0, result.output
    assert "193,274 parameters" in result.output
    assert drawn.read_text().startswith("<svg")
    other = runner.invoke(main, ["inspect", str(repository / "specs" / "smartbkg.yaml"), "-o", str(tmp_path / "a.png")])
    assert other.exit_code == 2
    assert "a.png: the graph is drawn as SVG" in other.output
    assert not (tmp_path / "a.png").exists()
    deep = runner.invoke(main, ["inspect", str(repository / "specs" / "smartbkg.yaml"), "--deep"])
    assert len(deep.output.splitlines()) > len(result.output.splitlines()) + 30
    onnx = runner.invoke(main, ["inspect", str(exported)])
    assert "47,875" in onnx.output
    missing = runner.invoke(main, ["inspect", str(tmp_path / "nothing")])
    assert missing.exit_code == 2
    assert "there is no" in missing.output
    folder = runner.invoke(main, ["inspect", str(tmp_path)])
    assert "is not the directory of a run" in folder.output
