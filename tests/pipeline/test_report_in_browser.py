"""The report opens in a browser: nothing is loaded from elsewhere, every figure is drawn."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest


def test_chromium_draws_the_report(finished_run: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    picture = tmp_path / "report.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,3000", f"--screenshot={picture}",
        (finished_run / "report.html").as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    assert picture.stat().st_size > 100_000


def test_the_report_needs_nothing_but_itself(finished_run: Path) -> None:
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert [source for source in sources if source.startswith("data:image/")]
    assert all(source.startswith(("data:", "#")) for source in sources)
