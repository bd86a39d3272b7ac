"""The written file is the trained network, for any number of rows and objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from engine.errors import ExportError
from engine.export.check import compare
from engine.export.deployed import deployed_network
from engine.export.export import export_run
from engine.export.onnx import example, run_onnx, write_exported


@pytest.fixture(scope="module")
def exported(untrained: Any) -> tuple[Path, Any]:
    """The file that the shipped spec asks for, and how well it agrees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(untrained.workspace)
        return export_run(untrained.experiment, untrained.network, ("jet_class",), untrained.run)[0]


def test_the_file_agrees_with_torch_on_rows_of_the_experiments_files(exported: tuple[Path, Any]) -> None:
    _, agreement = exported
    assert agreement.rows > 50
    assert agreement.largest < 1e-5


@pytest.mark.parametrize(("rows", "objects"), [(1, 1), (7, 45), (300, 12)])
def test_rows_and_objects_are_dynamic(untrained: Any, exported: tuple[Path, Any], rows: int, objects: int) -> None:
    path, _ = exported
    deployed, raw = deployed_network(untrained.experiment, untrained.network, ("jet_class",), untrained.contract)
    generator = torch.Generator().manual_seed(rows)
    tensors = {
        name: torch.rand(tensor.shape, generator=generator) * 100 if tensor.dtype == torch.float32 else tensor
        for name, tensor in example(raw, rows, objects).items()
    }
    with torch.no_grad():
        expected = deployed(*(tensors[name] for name in raw.names))[0].numpy()
    found = run_onnx(path, tensors, ("jet_class",))["jet_class"]
    assert found.shape == (rows, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_the_file_says_what_it_wants_and_what_it_gives(exported: tuple[Path, Any]) -> None:
    path, _ = exported
    model = onnx.load(path)
    facts = json.loads(next(item.value for item in model.metadata_props if item.key == "engine"))
    assert facts["inputs"]["clusters"]["fields"][0] == "pt"
    assert facts["units"]["clusters.pt"] == "MeV"
    assert facts["units"]["jets.pt"] == "GeV"
    assert facts["outputs"] == {"jet_class": {"classes": ["qcd", "signal", "bib"]}}
    beside = json.loads(path.with_suffix(".json").read_text())
    assert beside.pop("check")["rows"] > 50
    assert facts == beside
    assert [node.op_type for node in model.graph.node].count("LSTM") == 3


@pytest.mark.slow
def test_the_way_through_torch_export_gives_the_same_file_content(untrained: Any, tmp_path: Path) -> None:
    deployed, raw = deployed_network(untrained.experiment, untrained.network, ("jet_class",), untrained.contract)
    write_exported(deployed, tmp_path / "other.onnx", {}, 18)
    tensors = example(raw, 5, 37)
    with torch.no_grad():
        expected = deployed(*(tensors[name] for name in raw.names))[0].numpy()
    np.testing.assert_allclose(
        run_onnx(tmp_path / "other.onnx", tensors, ("jet_class",))["jet_class"], expected, atol=1e-5
    )


def test_a_difference_is_told_with_its_row_and_size() -> None:
    expected = {"score": np.zeros((3, 1))}
    found = {"score": np.array([[0.0], [2e-5], [0.0]])}
    with pytest.raises(ExportError, match=r"differs from the trained network by 2e-05 in score \(row 1\)"):
        compare("model.onnx", expected, found, 1e-5)
    with pytest.raises(ExportError, match="row 2"):
        compare("model.onnx", expected, {"score": np.array([[0.0], [0.0], [np.nan]])}, 1e-5)
