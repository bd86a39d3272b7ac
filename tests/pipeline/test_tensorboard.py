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


@pytest.mark.parametrize("plugin", ["images", "histograms", "text", "graphs"])
def test_plots_weights_spec_and_graph_are_served(server: str, plugin: str) -> None:
    path = {"graphs": "graphs/info"}.get(plugin, f"{plugin}/tags")
    assert any(_ask(f"{server}/{path}").values())
