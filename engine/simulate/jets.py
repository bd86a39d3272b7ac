"""A plain sample of jets with their constituents, one jet a row: what the loader's speed is measured on.

Each jet has five values and a list of constituents (17 on average, at most 40) with eight values each. Two classes that
a network can tell apart: jets of `label` 1 are narrower and have more displaced constituents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from engine.data.columns import Array
from engine.files import complete

JET_FIELDS = ("pt", "eta", "phi", "mass", "width")
CONSTITUENT_FIELDS = ("pt_fraction", "deta", "dphi", "dr", "d0", "z0", "energy_fraction", "charge")
MOST = 40
MEAN = 17.0
_GROUP = 65_536


def jet_spec_data(file: Path) -> dict[str, object]:
    """The `data:` section, as plain values, of a spec that reads the sample."""
    return {
        "format": "parquet",
        "collections": {
            "jets": {name: f"jet_{name}" for name in (*JET_FIELDS, "label", "number")},
            "constituents": {"owner": "implicit"} | {name: f"constituent_{name}" for name in CONSTITUENT_FIELDS},
        },
        "samples": {"jets": {"files": [str(file)], "rows": "jets"}},
        "inputs": {
            "constituents": {"of": "constituents", "keep": MOST, "features": {name: {} for name in CONSTITUENT_FIELDS}},
            "jet": {"of": "jets", "features": {name: {} for name in JET_FIELDS}},
        },
        "targets": {"label": {"expression": "jets.label", "classes": {"light": 0, "heavy": 1}}},
        "columns": {"number": "jets.number"},
        "split": {"by": ["number"], "train": 0.9, "validation": 0.05, "test": 0.05},
    }


def write_jets(path: Path, jets: int = 200_000, seed: int = 1) -> Path:
    """Write the sample as one Parquet file; the same seed gives the same values.

    Args:
        path: the file.
        jets: rows.
        seed: of all random numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with complete(path) as unfinished, ExitStack() as closing:
        writer = None
        for start, count in _groups(jets):
            columns, offsets = make_jets(count, np.random.default_rng([seed, start]))
            columns["jet_number"] = np.arange(start, start + count)
            table = pa.table({name: _arrow(name, values, offsets) for name, values in columns.items()})
            writer = writer or closing.enter_context(pq.ParquetWriter(unfinished, table.schema, compression="zstd"))
            writer.write_table(table)
        closing.close()
    return path


def make_jets(jets: int, rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
    """Columns of some jets: `jet_*` (jets,), `constituent_*` flat; and the offsets of the constituents (jets + 1,)."""
    heavy = rng.uniform(size=jets) < 0.5
    counts = np.clip(rng.poisson(rng.gamma(8.0, MEAN / 8.0, jets)), 0, MOST)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    jet = np.repeat(np.arange(jets), counts)
    share = rng.exponential(size=len(jet)) ** 1.5
    share /= np.maximum(np.bincount(jet, weights=share, minlength=jets), 1e-12)[jet]
    narrow = np.where(heavy, 0.10, 0.15)[jet]
    deta, dphi = rng.normal(0, 1, (2, len(jet))) * narrow
    far = rng.uniform(size=len(jet)) < np.where(heavy, 0.25, 0.08)[jet]
    pt = 20.0 + rng.exponential(50.0, jets)
    width = np.bincount(jet, weights=share * np.hypot(deta, dphi), minlength=jets)
    columns = {
        "jet_pt": pt,
        "jet_eta": rng.uniform(-2.5, 2.5, jets),
        "jet_phi": rng.uniform(-np.pi, np.pi, jets),
        "jet_mass": pt * width * rng.lognormal(0, 0.2, jets),
        "jet_width": width,
        "jet_label": heavy.astype(np.int32),
        "constituent_pt_fraction": share,
        "constituent_deta": deta,
        "constituent_dphi": dphi,
        "constituent_dr": np.hypot(deta, dphi),
        "constituent_d0": rng.normal(size=len(jet)) * np.where(far, 2.0, 0.05),
        "constituent_z0": rng.normal(size=len(jet)) * np.where(far, 3.0, 0.2),
        "constituent_energy_fraction": share * np.cosh(deta),
        "constituent_charge": rng.choice([-1.0, 0.0, 1.0], len(jet)),
    }
    return {name: v.astype(np.float32) if v.dtype == np.float64 else v for name, v in columns.items()}, offsets


def _groups(jets: int) -> Iterator[tuple[int, int]]:
    """First row and rows of each row group."""
    for start in range(0, max(jets, 1), _GROUP):
        yield start, min(_GROUP, jets - start)


def _arrow(name: str, values: Array, offsets: Array) -> object:
    """A column as Arrow array, lists for constituents."""
    import pyarrow as pa

    if not name.startswith("constituent_"):
        return pa.array(values)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
