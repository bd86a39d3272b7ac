"""`engine run`: what is there when it is done, and what later commands make of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from click.testing import Result

from engine import stages
from engine.errors import ExportError
from engine.export.front import Front

Engine = Callable[..., Result]


def test_a_run_directory_holds_everything(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert {
        "spec.yaml", "environment.json", "contract.json", "metrics.jsonl", "metrics.json", "report.html",
        "tensorboard", "checkpoints", "plots", "predictions", "export", "stages.json",
    } <= names  # fmt: skip
    assert finished_run.name == "0001"
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert metrics
    assert list((finished_run / "plots").glob("*.png"))
    assert list((finished_run / "plots").glob("*.pdf"))
    assert (finished_run / "export" / "model.onnx").stat().st_size > 100_000


def test_the_kept_spec_is_what_was_run(engine: Engine, finished_run: Path) -> None:
    assert "epochs: 2" in (finished_run / "spec.yaml").read_text()
    result = engine("validate", finished_run / "spec.yaml", "--no-data")
    assert result.exit_code == 0, result.output


def test_validation_rows_are_all_used_and_every_epoch_is_logged_once(finished_run: Path) -> None:
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    epochs = [line["epoch"] for line in lines if line["kind"] == "epoch"]
    assert epochs == [1, 2]


def test_resuming_a_finished_run_changes_nothing(engine: Engine, finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.is_file()}
    result = engine("resume", finished_run, "--device", "cpu")
    assert result.exit_code == 0, result.output
    after = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.is_file()}
    for name in ("stages.json", ".lock"):
        before.pop(finished_run / name, None)
    assert all(after[path] == time for path, time in before.items())


def test_a_run_needs_its_prepared_data_or_the_same_files(engine: Engine, finished_run: Path, workspace: Path) -> None:
    prepared, kept = workspace / "prepared", workspace / "prepared-kept"
    files = workspace / "data" / "calratio"
    source, moved = files / "qcd.root", workspace / "qcd.kept"
    shutil.move(source, moved)
    try:
        without_file = engine("evaluate", finished_run, "--device", "cpu")
        shutil.move(prepared, kept)
        shutil.copyfile(files / "control_mc.root", source)
        other_data = engine("resume", finished_run, "--device", "cpu")
    finally:
        shutil.move(moved, source)
        shutil.rmtree(prepared, ignore_errors=True)
        shutil.move(kept, prepared)
    assert without_file.exit_code == 0, without_file.output
    assert other_data.exit_code == 3
    assert "was trained on other data" in other_data.output


@pytest.mark.parametrize("ending", ["root", "parquet", "h5"])
def test_predictions_stand_next_to_what_identifies_a_row(
    engine: Engine, finished_run: Path, workspace: Path, ending: str
) -> None:
    output = workspace / f"scored.{ending}"
    result = engine("predict", finished_run, "data/calratio/signal_125_55.root", "-o", output, "--device", "cpu")
    assert result.exit_code == 0, result.output
    if ending == "root":
        with uproot.open(output) as file:
            table = file["scores"].arrays(library="np")
    elif ending == "parquet":
        read = pq.read_table(output)
        table = {name: read[name].to_numpy() for name in read.column_names}
    else:
        with h5py.File(output) as file:
            table = {name: dataset[:] for name, dataset in file["scores"].items()}
    scores = [table[f"jet_class_{name}"] for name in ("qcd", "signal", "bib")]
    assert len(scores[0]) > 100
    np.testing.assert_allclose(sum(scores), 1, atol=1e-5)
    assert {"run", "event", "pt", "eta", "phi", "file", "entry"} <= set(table)
    assert table["pt"].min() >= 40


@pytest.mark.parametrize("ending", ["root", "parquet", "h5"])
def test_rows_name_their_file_in_the_order_of_the_command_line(
    engine: Engine, small_run: Callable[..., Path], workspace: Path, ending: str
) -> None:
    run, output = small_run(f"ordered_{ending}"), workspace / f"ordered.{ending}"
    given = ["data/small/signal.parquet", "data/small/*.parquet"]
    result = engine("predict", run, *given, "-o", output, "--device", "cpu")
    assert result.exit_code == 0, result.output
    if ending == "root":
        with uproot.open(output) as file:
            table = file["scores"].arrays(["file", "number"], library="np")
            names = list(file["files"]["name"].array())
    elif ending == "parquet":
        read = pq.read_table(output)
        table = {name: read[name].to_numpy() for name in ("file", "number")}
        names = json.loads(read.schema.metadata[b"files"])
    else:
        with h5py.File(output) as file:
            table = {name: file["scores"][name][:] for name in ("file", "number")}
            names = list(file["files"].asstr()[:])
    assert names == ["data/small/signal.parquet", "data/small/light.parquet"]
    assert (table["number"][table["file"] == 0] >= 1000).all()
    assert (table["number"][table["file"] == 1] < 1000).all()


def test_scores_do_not_replace_what_they_are_made_of(engine: Engine, finished_run: Path, workspace: Path) -> None:
    source, other = (workspace / "data" / "calratio" / f"{name}.root" for name in ("signal_125_55", "qcd"))
    link = workspace / "link.root"
    link.symlink_to(other)
    before = {path: path.read_bytes() for path in (source, other)}
    for output in (source, other, link):
        result = engine("predict", finished_run, source, "-o", output, "--device", "cpu")
        assert result.exit_code == 2, result.output
        assert "is a file of the experiment" in result.output
    link.unlink()
    assert all(path.read_bytes() == content for path, content in before.items())


def test_finished_stages_are_told_where_a_later_one_fails(
    engine: Engine, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> list[str]:
        raise ExportError("no such luck")

    notes = finished_run / "stages.json"
    kept = notes.read_text()
    notes.write_text(json.dumps({name: lines for name, lines in json.loads(kept).items() if name != "export"}))
    monkeypatch.setattr(stages, "export_network", fails)
    try:
        result = engine("resume", finished_run, "--device", "cpu")
    finally:
        notes.write_text(kept)
    assert result.exit_code == 5
    assert "trained 2 epochs" in result.output
    assert "no such luck" in result.output


def test_what_cannot_be_exported_is_told_before_the_training(
    engine: Engine, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ExportError("no such luck")

    monkeypatch.setattr(Front, "_features", fails)
    result = engine("run", "specs/calratio.yaml", "--set", "name=early", "--device", "cpu", "--workers", "1")
    assert result.exit_code == 5, result.output
    assert not list((workspace / "runs" / "early").rglob("metrics.jsonl"))


def test_predicting_a_file_that_is_none_is_a_sentence(engine: Engine, finished_run: Path, workspace: Path) -> None:
    broken = workspace / "broken.root"
    broken.write_bytes((workspace / "data" / "calratio" / "qcd.root").read_bytes()[:5000])
    result = engine("predict", finished_run, broken, "-o", workspace / "no.root", "--device", "cpu")
    assert result.exit_code == 3
    assert "broken.root" in result.output
    assert not (workspace / "no.root").exists()


def test_a_lost_file_shows_in_ledger_and_exit_code(engine: Engine, workspace: Path) -> None:
    extra = workspace / "data" / "calratio" / "qcd_cut_off.root"
    extra.write_bytes((workspace / "data" / "calratio" / "qcd.root").read_bytes()[:20_000])
    try:
        result = engine("prepare", "specs/calratio.yaml", "--prepared", "prepared-lost", "--workers", "1")
    finally:
        extra.unlink()
    assert result.exit_code == 3, result.output
    assert "qcd_cut_off.root" in result.output


def test_a_layer_more_in_yaml_is_a_layer_more_in_the_network(engine: Engine, workspace: Path) -> None:
    text = (workspace / "specs" / "calratio.yaml").read_text()
    changed = text.replace(
        "- dense: {units: 3, activation: softmax}",
        "- dense: {units: 17, activation: gelu}\n        - dense: {units: 3, activation: softmax}",
    )
    (workspace / "specs" / "wider.yaml").write_text(changed.replace("name: calratio", "name: wider"))
    result = engine(
        "run",
        "specs/wider.yaml",
        "--set",
        "training.epochs=1",
        "--device",
        "cpu",
        "--workers",
        "1",
        "--set",
        "export=[]",
    )
    assert result.exit_code == 0, result.output
    assert (workspace / "runs" / "wider" / "0001" / "report.html").is_file()
