"""A prepared dataset and an untrained network of the CalRatio spec: what export needs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Untrained:
    """The CalRatio experiment on small simulated files, with the network as it is initialised."""

    experiment: Any
    network: Any
    run: Any
    contract: dict[str, Any]
    workspace: Path


@pytest.fixture(scope="session")
def untrained(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Untrained:
    """Prepared data, network and contract of the shipped CalRatio spec."""
    from engine.data.prepare import prepare
    from engine.files import write_json
    from engine.graph.network import build_network
    from engine.runs import RunDirectory
    from engine.validation import load_planned

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        experiment, plan = load_planned(Path("specs/calratio.yaml"), ())
        dataset = prepare(experiment.data, workspace / "prepared-for-export", 1)
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    write_json(run.contract, dataset.contract())
    network = build_network(plan, experiment.seed).eval()
    return Untrained(experiment, network, run, dataset.contract(), workspace)
