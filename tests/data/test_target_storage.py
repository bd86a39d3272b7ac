"""Targets of vectors, objects and pairs through the prepared dataset: stored, read, gathered into batches."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from engine.data.collections import Chunk
from engine.data.columns import Jagged
from engine.data.loader import Batch, Loader, sequential
from engine.data.prepare import prepare
from engine.data.rows import RowTable, make_rows
from engine.errors import DataError
from engine.simulate.root_writer import RootWriter
from engine.spec.sections import StreamSpec
from engine.spec.sections.data import DataSpec

SPEC = yaml.safe_load((Path(__file__).parent / "specs" / "decays.yaml").read_text())["data"]
KEEP = 4
JETS = 700


def make_chunk(jets: int = JETS, seed: int = 1) -> dict[str, np.ndarray | Jagged]:
    """Jets of 0 to 9 tracks and 0 to 2 hadrons; some light."""
    random = np.random.default_rng(seed)
    tracks, hadrons = random.integers(0, 10, jets), random.integers(0, 3, jets)
    chunk: dict[str, np.ndarray | Jagged] = {
        "jet_pt": random.uniform(20, 200, jets).astype(np.float32),
        "jet_phi": random.uniform(-3, 3, jets).astype(np.float32),
        "jet_eta": random.uniform(-2, 2, jets).astype(np.float32),
        "jet_flav": random.choice(np.array([0, 4, 5, 15], np.int32), jets),
        "eventnb": np.arange(jets, dtype=np.int32) + 1000 * seed,
    }
    for name in ("trk_pt", "trk_d0", "trk_d0err", "trk_phi", "trk_eta", "trk_ctgtheta"):
        chunk[name] = Jagged.from_counts(tracks, random.uniform(0.1, 60, tracks.sum()).astype(np.float32))
    for name, low in (("trk_vtx_index", 0), ("trk_origin", -1)):
        chunk[name] = Jagged.from_counts(tracks, random.integers(low, 4, tracks.sum()).astype(np.int32))
    for name in ("hadron_decx", "hadron_decy", "hadron_decz"):
        chunk[name] = Jagged.from_counts(hadrons, random.normal(0, 5, hadrons.sum()).astype(np.float32))
    return chunk


def write(path: Path, chunk: Chunk) -> None:
    """One entry a jet, as Parquet or as ROOT."""
    if path.suffix == ".root":
        with RootWriter(path, "tree") as writer:
            writer.fill(chunk)
        return

    def arrow(column: Any) -> pa.Array:
        if not isinstance(column, Jagged):
            return pa.array(column)
        return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), pa.array(column.values))

    pq.write_table(pa.table({name: arrow(column) for name, column in chunk.items()}), path)


def section_of(section: Any, pattern: Path, **changes: Any) -> DataSpec:
    files = {"format": "root", "tree": "tree"} if pattern.suffix == ".root" else {"format": "parquet"}
    return section({**SPEC, **files, "samples": {"jets": {"files": [str(pattern)], "rows": "jets"}}, **changes})


def rows_of(data: DataSpec, chunk: Chunk) -> RowTable:
    sample = data.samples["jets"]
    return make_rows(data, data.layouts["default"], sample.rows, sample, chunk)


def padded(table: RowTable, name: str, classes: bool) -> np.ndarray:
    """A target of objects as a batch has it, by plain loops."""
    lists = table.targets[name]
    width = lists.values.shape[1]
    result = np.full((len(table), KEEP, width), -1 if classes else np.nan, np.int64 if classes else np.float32)
    for row in range(len(table)):
        for slot, values in enumerate(lists.values[lists.offsets[row] : lists.offsets[row + 1]].tolist()):
            coded = lists.values.dtype != np.float32
            result[row, slot] = [np.nan if coded and not classes and v < 0 else v for v in values]
    return result[:, :, 0] if width == 1 else result


OBJECTS = {"origin": True, "from_hadron": False, "direction": False, "turned": False}
PAIRS = {"same_vertex": False, "distance": False, "combination": True}
LISTED = OBJECTS | PAIRS


@pytest.fixture(scope="module", params=["parquet", "root"])
def made(request: pytest.FixtureRequest, section: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two files prepared, and the same rows straight from the arrays, in the order of the files."""
    folder = tmp_path_factory.mktemp("decays")
    chunks = [make_chunk(seed=1), make_chunk(seed=2)]
    for number, chunk in enumerate(chunks):
        write(folder / f"jets{number}.{request.param}", chunk)
    data = section_of(section, folder / f"*.{request.param}")
    tables = [rows_of(data, chunk) for chunk in chunks]
    return prepare(data, folder / "prepared", 1), Expected(tables)


class Expected:
    """The targets of all rows of a split, in their order."""

    def __init__(self, tables: list[RowTable]) -> None:
        self.tables = tables
        self._whole = {
            name: [padded(t, name, LISTED[name]) if name in LISTED else t.targets[name] for t in tables]
            for name in tables[0].targets
        }

    def __call__(self, name: str, split: int) -> np.ndarray:
        parts = zip(self._whole[name], self.tables, strict=True)
        return np.concatenate([values[table.split == split] for values, table in parts])


def test_what_is_read_is_what_was_prepared(made: Any) -> None:
    dataset, expected = made
    for number, split in enumerate(("train", "validation", "test")):
        rows = dataset.rows(["jets"], split)
        assert len(rows) > 100
        for name in LISTED:
            found = dataset.read_objects(f"target:{name}", rows)
            np.testing.assert_array_equal(found, expected(name, number), strict=True)
        for name in ("flavour", "vertex", "decay", "length"):
            found = dataset.read([f"target:{name}"], rows)[f"target:{name}"]
            np.testing.assert_array_equal(found, expected(name, number), strict=True)


def test_the_manifest_tells_what_a_target_is(made: Any) -> None:
    facts = made[0].manifest["targets"]
    assert facts["flavour"] == {
        "classes": ["light", "c", "b"], "kind": "row", "of": None, "components": [], "unit": None, "dtype": "int32",
    }  # fmt: skip
    assert (facts["vertex"]["components"], facts["vertex"]["unit"]) == (["x", "y", "z"], "mm")
    assert facts["decay"]["components"] == ["0", "1"]
    assert (facts["origin"]["kind"], facts["origin"]["of"], facts["origin"]["dtype"]) == ("objects", "tracks", "int8")
    assert (facts["same_vertex"]["kind"], facts["same_vertex"]["dtype"]) == ("pairs", "int8")
    assert facts["distance"]["dtype"] == "float32"
    assert made[0].contract()["targets"] == facts


@pytest.mark.parametrize("memory", [None, 60_000])
def test_batches_have_the_targets_of_their_rows(made: Any, memory: int | None) -> None:
    dataset, expected = made
    loader = Loader(dataset, [StreamSpec("main", ("jets",), 64, ("training",))], seed=3, memory=memory)
    assert loader.resident == (memory is None)
    seen: set[int] = set()
    for batches in itertools.islice(loader, 20):
        assert_targets(batches["main"], expected, 0)
        seen.update(batches["main"].rows.tolist())
    assert len(seen) > 500


def assert_targets(batch: Batch, expected: Expected, split: int) -> None:
    assert batch.targets["vertex"].shape == (len(batch.rows), 3)
    assert batch.targets["origin"].shape == (len(batch.rows), KEEP)
    assert batch.targets["direction"].shape == (len(batch.rows), KEEP, 2)
    assert batch.targets["same_vertex"].shape == (len(batch.rows), KEEP, KEEP)
    for name, found in batch.targets.items():
        assert found.dtype == (torch.int64 if name in ("flavour", "origin", "combination") else torch.float32)
        np.testing.assert_array_equal(found.numpy(), expected(name, split)[batch.rows], err_msg=name)
    for name in OBJECTS:
        target = batch.targets[name].float().reshape(*batch.masks["tracks"].shape, -1)[:, :, 0]
        assert (target[~batch.masks["tracks"]].isnan() | (target[~batch.masks["tracks"]] == -1)).all()


def test_validation_shows_every_row_with_its_targets(made: Any) -> None:
    dataset, expected = made
    batches = list(sequential(dataset, ["jets"], "validation", 50))
    assert sum(len(batch.rows) for batch in batches) == sum(int((t.split == 1).sum()) for t in expected.tables)
    for batch in batches:
        assert_targets(batch, expected, 1)


def test_weights_start_from_expressions(made: Any) -> None:
    """`balanced` is 1 / tracks x pt, and then its classes have equal sums."""
    dataset, expected = made
    rows = dataset.rows(["jets"], "train")
    found = dataset.read(["weight:shared", "weight:balanced", "target:flavour", "column:pt"], rows)
    shared = np.concatenate([t.factors["shared"][t.split == 0] for t in expected.tables])
    np.testing.assert_array_equal(found["weight:shared"], shared)
    flavour, weight = found["target:flavour"], found["weight:balanced"]
    sums = [weight[flavour == index].sum() for index in range(3)]
    np.testing.assert_allclose(sums, sums[-1], rtol=1e-12)
    for index in range(3):
        ratio = (weight / (shared * found["column:pt"]))[flavour == index]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    none = flavour < 0
    np.testing.assert_allclose(weight[none], (shared * found["column:pt"])[none], rtol=1e-12)
    batch = next(iter(sequential(dataset, ["jets"], "train", len(rows))))
    np.testing.assert_array_equal(batch.weights["balanced"], weight.astype(np.float32))


def test_reading_objects_as_rows_and_rows_as_objects_is_told(made: Any) -> None:
    dataset = made[0]
    rows = dataset.rows(["jets"], "test")
    with pytest.raises(DataError, match="the target 'origin' has a value for each of the row's objects"):
        dataset.read(["target:origin"], rows)
    with pytest.raises(DataError, match="has no target 'vertex' of objects or pairs; it has origin, from_hadron"):
        dataset.read_objects("target:vertex", rows)


@pytest.mark.parametrize(
    ("kind", "key", "value", "again"),
    [
        ("targets", "origin", {"of": "tracks", "expression": "origin", "classes": {"b": 0, "other": 1}}, True),
        ("targets", "vertex", {"expression": {"x": "first(hadrons.x)", "y": "first(hadrons.z)"}}, True),
        ("weights", "shared", {"expression": "2 / max(1, count(tracks))"}, True),
        ("weights", "balanced", {"of": "shared", "expression": "jets.pt", "balance": "flavour", "to": "c"}, False),
    ],
)
def test_what_a_shard_depends_on_is_prepared_again(
    section: Any, tmp_path: Path, kind: str, key: str, value: Any, again: bool
) -> None:
    write(tmp_path / "jets.parquet", make_chunk(50))
    first = prepare(section_of(section, tmp_path / "*.parquet"), tmp_path / "out", 1)
    changed = section_of(section, tmp_path / "*.parquet", **{kind: {**SPEC[kind], key: value}})
    second = prepare(changed, tmp_path / "out", 1)
    assert second.manifest["fingerprint"] != first.manifest["fingerprint"]
    shards = [each.manifest["shards"][0]["sha256"] for each in (first, second)]
    assert (shards[0] != shards[1]) == again


def test_a_factor_that_is_no_number_is_told(section: Any, tmp_path: Path) -> None:
    write(tmp_path / "jets.parquet", make_chunk(50))
    data = section_of(section, tmp_path / "*.parquet", weights={"odd": {"expression": "log(jets.pt - 100)"}})
    with pytest.raises(DataError, match=r"weights\.odd cannot be fixed: some weights of the training split are NaN"):
        prepare(data, tmp_path / "out", 1)


def test_jets_without_any_track_have_targets_too(section: Any, tmp_path: Path) -> None:
    chunk = {
        name: Jagged.from_counts(np.zeros(len(column), np.int64), column.values[:0]) if name[:3] == "trk" else column
        for name, column in make_chunk(40).items()
    }
    write(tmp_path / "jets.parquet", chunk)
    dataset = prepare(section_of(section, tmp_path / "*.parquet"), tmp_path / "out", 1)
    batch = next(iter(sequential(dataset, ["jets"], "train", 100)))
    assert (batch.targets["origin"] == -1).all()
    assert batch.targets["same_vertex"].isnan().all()
    assert batch.targets["distance"].isnan().all()


def test_the_reference_kernel_pads_targets_alike(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KERNELS", "reference")
    rows = made[0].rows(["jets"], "test")
    for name in LISTED:
        np.testing.assert_array_equal(made[0].read_objects(f"target:{name}", rows), made[1](name, 2), strict=True)
