"""The pinned versions can be had by anybody."""

from __future__ import annotations

from pathlib import Path


def test_no_pin_has_a_local_label_or_a_place(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all("==" in pin and "+" not in pin and "@" not in pin and "/" not in pin for pin in pins)
