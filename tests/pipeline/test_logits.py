"""A network without a last activation has the same results, scores and exported file as one with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from click.testing import Result

Engine = Callable[..., Result]
CASES = {
    "binary": ["model.graph.tag.layers.1.dense={units: 1, activation: sigmoid}"],
    "classes": [
        "model.graph.tag.layers.1.dense={units: 2, activation: softmax}",
        "training.losses.tagging={cross_entropy: {of: tag, target: label, stream: main}}",
    ],
}
METRICS = "evaluation.metrics=[roc, accuracy, {s_over_sqrt_b: {signal: signal}}, efficiency]"


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, small_run: Callable[..., Path]) -> tuple[Path, Path]:
    """The same network with the last activation and without."""
    overrides = [*CASES[request.param], METRICS]
    left_out = "model.graph.tag.layers.1.dense.activation=null"
    return small_run(f"{request.param}_with", *overrides), small_run(f"{request.param}_without", *overrides, left_out)


def test_the_results_are_the_same(pair: tuple[Path, Path]) -> None:
    values: list[dict[str, Any]] = [json.loads((run / "metrics.json").read_text())["headlines"] for run in pair]
    assert len(values[0]) >= 6
    assert {name: line["value"] for name, line in values[1].items()} == pytest.approx(
        {name: line["value"] for name, line in values[0].items()}, abs=1e-6
    )


def test_the_scores_are_the_same(pair: tuple[Path, Path], engine: Engine, workspace: Path) -> None:
    tables = []
    for number, run in enumerate(pair):
        output = workspace / f"logits_{number}.parquet"
        assert engine("predict", run, "data/small/signal.parquet", "-o", output, "--device", "cpu").exit_code == 0
        tables.append(pq.read_table(output).to_pandas())
    np.testing.assert_allclose(tables[1], tables[0], atol=1e-6)


def test_the_exported_networks_are_the_same(pair: tuple[Path, Path]) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 2)).astype("f4")
    sessions = [onnxruntime.InferenceSession(str(run / "export" / "model.onnx")) for run in pair]
    found = [session.run(["tag"], {session.get_inputs()[0].name: rows})[0] for session in sessions]
    assert found[0].min() >= 0
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
