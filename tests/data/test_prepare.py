"""Preparation: no-op when up to date, resumable, every lost file in the ledger with its reason."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from engine.data.fingerprint import VERSION
from engine.data.finite import not_finite
from engine.data.prepare import prepare
from engine.data.store import PreparedDataset
from engine.errors import DataError, UsageError

SPEC = """
collections:
  event: {id: id, weight: {branch: w, default: 2}}
  jets: {pt: jet_pt, eta: jet_eta, phi: jet_phi}
  hits: {owner: hit_jet, e: hit_e}
selections: {good: {of: jets, where: pt > 20}}
inputs:
  hits: {of: hits, order: -e, keep: 3, features: {e: {scale: fit}}}
  jet: {of: jets, features: {pt: {clip: fit, range: [0, 1]}, eta: {}}}
targets: {label: {classes: [a, b]}}
columns: {id: event.id, pt: jets.pt}
split: {by: [id], train: 0.7, validation: 0.2, test: 0.1}
"""


def lists(counts, values):
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def write_file(path: Path, events: int, first: int = 0, pt: float = 30.0, without: str = "") -> None:
    rng = np.random.default_rng(first + 1)
    jets, hits = rng.integers(1, 3, events), rng.integers(0, 6, events)
    table = {
        "id": np.arange(first, first + events, dtype=np.uint64),
        "jet_pt": lists(jets, rng.exponential(pt, jets.sum())),
        "jet_eta": lists(jets, rng.normal(0, 1, jets.sum())),
        "jet_phi": lists(jets, rng.uniform(-3, 3, jets.sum())),
        "hit_jet": lists(hits, rng.integers(-1, 2, hits.sum()).astype(np.int32)),
        "hit_e": lists(hits, rng.exponential(1, hits.sum())),
    }
    pq.write_table(pa.table({name: column for name, column in table.items() if name != without}), path)


def samples(folder: Path, **names: str):
    return {
        name: {"files": [str(folder / pattern)], "rows": "good", "label": label}
        for (name, pattern), label in zip(names.items(), "ab", strict=False)
    }


@pytest.fixture
def files(tmp_path):
    for number in range(3):
        write_file(tmp_path / f"a{number}.parquet", 200, first=1000 * number)
    write_file(tmp_path / "b0.parquet", 100, first=9000)
    return tmp_path


@pytest.fixture
def data(section, files):
    return section(SPEC, samples=samples(files, first="a*.parquet", second="b*.parquet"), on_error="skip")


def times(directory: Path):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def content(prepared: PreparedDataset):
    """Every stored value, for comparison."""
    result = {}
    for split in ("train", "validation", "test"):
        rows = prepared.rows(list(prepared.manifest["samples"]), split)
        result |= {
            f"{split} {k}": v.tolist() for k, v in prepared.read(["column:id", "column:pt", "weight"], rows).items()
        }
    result["values"] = [values.tolist() for segment in prepared.segments for _, values in segment.inputs.values()]
    return result | {"manifest": {k: v for k, v in prepared.manifest.items() if k != "ledger"}}


def test_rows_are_stored_by_sample_file_and_entry(data, files):
    prepared = prepare(data, files / "out", 1)
    prepared.verify()
    assert [entry.status for entry in prepared.ledger] == ["ok"] * 4
    assert [segment.sample for segment in prepared.segments] == ["first"] * 3 + ["second"]
    everything = [prepared.rows(["first", "second"], split) for split in ("train", "validation", "test")]
    read = [prepared.read(["column:id", "target:label", "weight", "column:pt"], rows) for rows in everything]
    assert sum(len(rows) for rows in everything) == sum(entry.rows for entry in prepared.ledger)
    for part in read:
        assert part["column:id"].dtype == np.uint64
        assert (np.diff(part["column:id"].astype(int)) >= 0).all()
        np.testing.assert_array_equal(part["target:label"], (part["column:id"] >= 9000).astype(np.int32))
        np.testing.assert_array_equal(part["weight"], 2.0)
        assert (part["column:pt"] > 20).all()
    back = prepared.rows(["second", "first"], "train")
    shuffled = np.random.default_rng(0).permutation(len(back))
    chosen = type(back)(back.segment[shuffled], back.row[shuffled])
    np.testing.assert_array_equal(prepared.read(["column:pt"], chosen)["column:pt"], read[0]["column:pt"][shuffled])


def test_values_are_views_of_the_mapped_file(data, files):
    segment = prepare(data, files / "out", 1).segments[0]
    for _, values in segment.inputs.values():
        assert not values.flags.owndata
        assert not values.flags.writeable
        assert values.dtype == np.float32


def test_many_shards_keep_no_file_open(data, files):
    prepared = prepare(data, files / "out", 1)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    values = [segment.inputs["jet"][1] for segment in prepared.segments]
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    assert all(np.isfinite(array).all() for array in values)


def test_directory_that_cannot_be_written_is_named(data, files):
    (files / "out").write_text("a file")
    with pytest.raises(UsageError, match=r"/out cannot be written \(Not a directory\)"):
        prepare(data, files / "out", 1)


def test_second_run_touches_nothing(data, files):
    prepare(data, files / "out", 1)
    before = times(files / "out")
    again = prepare(data, files / "out", 2, progress=lambda *_: pytest.fail("nothing is to be done"))
    assert times(files / "out") == before
    assert again.rows(["first"], "train")


def test_two_processes_give_what_one_gives(data, files):
    told = []
    many = prepare(data, files / "many", 2, progress=lambda *news: told.append(news))
    assert [done for done, *_ in told] == [1, 2, 3, 4]
    assert content(many) == content(prepare(data, files / "one", 1))
    assert multiprocessing.active_children() == []


def test_new_files_leave_old_shards_and_splits_alone(section, data, files):
    prepare(data, files / "out", 1)
    old = times(files / "out" / "shards")
    ids = prepare(data, files / "out", 1).read(["column:id"], prepare(data, files / "out", 1).rows(["first"], "test"))
    write_file(files / "a0000.parquet", 50, first=500_000)
    more = prepare(data, files / "out", 1)
    new = times(files / "out" / "shards")
    assert {path: new[path] for path in old} == old
    assert len(new) == len(old) + 2
    found = more.read(["column:id"], more.rows(["first"], "test"))["column:id"]
    assert found[found < 500_000].tolist() == ids["column:id"].tolist()
    assert more.segments[0].column("column:id")[0] == 500_000 or more.ledger[0].source.endswith("a0.parquet")


def test_changed_file_is_read_again_and_the_shard_of_a_removed_one_goes(data, files):
    prepare(data, files / "out", 1)
    before = times(files / "out" / "shards")
    write_file(files / "a1.parquet", 300, first=70_000)
    (files / "a2.parquet").unlink()
    prepared = prepare(data, files / "out", 1)
    after = times(files / "out" / "shards")
    assert len(after) == len(before) - 2
    assert sum(after[path] != before[path] for path in after) == 2
    assert prepared.manifest["samples"]["first"]["rows"] == sum(e.rows for e in prepared.ledger if e.sample == "first")


def test_transforms_can_change_without_reading_files_again(section, data, files):
    prepare(data, files / "out", 1)
    before = times(files / "out" / "shards")
    text = SPEC.replace("{scale: fit}", "{scale: 2}").replace("eta: {}", "eta: {abs: true}")
    changed = section(text, samples=samples(files, first="a*.parquet", second="b*.parquet"), on_error="skip")
    assert prepare(changed, files / "out", 1).transforms("hits")[0].scale == 2
    assert times(files / "out" / "shards") == before
    ordered = section(SPEC.replace("-e", "e"), samples=samples(files, first="a*.parquet"), on_error="skip")
    prepare(ordered, files / "out", 1)
    assert not set(times(files / "out" / "shards").values()) & set(before.values())


@pytest.mark.parametrize(
    ("harm", "status", "reason"),
    [
        (lambda path: write_file(path, 0), "empty", r"a1\.parquet: the file has no entries"),
        (lambda path: write_file(path, 40, pt=0.1), "empty", r"a1\.parquet: none of its 40 entries gives a row"),
        (
            lambda path: write_file(path, 9, without="hit_e"),
            "skipped",
            r"a1\.parquet: there is no branch 'hit_e'; .*hits",
        ),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "skipped", r"a1\.parquet"),
        (lambda path: path.write_bytes(b""), "skipped", r"a1\.parquet"),
    ],
)
def test_lost_file_is_in_the_ledger_with_its_reason(harm, status, reason, data, files):
    harm(files / "a1.parquet")
    prepared = prepare(data, files / "out", 1)
    lost = [entry for entry in prepared.ledger if entry.lost]
    assert [(Path(entry.source).name, entry.status, entry.rows) for entry in lost] == [("a1.parquet", status, 0)]
    assert re.search(reason, lost[0].reason)
    assert prepare(data, files / "out", 1).ledger == prepared.ledger
    assert [segment.sample for segment in prepared.segments] == ["first", "first", "second"]


def test_a_list_in_a_collection_of_one_value_an_entry_makes_no_rows(section, files):
    """It would make a row of each of its values."""
    raw = yaml.safe_load(SPEC)
    raw["collections"]["event"]["pt"] = "jet_pt"
    raw["inputs"]["event"] = {"of": "event", "features": {"pt": {}}}
    data = section(raw, samples=samples(files, first="a0.parquet"), on_error="stop")
    with pytest.raises(DataError, match=r"a0\.parquet: branch 'id' holds one value an entry, but 'jet_pt' of the same"):
        prepare(data, files / "out", 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_lost_file_stops_the_preparation_where_the_spec_says_so(section, files, workers):
    os.truncate(files / "a1.parquet", 500)
    data = section(SPEC, samples=samples(files, first="a*.parquet"), on_error="stop")
    with pytest.raises(DataError, match=r"a1\.parquet.*on_error: skip"):
        prepare(data, files / "out", workers)
    assert not (files / "out" / "manifest.json").exists()
    write_file(files / "a1.parquet", 10, first=50)
    assert prepare(data, files / "out", workers).manifest["samples"]["first"]["rows"] > 0


def test_more_lost_files_than_allowed_are_an_error(section, files):
    os.truncate(files / "a1.parquet", 500)
    for allowed, passes in ((0.34, True), (0.33, False)):
        data = section(SPEC, samples=samples(files, first="a*.parquet"), on_error="skip", max_lost=allowed)
        if passes:
            assert prepare(data, files / "out", 1).ledger[1].lost
            continue
        with pytest.raises(DataError, match=r"the sample first lost 1 of its 3 files, more than `max_lost: 0.33`"):
            prepare(data, files / "out", 1)


def test_pattern_without_files_and_dataset_without_rows_are_errors(section, files):
    with pytest.raises(DataError, match=r"the sample first has no files: no file matches '.*zz\*\.parquet'"):
        prepare(section(SPEC, samples=samples(files, first="zz*.parquet")), files / "out", 1)
    write_file(files / "c.parquet", 10, pt=0.1)
    with pytest.raises(DataError, match="no file gave a row"):
        prepare(section(SPEC, samples=samples(files, first="c.parquet"), on_error="skip"), files / "out", 1)


def test_real_files_that_the_original_lost_are_in_the_ledger(spec_section, reference_data, tmp_path):
    data = spec_section("converted.yaml", on_error="skip", max_lost=1)
    folder = reference_data / "calratio"
    names = ["bib.root", "empty_divert_analysis_file.root", "short_divert_analysis_file.root", "cut.root"]
    (tmp_path / "cut.root").write_bytes((folder / "sig_311314_bad_object_small.root").read_bytes()[:1_000_000])
    more = {
        "qcd": [str((folder if name != "cut.root" else tmp_path) / name) for name in names],
        "bib": [str(folder / name) for name in ("bib.root", "bib_25563461_slice_error.root")],
    }
    changed = {name: replace(sample, files=more.get(name, sample.files)) for name, sample in data.samples.items()}
    data = replace(data, samples=changed)
    ledger = {Path(e.source).name + " " + e.sample: e for e in prepare(data, tmp_path / "out", 2).ledger}
    assert ledger["bib.root qcd"].status == "skipped"
    assert "mcEventWeight" in ledger["bib.root qcd"].reason
    assert ledger["empty_divert_analysis_file.root qcd"].status == "empty"
    assert ledger["bib_25563461_slice_error.root bib"].status == "empty"
    assert ledger["cut.root qcd"].status == "skipped"
    assert ledger["bib.root bib"].rows == ledger["short_divert_analysis_file.root qcd"].rows == 1


def test_damaged_shard_is_found(data, files):
    prepared = prepare(data, files / "out", 1)
    shard = files / "out" / prepared.manifest["shards"][1]["file"]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    shard.write_bytes(damaged)
    with pytest.raises(DataError, match=f"{shard.name} is damaged"):
        PreparedDataset.open(files / "out").verify()
    shard.unlink()
    expected = {key: value for key, value in content(prepare(data, files / "fresh", 1)).items() if key != "manifest"}
    repaired = prepare(data, files / "out", 1)
    repaired.verify()
    assert {key: value for key, value in content(repaired).items() if key != "manifest"} == expected


def test_damaged_shard_is_made_again(data, files, caplog):
    prepared = prepare(data, files / "out", 1)
    expected, before = content(prepared), times(files / "out" / "shards")
    shard = files / "out" / prepared.manifest["shards"][1]["file"]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    shard.write_bytes(damaged)
    repaired = prepare(data, files / "out", 1)
    assert content(repaired) == expected
    assert f"{shard} is damaged" in caplog.text
    after = times(files / "out" / "shards")
    assert {name for name in before if before[name] != after[name]} == {shard, shard.with_suffix(".json")}


def test_damaged_manifest_and_receipts_are_made_again(data, files):
    expected = content(prepare(data, files / "out", 1))
    (files / "out" / "manifest.json").write_text("{")
    for receipt in (files / "out" / "shards").glob("*.json"):
        receipt.write_text("[]")
    with pytest.raises(DataError, match="cannot be read"):
        PreparedDataset.open(files / "out")
    assert content(prepare(data, files / "out", 1)) == expected
    assert json.loads((files / "out" / "manifest.json").read_text())["version"] == VERSION


def test_value_too_large_for_float16_is_an_error_and_no_infinity(section, files):
    text = SPEC.replace("features: {pt: {clip", "dtype: float16, features: {large: {expression: pt * 1e6}, pt: {clip")
    data = section(text, samples=samples(files, first="a0.parquet"), on_error="stop")
    with pytest.raises(DataError, match=r"a0\.parquet: the feature large of the input jet reaches .* float16 holds"):
        prepare(data, files / "out", 1)


def test_float16_is_stored_as_such(section, files):
    text = SPEC.replace("keep: 3,", "keep: 3, dtype: float16,")
    prepared = prepare(section(text, samples=samples(files, first="a0.parquet")), files / "out", 1)
    assert prepared.segments[0].inputs["hits"][1].dtype == np.float16
    assert prepared.segments[0].inputs["jet"][1].dtype == np.float32


def test_contract_changes_with_the_content_only(section, data, files):
    one, other = prepare(data, files / "out", 1).contract(), prepare(data, files / "other", 2).contract()
    assert one == other
    write_file(files / "a1.parquet", 200, first=1)
    assert prepare(data, files / "out", 1).contract()["content"] != one["content"]


SCRIPT = """
import sys, yaml
from pathlib import Path
from engine.data.prepare import prepare
from engine.spec.build_data import build_data
if __name__ == "__main__":
    prepare(build_data(yaml.safe_load(Path(sys.argv[1]).read_text())), Path(sys.argv[2]), int(sys.argv[3]))
"""


def start(folder: Path, data, workers: int, out: str = "out") -> subprocess.Popen:
    """A preparation in a process of its own."""
    (folder / "spec.yaml").write_text(yaml.safe_dump(dict(data.raw), sort_keys=False))
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    arguments = [sys.executable, str(folder / "script.py"), str(folder / "spec.yaml"), str(folder / out), str(workers)]
    return subprocess.Popen(arguments, start_new_session=True)


def processes_of_session(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_preparation_is_continued(section, tmp_path, workers):
    for number in range(12):
        write_file(tmp_path / f"a{number:02}.parquet", 3000, first=10_000 * number)
    data = section(SPEC, samples=samples(tmp_path, first="a*.parquet"))
    process = start(tmp_path, data, workers)
    shards = tmp_path / "out" / "shards"
    limit = time.monotonic() + 60
    while len(list(shards.glob("*.json"))) < 3 and time.monotonic() < limit:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while processes_of_session(process.pid) and time.monotonic() < limit:
        time.sleep(0.02)
    assert processes_of_session(process.pid) == [], "workers outlive the process that started them"
    assert not (tmp_path / "out" / "manifest.json").exists()
    kept = times(shards)
    finished = {path: kept[path] for path in kept if path.suffix == ".json"}
    assert 3 <= len(finished) < 12
    expected = content(prepare(data, tmp_path / "fresh", 1))
    assert content(prepare(data, tmp_path / "out", 1)) == expected
    assert {path: times(shards)[path] for path in finished} == finished
    assert list(shards.glob(".*.part")) == []


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_nothing(section, tmp_path):
    for number in range(16):
        write_file(tmp_path / f"a{number:02}.parquet", 3000, first=10_000 * number)
    data = section(SPEC, samples=samples(tmp_path, first="a*.parquet"))
    moments = np.random.default_rng(4).uniform(0.5, 2.0, 10)
    for moment in moments:
        process = start(tmp_path, data, 2)
        time.sleep(moment)
        process.kill()
        process.wait()
    assert content(prepare(data, tmp_path / "out", 2)) == content(prepare(data, tmp_path / "fresh", 1))
    PreparedDataset.open(tmp_path / "out").verify()


def test_two_preparations_at_once_wait_for_each_other(section, tmp_path):
    for number in range(4):
        write_file(tmp_path / f"a{number}.parquet", 2000, first=10_000 * number)
    data = section(SPEC, samples=samples(tmp_path, first="a*.parquet"))
    both = [start(tmp_path, data, 1) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    prepared = PreparedDataset.open(tmp_path / "out")
    prepared.verify()
    assert content(prepared) == content(prepare(data, tmp_path / "fresh", 1))


def test_features_of_objects_are_counted_over_all_files_of_a_sample(section, files):
    raw = yaml.safe_load(SPEC)
    raw["inputs"]["hits"]["features"]["root"] = {"expression": "sqrt(e - 1)"}
    prepared = prepare(section(raw, samples=samples(files, first="a*.parquet", second="b*.parquet")), files / "out", 1)
    found = {each.sample: each for each in not_finite(prepared)}
    for name, each in found.items():
        segments = [segment for segment in prepared.segments if segment.sample == name]
        values = np.concatenate([segment.inputs["hits"][1][:, 1] for segment in segments])
        assert (each.feature, each.number, each.values) == ("hits.root", np.isnan(values).sum(), len(values))
        assert 0 < each.number < each.values
    assert set(found) == {"first", "second"}
