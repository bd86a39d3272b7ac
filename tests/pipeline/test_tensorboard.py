"""TensorBoard shows the run: a real server is asked over HTTP, as the browser does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def server(finished_run: Path) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(finished_run.parent), "--port", str(port)]
    process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/data/plugin"
    try:
        for _ in range(120):
            try:
                if _ask(f"{address}/scalars/tags"):
                    break
            except OSError:
                pass
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_scalars_of_every_loss_and_metric_are_served(server: str) -> None:
    tags = _ask(f"{server}/scalars/tags")
    run = "0001/tensorboard"
    names = list(tags[run])
    for wanted in ("tagging", "confusion", "learning_rate", "rows_per_second"):
        assert any(wanted in name for name in names), names
    tag = next(name for name in names if "tagging" in name and "validation" in name)
    points = _ask(f"{server}/scalars/scalars?run={run}&tag={tag}")
    assert [round(value, 6) for _, _, value in points]
    assert all(value > 0 for _, _, value in points)


def test_plots_weights_and_gradients_are_served(server: str) -> None:
    images = _ask(f"{server}/images/tags")["0001/tensorboard"]
    assert {"plots/roc_signal", "plots/history", "plots/confusion_matrix"} <= set(images)
    histograms = set(_ask(f"{server}/histograms/tags")["0001/tensorboard"])
    layer = "cluster_summary.2_lstm.weight_hh"
    assert {f"weights/{layer}", f"gradients/{layer}"} <= histograms


def test_the_spec_and_the_graph_are_served(server: str) -> None:
    (text,) = _ask(f"{server}/text/text?run=0001/tensorboard&tag=spec/text_summary")
    assert "cluster_summary" in text["text"]
    assert _ask(f"{server}/graphs/info")["0001/tensorboard"]["run_graph"]


def test_hyperparameters_stand_with_the_final_metrics(server: str) -> None:
    request = urllib.request.Request(
        f"{server}/hparams/experiment", data=json.dumps({}).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found = json.loads(answer.read())
    names = {each["name"] for each in found["hparamInfos"]}
    assert any("epochs" in name for name in names), names
    metrics = {each["name"]["tag"] for each in found["metricInfos"]}
    assert any(tag.startswith("final/") for tag in metrics), metrics
