"""Every spec that comes with the program as it stands: right, trained for two steps, exported, held against torch."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine import pipeline
from engine.data.prepare import prepare
from engine.data.store import PreparedDataset
from engine.graph.network import build_network
from engine.progress import Progress
from engine.runs import RunDirectory, create_run
from engine.simulate.kinds import simulator
from engine.spec.experiment import Experiment
from engine.training import checkpoint
from engine.validation import load_planned, validate

SPECS = Path(__file__).resolve().parent.parent.parent / "specs"
PARTS = ("blocks", "parts")
NAMES = sorted(
    path.relative_to(SPECS).with_suffix("").as_posix()
    for path in SPECS.rglob("*.yaml")
    if path.relative_to(SPECS).parts[0] not in PARTS
)
FEWEST = 27
QUICK = (
    "calratio",
    "ndive",
    "ndive_ftag/none",
    "smartbkg",
    "smartbkg/bias",
    "smartbkg/particles/CNN_ResNeXt",
    "smartbkg/decay/CNN_LSTM",
)
"""One of each kind; the others are slow."""

SHORT = [
    "training.epochs=1",
    "training.steps_per_epoch=2",
    "training.validations_per_epoch=1",
    "training.histograms_every=0",
    "training.load=null",
    "evaluation.metrics=[]",
    "evaluation.plots=[]",
]
EVENTS = {"calratio": 60, "ndive": 60, "smartbkg": 150}
FIRST = "smartbkg/decay/CNN_decay"
"""The network whose scores the bias network is trained on."""


def marked(name: str) -> object:
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated files of every kind."""
    place = tmp_path_factory.mktemp("every_spec")
    for kind, events in EVENTS.items():
        simulator(kind)(place / "data" / kind, events, 1, 1, None)
    return place


@pytest.fixture(scope="session")
def scored(folder: Path) -> Path:
    """What a network that was hardly trained makes of the simulated decays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run, _ = trained(FIRST)
        output = Path("data/smartbkg_scored.parquet")
        pipeline.predict(run.path, ["data/smartbkg/*.h5"], output, "cpu", 512)
    return folder / output


def short(name: str) -> list[str]:
    """Overrides that make a run small."""
    experiment, _ = load_planned(SPECS / f"{name}.yaml", SHORT)
    batches = [f"training.streams.{stream}.batch=8" for stream in experiment.training.streams]
    phases = [f"training.phases.{index}.load=null" for index in range(len(experiment.training.phases))]
    return [*SHORT, *batches, *phases]


def prepared(experiment: Experiment) -> PreparedDataset:
    """The files of a spec, prepared once for all specs with the same data."""
    data = repr(experiment.document.value["data"]).encode()
    return prepare(experiment.data, Path("prepared", hashlib.sha256(data).hexdigest()[:12]), 1)


def trained(name: str) -> tuple[RunDirectory, list[str]]:
    """A run of a spec, and what it told."""
    experiment, plan = load_planned(SPECS / f"{name}.yaml", short(name))
    dataset = prepared(experiment)
    with Progress() as progress:
        run = create_run(Path("runs"), experiment.name)
        pipeline.start(experiment, dataset, run, "cpu")
        outcome = pipeline.stages(pipeline.Job(experiment, plan, dataset, run, "cpu", progress), resume=False)
    assert outcome.exit_code == 0, outcome.text
    return run, outcome.text.splitlines()


def test_no_spec_is_left_out() -> None:
    assert len(NAMES) >= FEWEST
    assert set(QUICK) <= set(NAMES)


@pytest.mark.parametrize("name", [marked(name) for name in NAMES])
def test_a_spec_is_right_trains_and_is_exported(
    name: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps move most of what can be learnt, and ONNX Runtime agrees with torch on rows of the data.

    A spec without anything to learn needs no exported file.
    """
    if name == "smartbkg/bias":
        request.getfixturevalue("scored")
    monkeypatch.chdir(folder)
    assert "no mistake" in validate(SPECS / f"{name}.yaml", [], schema_only=False, data=True)
    run, told = trained(name)
    experiment, plan = load_planned(run.spec, [])
    start = build_network(plan, experiment.seed).state_dict()
    moved = checkpoint.read_weights(run.checkpoints / "last" / "network.safetensors")
    changed = [key for key in start if not np.array_equal(start[key].numpy(), moved[key].numpy())]
    if not plan.counts[0]:
        assert not changed
        return
    assert len(changed) > 0.5 * len(start)
    assert experiment.export
    agreements = [re.search(r"largest difference (\S+) in (\d+) rows", line) for line in told if "exported" in line]
    assert len(agreements) == len(experiment.export)
    for agreement in agreements:
        assert agreement is not None
        assert float(agreement[1]) < 1e-4
        assert int(agreement[2]) > 0
    onnx.checker.check_model(run.export / "model.onnx")
