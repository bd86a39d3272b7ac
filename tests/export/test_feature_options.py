"""Feature options, float16 storage, counted collections, large outputs: the file gives what the training path gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from engine.data.prepare import prepare
from engine.data.readers.base import open_reader
from engine.data.rows import make_rows
from engine.errors import ExportError
from engine.export import export as stage
from engine.export.check import compare
from engine.export.export import export_run
from engine.export.front import nearest_half
from engine.export.predict import prediction_chunks
from engine.files import write_json
from engine.graph.network import build_network
from engine.runs import RunDirectory
from engine.validation import load_planned

SPEC = """
name: options
data:
  collections:
    jets: {pt: jet_pt, eta: jet_eta, phi: jet_phi, label: jet_label, number: jet_number}
    parts: {owner: implicit, f: part_f, eta: part_eta, phi: part_phi, d0: part_d0, charge: part_charge}
  samples: {jets: {files: jets.parquet, rows: jets, constants: {known: 1, mH: 2}}}
  inputs:
    parts:
      of: parts
      order: -f
      where: "abs(d0) < 5"
      keep: 6
      relative_to: RELATIVE
      dtype: STORED
      features:
        f: {log1p: true, scale: fit}
        eta: {mirror: "sum(eta * f)"}
        phi: {clip: fit, range: [-1, 1]}
        d0: {abs: true, log1p: true, clip: [0, 3], fill: 0.5}
        charge: {one_hot: [-1, 0, 1]}
        share: {expression: f, fraction_of: [f, d0]}
        angle: {expression: "atan2(eta, phi) + tan(eta)"}
        distance: {expression: "delta_r(eta, phi, jets.eta, jets.phi)"}
        rapidity: {expression: "asinh(d0) + sinh(eta) - cosh(phi)", scale: 0.1, offset: 1}
        digits: {expression: "log10(f + 1) / 3"}
    jet:
      of: jets
      dtype: STORED
      features: {pt: {scale: fit}, parts: {expression: "count(parts)"}, d: {expression: "maximum(parts.d0)"}}
  targets:
    label: {expression: jets.label, classes: {light: 0, heavy: 1}}
    pt: {expression: "1000 * jets.pt"}
  columns: {number: jets.number, known: constants.known, unknown: constants.mH}
  split: {by: [number]}
  predict: {rows: jets, constants: {known: 3}}
model:
  graph:
    a: {from: parts, layers: [dense: 4, lstm: 4]}
    out: {from: [a, jet], layers: [concat, dense: {units: 2, activation: softmax}]}
    energy: {from: [a, jet], layers: [concat, {dense: 1}, {expression: "1000 * (x + 10)"}]}
training:
  epochs: 1
  streams: {main: {samples: [jets], batch: 64}}
  losses: {t: {cross_entropy: {of: out, target: label}}, r: {squared_error: {of: energy, target: pt}}}
  updates: [{minimize: t + r, optimizer: adam}]
export: [onnx]
"""


def _write_jets(path: Path, rows: int = 300) -> None:
    """Random jets with up to 12 parts each, some of them without a number."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 12, rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    total = int(offsets[-1])
    parts = {name: rng.normal(size=total).astype("f4") for name in ("eta", "phi", "d0")}
    parts["f"] = rng.random(total).astype("f4")
    parts["charge"] = rng.integers(-1, 2, total).astype("f4")
    parts["d0"][::17] = np.nan
    jets = {name: rng.normal(size=rows).astype("f4") for name in ("eta", "phi")}
    jets["pt"] = rng.uniform(20, 3000, rows).astype("f4")
    jets["label"], jets["number"] = rng.integers(0, 2, rows), np.arange(rows)
    columns = {f"jet_{name}": pa.array(values) for name, values in jets.items()}
    columns |= {f"part_{name}": pa.ListArray.from_arrays(offsets, values) for name, values in parts.items()}
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[Any, ...]:
    """Experiment, network and run directory of the spec with its words replaced."""
    stored, relative = getattr(request, "param", ("float32", "row"))
    monkeypatch.chdir(tmp_path)
    _write_jets(tmp_path / "jets.parquet")
    Path("spec.yaml").write_text(SPEC.replace("STORED", stored).replace("RELATIVE", relative))
    experiment, plan = load_planned(Path("spec.yaml"), ())
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    write_json(run.contract, prepare(experiment.data, tmp_path / "prepared", 1).contract())
    return experiment, build_network(plan, 1).eval(), run


@pytest.mark.parametrize(
    "ready", [("float16", "leading"), ("float16", "row"), ("float32", "leading"), ("float32", "row")], indirect=True
)
def test_the_file_agrees_for_every_option(ready: tuple[Any, ...]) -> None:
    _, agreement = export_run(*ready[:2], ("out", "energy"), ready[2])[0]
    assert agreement.rows == 300
    assert agreement.largest < 1e-5


def test_a_file_that_fails_its_check_does_not_stay(ready: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path, tensors: Any, outputs: Any) -> dict[str, Any]:
        return {name: np.full((300, 2), 7.0) for name in outputs}

    monkeypatch.setattr(stage, "run_onnx", wrong)
    monkeypatch.setattr(stage, "write_exported", stage.write_traced)
    with pytest.raises(ExportError, match="differs from the trained network"):
        export_run(*ready[:2], ("out",), ready[2])
    assert list(ready[2].export.iterdir()) == []


def test_constants_of_rows_to_predict_are_those_of_the_spec_or_no_numbers(ready: tuple[Any, ...]) -> None:
    experiment = ready[0]
    data, predict = experiment.data, experiment.data.predict
    reader = open_reader("jets.parquet", None, None)
    _, chunk = next(prediction_chunks(reader, data, predict))
    columns = make_rows(data, data.layouts["default"], predict.rows, None, chunk).columns
    assert np.all(columns["known"] == 3)
    assert np.all(np.isnan(columns["unknown"]))
    reader.close()


def test_the_tolerance_of_a_large_output_is_a_part_of_it() -> None:
    values = np.array([[250_000.0]])
    assert compare("file", {"energy": values}, {"energy": values + 0.25}, 1e-5).largest == pytest.approx(1e-6)
    with pytest.raises(ExportError):
        compare("file", {"energy": values}, {"energy": values + 25}, 1e-5)


def test_float64_is_rounded_to_float16_once() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=200_000) * 10.0 ** rng.integers(-9, 4, 200_000), [2049.0, np.nan, 1e6]])
    values[:1000] = values[:1000].astype("f2").astype("f8") * (1 + 2.0**-11) * (1 + 1e-12)  # just above half a step
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(nearest_half(torch.from_numpy(values)).numpy(), expected)
