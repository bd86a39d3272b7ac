"""A named choice with its settings: what optimizers, schedules, metrics, plots and exporters are in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import Path


@dataclass(frozen=True)
class ChoiceSpec:
    """One of several kinds, and its options with the defaults filled in, as in `nadam: {lr: 8e-4}`."""

    kind: str
    options: Mapping[str, Any]
    path: Path
