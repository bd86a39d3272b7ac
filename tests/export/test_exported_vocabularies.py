"""Vocabularies through the exported file: numbers are looked up in it, texts come as codes, both as in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from engine.data.prepare import prepare
from engine.data.readers.base import open_reader
from engine.data.rows import make_rows
from engine.data.vocabulary import encode
from engine.errors import SpecError
from engine.export.codes import CodeTable
from engine.export.export import export_run
from engine.export.padded import Padded
from engine.export.predict import prediction_chunks
from engine.export.scoring import Scorer
from engine.files import write_json
from engine.graph.network import build_network
from engine.runs import RunDirectory, read_contract
from engine.spec.sections.data import VocabularySpec
from engine.validation import load_planned

SPEC = """
name: codes
data:
  collections:
    event: {number: number, passes: passes, decay: decay, run: run}
    parts: {owner: implicit, code: code, status: status, e: e}
  samples: {all: {files: events.parquet, rows: event}}
  inputs:
    parts: {of: parts, keep: 4, where: "bit(status, 2) == 0", features: {e: {}}}
    codes:
      of: parts
      keep: 4
      where: "bit(status, 2) == 0"
      dtype: uint8
      features: {code: {vocabulary: codes.json, unknown: own}}
    decay: {text: event.decay, split: " ", keep: 5, dtype: uint16, vocabulary: [a, b, "(-->"], unknown: POLICY}
    run: {of: event, dtype: int8, features: {run: {vocabulary: [10, 20]}}}
  targets: {passes: {expression: event.passes, classes: {no: 0, yes: 1}}}
  columns: {number: event.number}
  split: {by: [number]}
  predict: {rows: event}
model:
  graph:
    particle: {from: [parts, {from: codes, layers: [embedding: {size: 3}]}], layers: [concat, dense: 4, mean_pool]}
    text: {from: decay, layers: [embedding: {size: 4}, mean_pool]}
    when: {from: run, layers: [embedding: {size: 2}]}
    out: {from: [particle, text, when], layers: [concat, dense: {units: 1, activation: sigmoid}]}
training:
  epochs: 1
  streams: {main: {samples: [all], batch: 16}}
  losses: {loss: {binary_cross_entropy: {of: out, target: passes}}}
  updates: [{minimize: loss, optimizer: adam}]
export: [onnx]
"""
CODES = [11, -11, "(-->", 22, 300553]


def _write(path: Path, rows: int = 120) -> None:
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 8, rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    total = int(offsets[-1])
    words = np.array(["a", "b", "(-->", "zzz", ""], dtype=object)
    table = {
        "number": np.arange(rows),
        "passes": rng.integers(0, 2, rows),
        "run": rng.choice([10, 20, 30], rows),
        "decay": [" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(rows)],
        "code": pa.ListArray.from_arrays(offsets, rng.choice([11, -11, 22, 300553, 211, -5], total)),
        "status": pa.ListArray.from_arrays(offsets, rng.integers(0, 16, total)),
        "e": pa.ListArray.from_arrays(offsets, rng.random(total)),
    }
    pq.write_table(pa.table(table), path)


def _ready(policy: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, RunDirectory]:
    monkeypatch.chdir(folder)
    _write(folder / "events.parquet")
    Path("codes.json").write_text(json.dumps({"tokens": CODES}))
    Path("spec.yaml").write_text(SPEC.replace("POLICY", policy))
    experiment, plan = load_planned(Path("spec.yaml"), ())
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    write_json(run.contract, prepare(experiment.data, folder / "prepared", 1).contract())
    return experiment, build_network(plan, 1).eval(), run


@pytest.mark.parametrize("policy", ["pad", "own", "skip"])
def test_the_file_gives_what_the_training_path_gives(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, network, run = _ready(policy, tmp_path, monkeypatch)
    path, agreement = export_run(experiment, network, ("out",), run)[0]
    assert agreement.rows == 120
    assert agreement.largest < 1e-6
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["vocabularies"]["codes.code"] == {"tokens": [str(code) for code in CODES], "unknown": "own"}
    assert facts["vocabularies"]["decay.token"]["unknown"] == policy
    assert facts["inputs"]["decay_codes"] == {"fields": ["token"]}


def test_prediction_tokenises_as_preparation_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, network, run = _ready("skip", tmp_path, monkeypatch)
    data = experiment.data
    reader = open_reader("events.parquet")
    [(_, chunk)] = prediction_chunks(reader, data, data.predict)
    table = make_rows(data, data.layouts["default"], data.predict.rows, None, chunk)
    everything = reader.read(list(reader.branches), 0, reader.entries)
    trained = make_rows(data, data.layouts["default"], data.samples["all"].rows, data.samples["all"], everything)
    for name, values in table.inputs.items():
        other = trained.inputs[name]
        np.testing.assert_array_equal(getattr(values, "values", values), getattr(other, "values", other))
    scores = Scorer(network, data, read_contract(run), ("out",))(table, 50)["out"]
    assert scores.shape == (120, 1)
    assert np.ptp(scores) > 0


@pytest.mark.parametrize("unknown", ["pad", "own"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 541])
def test_the_search_in_the_graph_finds_every_token(count: int, unknown: str) -> None:
    rng = np.random.default_rng(count)
    tokens = rng.permutation(np.arange(-300, 700))[:count] * 37
    vocabulary = VocabularySpec(tuple(map(str, [*tokens, "word"])), unknown)  # type: ignore[arg-type]
    values = np.concatenate([tokens, tokens + 1, [np.nan, np.inf, -np.inf, 1e9, -1e9]]).astype(float)
    found = CodeTable(vocabulary)(Padded(torch.tensor(values[:, None]))).tensor[:, 0].numpy()
    np.testing.assert_array_equal(found, encode(values, vocabulary, "x"))


def test_tokens_that_float32_cannot_tell_apart_are_told_before_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("codes.json").write_text("[1000010020, 1000010030]")
    Path("spec.yaml").write_text(SPEC.replace("POLICY", "pad"))
    with pytest.raises(SpecError, match="1000010020 and 1000010030 are the same in float32") as caught:
        load_planned(Path("spec.yaml"), ())
    assert caught.value.problems[0].line == 15
