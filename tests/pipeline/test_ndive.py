"""Vertex finding and flavour tagging from ROOT files to ONNX, on jets of the toy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from engine.cli import main

Run = Callable[..., Path]
JETS = 1200  # of each flavour
MOSTLY_TEST = "data.split={by: [event], train: 0.01, validation: 0.01, test: 0.98}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with files of the toy."""
    from engine.simulate.kinds import simulator

    made = tmp_path_factory.mktemp("ndive")
    simulator("ndive")(made / "data" / "ndive", JETS, 1, 1, None)
    return made


@pytest.fixture(scope="module")
def run(folder: Path, repository: Path) -> Run:
    """`engine run` of a shipped spec with some settings; gives the directory of the run."""

    def call(spec: str, *settings: str) -> Path:
        overrides = [word for setting in settings for word in ("--set", setting)]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            path = str(repository / "specs" / f"{spec}.yaml")
            result = CliRunner().invoke(main, ["run", path, *overrides, "--device", "cpu", "--workers", "1"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return (folder / "runs" / spec.replace("/", "_") / "latest").resolve()

    return call


@pytest.fixture(scope="module")
def ndive(run: Run) -> Path:
    """A short training of the vertex finder."""
    settings = ["training.epochs=6", "training.updates.0.optimizer={novograd: {lr: 5e-3}}", "evaluation.plots=[]"]
    return run("ndive", *settings)


def _headlines(run: Path) -> dict[str, float]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())["headlines"]
    return {entry["label"]: entry["value"] for entry in found.values()}


def test_learnt_weights_fit_better_than_all_tracks_alike(run: Run, ndive: Path) -> None:
    learnt, alike = _headlines(ndive), _headlines(run("ndive/no_selection", "evaluation.plots=[]"))
    for flavour in ("b", "c"):
        label = f"Mean distance of vertex.position from vertex, {flavour} [mm]"
        assert learnt[label] < 0.8 * alike[label]
    for axis in "xyz":
        label = f"Width of the residuals of vertex.position {axis} (68 %) [mm]"
        assert learnt[label] < 0.8 * alike[label]


def test_pulls_have_width_one_when_the_right_tracks_are_known(run: Run) -> None:
    found = _headlines(run("ndive/perfect_selection", MOSTLY_TEST, "evaluation.plots=[]"))
    for axis in "xyz":
        assert found[f"Width of the pulls of vertex.position {axis} (68 %)"] == pytest.approx(1, abs=0.05)
        assert found[f"Mean pull of vertex.position {axis}"] == pytest.approx(0, abs=0.08)


def test_the_tagger_starts_from_the_vertex_finder_and_is_exported_with_its_fit(
    run: Run, ndive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = run("ndive_ftag", "training.epochs=1", "evaluation.plots=[]", "evaluation.metrics=[accuracy]")
    loaded = json.loads((tagger / "environment.json").read_text())["loaded"]
    assert [Path(entry["file"]).is_relative_to(ndive) for entry in loaded] == [True]
    check = json.loads((tagger / "export" / "model.json").read_text())["check"]
    assert check["rows"] > 100
    assert check["largest"] < 1e-5
    monkeypatch.chdir(folder)
    command = ["predict", str(tagger), "data/ndive/jets_000.root", "-o", "scored.parquet", "--device", "cpu"]
    assert CliRunner().invoke(main, command).exit_code == 0
    scored = pq.read_table(folder / "scored.parquet")
    scores = np.stack([scored[name].to_numpy() for name in scored.column_names if name.startswith("flavour")], axis=1)
    assert scores.shape == (3 * JETS, 3)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("variant", ["none", "true_vertex"])
@pytest.mark.slow
def test_the_other_taggers_learn_too(run: Run, variant: str) -> None:
    tagger = run(f"ndive_ftag/{variant}", "training.epochs=10", "evaluation.plots=[]", "evaluation.metrics=[accuracy]")
    assert next(iter(_headlines(tagger).values())) > 0.5
    assert json.loads((tagger / "export" / "model.json").read_text())["check"]["largest"] < 1e-5
