"""Variables of an event, which the smartBKG specs make of particles by expressions, against plain loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engine.data.prepare import prepare
from engine.data.readers.base import open_reader
from engine.simulate.smartbkg import simulate
from engine.spec.load import load_experiment

BRANCHES = ("PDG", "charge", "energy", "x", "y", "z", "px", "py", "pz", "nDaughters")


def variables(particles: list[dict[str, float]]) -> dict[str, float]:
    """The variables of one event, from its particles."""
    final = [p for p in particles if p["nDaughters"] == 0]
    tracks, photons = [p for p in final if p["charge"] != 0], [p for p in final if p["PDG"] == 22]
    momentum = {id(p): math.hypot(p["px"], p["py"], p["pz"]) for p in final}
    total = [sum(p[axis] for p in (*tracks, *photons)) for axis in ("px", "py", "pz")]
    return {
        "tracks": sum(math.hypot(p["x"], p["y"]) < 2 and abs(p["z"]) < 4 for p in tracks),
        "photons": len(photons),
        "track_energy": sum(p["energy"] for p in tracks),
        "photon_energy": sum(p["energy"] for p in photons),
        "hardest_track": max((momentum[id(p)] for p in tracks), default=0),
        "hardest_photon": max((momentum[id(p)] for p in photons), default=0),
        "transverse": sum(math.hypot(p["px"], p["py"]) for p in (*tracks, *photons)),
        "missing_momentum": math.hypot(total[0], total[1], 3 - total[2]),
        "missing_energy": 11 - sum(p["energy"] for p in (*tracks, *photons)),
        "forward": total[2] / sum(momentum[id(p)] for p in (*tracks, *photons)),
    }


def test_variables_are_those_of_a_plain_loop(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (path,) = simulate(Path("data/smartbkg"), 80, 3, 1)
    dataset = prepare(load_experiment(repository / "specs" / "smartbkg.yaml").data, Path("prepared"), 1)
    rows = [dataset.rows(["events"], split) for split in ("train", "validation", "test")]
    names = ["event", "selected", *variables([{"nDaughters": 0, "charge": 1, **dict.fromkeys(BRANCHES[:-1], 1.0)}])]
    found = {
        name: np.concatenate([dataset.read([f"column:{name}"], r)[f"column:{name}"] for r in rows]) for name in names
    }
    reader = open_reader(str(path), "pandas_hdf", None)
    read = reader.read([*BRANCHES, "evtNum", "label"], 0, reader.entries)
    assert sorted(found["event"]) == list(range(1, 81))
    for place, event in enumerate(found["event"]):
        entry = int(np.flatnonzero(read["evtNum"] == event)[0])
        offsets = read["PDG"].offsets
        inside = range(int(offsets[entry]), int(offsets[entry + 1]))
        particles = [{name: float(read[name].values[number]) for name in BRANCHES} for number in inside]
        for name, value in variables(particles).items():
            assert found[name][place] == pytest.approx(value, rel=1e-9, abs=1e-9), name
        assert found["selected"][place] == read["label"][entry]
