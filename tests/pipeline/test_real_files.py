"""Real ROOT files and real pickles together, from the files to an exported network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli import main


def test_real_pickles_and_root_files_train_end_to_end(
    reference_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reference_data / "calratio")
    spec = Path(__file__).parent / "specs" / "calratio_real.yaml"
    places = ["--out", str(tmp_path / "runs"), "--prepared", str(tmp_path / "prepared"), "--workers", "1"]
    result = CliRunner().invoke(main, ["run", str(spec), "--device", "cpu", *places], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    run = tmp_path / "runs" / "calratio_real" / "latest"
    manifest = json.loads((tmp_path / "prepared" / "calratio_real" / "manifest.json").read_text())
    rows = {name: sample["rows"] for name, sample in manifest["samples"].items()}
    assert rows == {
        "sig_125_5": 76, "sig_125_55": 21, "qcd": 226, "bib": 558, "control_mc": 226, "control_data": 223,
    }  # fmt: skip
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["validation.tagging"] for line in epochs if line["kind"] == "epoch"]
    assert losses[-1] < losses[0]
    check = json.loads((run / "export" / "model.json").read_text())["check"]
    assert check["rows"] == 109
    assert check["largest"] < 1e-5
