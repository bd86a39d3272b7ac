"""Checks by metadata: what is wrong with files is said per branch, once, and nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.data.branches import needed_branches, needed_fields
from engine.data.columns import Column, Jagged
from engine.data.inspect_files import check_files, inspect_files
from engine.simulate.calratio import KINDS, write_file
from engine.simulate.root_writer import RootWriter
from engine.spec.sections.data import DataSpec

DATA = """
tree: trees_DV_
on_error: {on_error}
collections:
  event: {{run: runNumber, weight: {{branch: mcEventWeight, default: 1}}}}
  jets: {{pt: jet_pT, eta: jet_eta, unused: no_such_branch}}
  tracks: {{owner: track_jetIndex, pt: track_pT}}
samples:
  all: {{files: ['{folder}/*.root'], rows: jets}}
inputs:
  jet: {{of: jets, features: {{pt: {{}}, eta: {{}}}}}}
  tracks: {{of: tracks, keep: 5, features: {{pt: {{}}}}}}
targets: {{far: {{expression: 'abs(jets.eta)'}}}}
columns: {{run: event.run}}
split: {{by: [run], train: 0.8, validation: 0.1, test: 0.1}}
"""
Section = Callable[..., DataSpec]


def lists(*rows: list[float]) -> Jagged:
    """Lists of doubles."""
    counts = np.array([len(row) for row in rows])
    return Jagged.from_counts(counts, np.array([value for row in rows for value in row], dtype=np.float64))


def columns(**changes: Column | None) -> dict[str, Column]:
    """Two entries with all branches that are needed; changes replace them, None leaves one out."""
    one = Jagged.from_counts(np.array([1, 1]), Jagged.from_counts(np.array([1, 2]), np.zeros(3, dtype=np.int32)))
    whole: dict[str, Column | None] = {
        "runNumber": np.array([1, 2], dtype=np.uint32),
        "jet_pT": lists([1.0], [2.0, 3.0]),
        "jet_eta": lists([1.0], [2.0, 3.0]),
        "track_pT": lists([1.0], [2.0]),
        "track_jetIndex": one,
    }
    return {name: column for name, column in (whole | changes).items() if column is not None}


def write(path: Path, **changes: Column | None) -> None:
    """A file of two entries."""
    with RootWriter(path, "trees_DV_") as writer:
        writer.fill(columns(**changes))


NESTED = Jagged.from_counts(np.array([1, 1]), Jagged.from_counts(np.array([1, 1]), np.zeros(2, np.int32)))


@pytest.fixture
def data(section: Section, tmp_path: Path) -> Callable[[str], DataSpec]:
    """The section above over the files of the test's folder."""
    return lambda on_error="stop": section(DATA.format(folder=tmp_path, on_error=on_error))


def test_good_files_have_no_mistakes_and_are_summarised(data: Callable[..., DataSpec], tmp_path: Path) -> None:
    for name in "abcde":
        write(tmp_path / f"{name}.root")
    inspection = inspect_files(data())
    assert inspection.mistakes == []
    assert [str(sample) for sample in inspection.samples] == ["all: 5 files, 6 entries in the 3 that were opened"]


def test_nothing_is_wrong_while_no_sample_has_files(data: Callable[..., DataSpec]) -> None:
    inspection = inspect_files(data())
    assert (inspection.mistakes, inspection.at_hand) == ([], False)


def test_a_sample_without_files_is_a_mistake_where_others_have_them(section: Section, tmp_path: Path) -> None:
    write(tmp_path / "a.root")
    raw = yaml.safe_load(DATA.format(folder=tmp_path, on_error="skip"))
    raw["samples"]["other"] = {"files": [f"{tmp_path}/a.root", f"{tmp_path}/b*.root"], "rows": "jets"}
    (mistake,) = check_files(section(raw))
    assert mistake.path == ("data", "samples", "other", "files", 1)
    assert mistake.message == f"sample other: no file matches '{tmp_path}/b*.root'"


@pytest.mark.parametrize(
    ("changes", "where", "sentence"),
    [
        ({"jet_pT": None, "jet_PT": lists([1.0], [2.0])}, ("jets", "pt"), "no branch 'jet_pT'; the nearest are jet_PT"),
        ({"runNumber": lists([1.0], [2.0])}, None, None),
        ({"jet_eta": np.zeros(2)}, ("jets", "eta"), "'jet_eta' holds one value an entry, but 'jet_pT' of the same"),
        ({"track_jetIndex": np.zeros(2, np.int32)}, ("tracks", "owner"), "(owner of tracks) holds one value an entry"),
        (
            {"track_pT": NESTED},
            ("tracks", "pt"),
            "'track_pT' holds lists of lists; a field of tracks has one value an object",
        ),
    ],
)
def test_wrong_branches_are_told_at_their_place(
    changes: dict[str, Any],
    where: tuple[str, str] | None,
    sentence: str | None,
    data: Callable[..., DataSpec],
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.root", **changes)
    mistakes = check_files(data())
    if where is None or sentence is None:
        assert mistakes == []
        return
    assert [mistake.path for mistake in mistakes] == [("data", "collections", *where)]
    assert sentence in mistakes[0].message
    assert mistakes[0].message.startswith(f"{tmp_path}/a.root: ")


def test_a_mistake_of_many_files_is_told_once(data: Callable[..., DataSpec], tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.root", jet_eta=None)
    (mistake,) = check_files(data("skip"))
    assert "a.root: there is no branch 'jet_eta'" in mistake.message
    assert mistake.message.endswith("(3 files of the sample all)")


def test_one_bad_file_is_a_note_where_such_files_are_skipped(data: Callable[..., DataSpec], tmp_path: Path) -> None:
    write(tmp_path / "a.root")
    (tmp_path / "b.root").write_bytes((tmp_path / "a.root").read_bytes()[:500])
    assert [mistake.path for mistake in check_files(data("stop"))] == [("data", "samples", "all", "files")]
    inspection = inspect_files(data("skip"))
    assert inspection.mistakes == []
    assert inspection.notes[0].startswith(f"{tmp_path}/b.root: is truncated")


def test_text_where_numbers_are_needed_is_a_mistake(section: Section, reference_data: Path) -> None:
    folder = reference_data / "calratio"
    raw = yaml.safe_load(DATA.format(folder=folder, on_error="stop"))
    raw["samples"]["all"]["files"] = [str(folder / "bib.root")]
    raw["collections"]["event"]["run"] = "campaign"
    (mistake,) = check_files(section(raw))
    assert "branch 'campaign' holds text, but event.run needs numbers" in mistake.message


def test_only_what_is_used_is_needed(data: Callable[..., DataSpec]) -> None:
    spec = data()
    layout, sample = spec.layouts["default"], spec.samples["all"]
    assert needed_fields(spec, layout, sample.rows, sample) == {
        "event": ("run", "weight"),
        "jets": ("pt", "eta"),
        "tracks": ("pt",),
    }
    needed = {branch.branch: branch for branch in needed_branches(spec, layout, sample.rows, sample)}
    assert set(needed) == {"runNumber", "mcEventWeight", "jet_pT", "jet_eta", "track_jetIndex", "track_pT"}
    assert [name for name, branch in needed.items() if branch.optional] == ["mcEventWeight"]
    assert needed["track_jetIndex"].role == "owner"
    prediction = needed_fields(spec, layout, sample.rows, None)
    assert "weight" not in prediction["event"]


def test_slots_of_a_wide_table_are_all_needed(section: Section) -> None:
    raw = yaml.safe_load(DATA.format(folder=".", on_error="stop"))
    raw["collections"]["tracks"] = {
        "owner": "implicit",
        "slots": 3,
        "exists": "track_pt_{i} > 0",
        "pt": "track_pt_{i}",
    }
    spec = section(raw)
    names = [b.branch for b in needed_branches(spec, spec.layouts["default"], spec.samples["all"].rows, None)]
    assert [name for name in names if name.startswith("track")] == [f"track_pt_{i}" for i in range(3)]


def test_six_files_are_checked_in_milliseconds_without_numerical_libraries(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "data" / "calratio"
    folder.mkdir(parents=True)
    for kind in KINDS:
        write_file(folder / f"{kind}.root", kind, 10, 1)
    code = f"""
import sys, time
from engine.spec.load import load_experiment
data = load_experiment({str(repository / "specs" / "calratio.yaml")!r}).data
start = time.process_time()
from engine.data.inspect_files import inspect_files
inspection = inspect_files(data)
seconds = time.process_time() - start
assert not inspection.mistakes, inspection.mistakes
assert [sample.entries for sample in inspection.samples] == [10] * 6
assert not set(sys.modules) & {{"numpy", "torch", "uproot", "awkward", "pyarrow"}}
print(seconds)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2
