"""What repeated runs of one spec give on average, and how far they are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.evaluation.comparison import write_comparison
from engine.evaluation.contenders import of_runs


def summarise_repeats(group: Path, runs: Sequence[Path]) -> Path:
    """Write mean, spread and error of the mean of every number, and curves with bands, into the group.

    Args:
        group: directory that the runs stand in.
        runs: those of its runs that were evaluated, at least one.

    Returns:
        `report.html`.

    Raises:
        DataError: the metrics of a run cannot be read.
    """
    label = group.resolve().parent.name
    title = f"{label}: {len(runs)} run{'s' * (len(runs) != 1)}"
    return write_comparison([of_runs(group, runs, label)], group, title)
