"""The prepared dataset: a directory of memory-mapped Arrow files with a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.data.arrow import as_numpy
from engine.data.columns import Array
from engine.data.ledger import LedgerEntry
from engine.data.manifest import read_manifest
from engine.data.shards import checksum
from engine.data.split import SPLITS
from engine.data.weights import WeightFactors
from engine.devices import available_processors
from engine.errors import DataError

if TYPE_CHECKING:
    from engine_kernels.sanitize.transforms import FeatureTransform


@dataclass(frozen=True)
class Segment:
    """Rows that lie together in one shard: NumPy views of the mapped file, nothing is copied.

    Attributes:
        sample: name of the sample.
        rows: number of rows.
        inputs: name -> (offsets, values). For objects: int64 offsets of shape (rows + 1,) and values of shape
            (objects, features); for the row itself: None and values of shape (rows, features).
        path: the shard.
        address: where byte 0 of the mapped shard lies, so that `pread` can fetch what a view shows.
        targets: the same of targets of objects and pairs, values of shape (objects, numbers).
    """

    sample: str
    rows: int
    inputs: dict[str, tuple[Array | None, Array]]
    _batch: pa.RecordBatch = field(repr=False)
    path: Path | None = None
    address: int = 0
    targets: dict[str, tuple[Array | None, Array]] = field(default_factory=dict)

    @property
    def pieces(self) -> dict[str, tuple[Array | None, Array]]:
        """Inputs and targets of objects under one roof; a target is called `target:<name>`."""
        return {**self.inputs, **{f"target:{name}": piece for name, piece in self.targets.items()}}

    def column(self, name: str) -> Array:
        """A column of the file (`weight`, `split`, `target:<name>`, `column:<name>`), shape (rows,).

        For a target that is a vector the shape is (rows, components).
        """
        column = self._batch.column(name)
        if not pa.types.is_fixed_size_list(column.type):
            return as_numpy(column)
        return as_numpy(column.values).reshape(-1, column.type.list_size)


@dataclass(frozen=True)
class RowIndex:
    """Rows of a dataset: the number of the segment, int32, and of the row in it, int64; both of shape (rows,)."""

    segment: Array
    row: Array

    def __len__(self) -> int:
        return len(self.segment)


class PreparedDataset:
    """A prepared dataset, opened for reading."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path | str) -> PreparedDataset:
        """Open a prepared dataset.

        Raises:
            DataError: there is none, or it is damaged.
        """
        path = Path(path)
        return cls(path, read_manifest(path))

    @property
    def ledger(self) -> list[LedgerEntry]:
        """What became of each source file."""
        return [LedgerEntry.from_dict(entry) for entry in self.manifest["ledger"]]

    @cached_property
    def segments(self) -> list[Segment]:
        """All rows, in the order of the samples, of their files, and of the entries of each.

        Raises:
            DataError: a shard is missing or damaged.
        """
        return [segment for shard in self.manifest["shards"] for segment in self._open_shard(shard)]

    def rows(self, samples: Sequence[str], split: str) -> RowIndex:
        """Rows of samples that belong to a split (`train`, `validation`, `test`), in the order of the segments.

        Raises:
            DataError: the dataset has no such sample.
        """
        for sample in samples:
            if sample not in self.manifest["samples"]:
                raise DataError(f"{self.path} has no sample '{sample}'; it has {', '.join(self.manifest['samples'])}")
        number = SPLITS.index(split)
        found = [
            np.flatnonzero(segment.column("split") == number) if segment.sample in samples else np.zeros(0, np.int64)
            for segment in self.segments
        ]
        counts = [len(rows) for rows in found]
        segment = np.repeat(np.arange(len(found), dtype=np.int32), counts)
        return RowIndex(segment, np.concatenate([np.zeros(0, np.int64), *found]))

    @property
    def listed_targets(self) -> list[str]:
        """Names of the targets that have a value for each object or pair, not one a row."""
        return [name for name, facts in self.manifest["targets"].items() if facts["kind"] != "row"]

    def read(self, names: Sequence[str], rows: RowIndex) -> dict[str, Array]:
        """Columns of the given rows, each of shape (rows,), or (rows, components) for a target that is a vector.

        Args:
            names: `weight`, `weight:<derived weight>`, `target:<name>`, `column:<name>`.
            rows: in any order.

        Raises:
            DataError: there is no such column, or it has a value for each object (see `read_objects`).
        """
        return {name: self._read_one(name, rows) for name in names}

    def read_objects(self, name: str, rows: RowIndex) -> Array:
        """A target of objects or pairs, padded as in a batch, in memory of its own.

        Args:
            name: `target:<name>`.
            rows: in any order.

        Returns:
            int64 class index (-1: absent) or float32 (NaN: absent), shape (rows, keep), (rows, keep, components) or,
            for pairs, (rows, keep, keep).

        Raises:
            DataError: there is no such target.
        """
        from engine.data.gathers import target_gather

        target = name.removeprefix("target:")
        if target not in self.listed_targets:
            raise DataError(
                f"{self.path} has no target '{target}' of objects or pairs; it has "
                f"{', '.join(self.listed_targets) or 'none'}"
            )
        gather = target_gather(self, target, [segment.pieces for segment in self.segments])
        return gather(rows.segment, rows.row)

    def transforms(self, input_name: str) -> list[FeatureTransform]:
        """The fitted transforms of an input's features, in their order."""
        from engine_kernels.sanitize.transforms import FeatureTransform

        return [FeatureTransform.from_dict(values) for values in self.manifest["transforms"][input_name]]

    def contract(self) -> dict[str, Any]:
        """What a network trained on these data relies on: inputs, transforms, classes, and a hash of the content."""
        content = {name: self.manifest[name] for name in ("inputs", "targets", "columns", "transforms", "weights")}
        content["shards"] = [shard["sha256"] for shard in self.manifest["shards"]]
        text = json.dumps(content, sort_keys=True)
        kept = {name: self.manifest[name] for name in ("version", "inputs", "targets", "columns", "transforms")}
        return {**kept, "content": hashlib.sha256(text.encode()).hexdigest()}

    def verify(self) -> None:
        """Compare the size of every shard, then its checksum, with what was written.

        The checksums read all data, several shards at once: a hundredth of the time that it took to prepare them.

        Raises:
            DataError: a shard is missing or not as it was written.
        """
        for shard in self.manifest["shards"]:
            self._refuse_unless(shard, lambda path: path.stat().st_size, "bytes")
        with ThreadPoolExecutor(available_processors()) as pool:
            for _ in pool.map(lambda shard: self._refuse_unless(shard, checksum, "sha256"), self.manifest["shards"]):
                pass

    def _refuse_unless(self, shard: dict[str, Any], measure: Callable[[Path], object], key: str) -> None:
        path = self.path / shard["file"]
        try:
            found = measure(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from None
        if found != shard[key]:
            raise DataError(f"{path} is damaged: it is not as it was written; prepare the dataset again")

    def is_whole(self) -> bool:
        """Whether every shard is there and as it was written (see `verify`)."""
        try:
            self.verify()
        except DataError:
            return False
        return True

    def _open_shard(self, shard: dict[str, Any]) -> list[Segment]:
        path = self.path / shard["file"]
        try:
            with pa.memory_map(str(path)) as file:  # the mapping outlives the file: it ends with the last view
                address = file.read_buffer(1).address
                reader = pa.ipc.open_file(file)
                batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be opened: {error}; delete it and prepare the dataset again") from None
        return [
            Segment(
                shard["sample"],
                batch.num_rows,
                {name: _views(batch, f"input:{name}") for name in self.manifest["inputs"]},
                batch,
                path,
                address,
                {name: _views(batch, f"target:{name}") for name in self.listed_targets},
            )
            for batch in batches
        ]

    def _read_one(self, name: str, rows: RowIndex) -> Array:
        if name.startswith("weight:"):
            return self._derived_weight(name.removeprefix("weight:"), rows)
        kind, _, column = name.partition(":")
        if name != "weight" and column not in self.manifest[f"{kind}s"]:
            raise DataError(f"{self.path} has no {kind} '{column}'; it has {', '.join(self.manifest[f'{kind}s'])}")
        if kind == "target" and column in self.listed_targets:
            raise DataError(f"the target '{column}' has a value for each of the row's objects; `read_objects` gives it")
        return self._gather(rows, self._type(kind, column), lambda segment: segment.column(name), self._width(name))

    def _width(self, name: str) -> tuple[int, ...]:
        """(components,) for a target that is a vector, else ()."""
        kind, _, target = name.partition(":")
        components = self.manifest["targets"][target]["components"] if kind == "target" else ()
        return (len(components),) if components else ()

    def _type(self, kind: str, name: str) -> str:
        if kind == "weight":
            return "float64"
        if kind == "column":
            return str(self.manifest["columns"][name])
        return str(self.manifest["targets"][name]["dtype"])

    def _gather(
        self, rows: RowIndex, dtype: str, values: Callable[[Segment], Array], width: tuple[int, ...] = ()
    ) -> Array:
        """Values of the given rows, segment by segment."""
        result = np.empty((len(rows), *width), dtype=dtype)
        if not len(rows):
            return result
        order = np.argsort(rows.segment, kind="stable")
        numbers, starts = np.unique(rows.segment[order], return_index=True)
        for number, chosen in zip(numbers, np.split(order, starts[1:]), strict=True):
            result[chosen] = values(self.segments[number])[rows.row[chosen]]
        return result

    def _derived_weight(self, name: str, rows: RowIndex) -> Array:
        if name == "weight":
            return self._read_one("weight", rows)
        if name not in self.manifest["weights"]:
            raise DataError(
                f"{self.path} has no weight '{name}'; it has {', '.join(self.manifest['weights']) or 'none'}"
            )
        factors = WeightFactors.from_dict(self.manifest["weights"][name])
        classes = self._read_one(f"target:{factors.target}", rows) if factors.target else None
        column = self._read_one(f"column:{factors.column}", rows) if factors.column else None
        weight: Array = self._derived_weight(factors.of, rows) * factors.lookup(len(rows), classes, column)
        return weight * self.factor(name, rows) if factors.has_expression else weight

    def factor(self, name: str, rows: RowIndex) -> Array:
        """The value of the expression of a derived weight, float64, shape (rows,)."""
        return self._gather(rows, "float64", lambda segment: segment.column(f"factor:{name}"))


def _views(batch: pa.RecordBatch, name: str) -> tuple[Array | None, Array]:
    """Offsets and values of a column of lists, views of the mapped file."""
    column = batch.column(name)
    offsets = None
    if pa.types.is_large_list(column.type):
        offsets = as_numpy(column.offsets)
        column = column.values
    return offsets, as_numpy(column.values).reshape(-1, column.type.list_size)
