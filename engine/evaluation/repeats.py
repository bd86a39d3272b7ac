"""What repeated runs of one spec give on average, and how far they are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.evaluation.comparison import headline_names, write_comparison
from engine.evaluation.contenders import Average, Contender, of_runs
from engine.evaluation.numbers import plain, with_error


def summarise_repeats(group: Path, runs: Sequence[Path]) -> tuple[list[str], Path]:
    """Write mean, spread and error of the mean of every number, and curves with bands, into the group.

    Args:
        group: directory that the runs stand in.
        runs: those of its runs that were evaluated, at least one.

    Returns:
        A line for each headline number, and `report.html`.

    Raises:
        DataError: the metrics of a run cannot be read.
    """
    label = group.resolve().parent.name
    title = f"{label}: {len(runs)} run{'s' * (len(runs) != 1)}"
    found = of_runs(group, runs, label)
    return summary_lines(found), write_comparison([found], group, title)


def summary_lines(found: Contender) -> list[str]:
    """`AUC, b against c: 0.9497 ± 0.0021 (mean of 4 runs; standard deviation 0.0042; 0.945 to 0.955)` and the like."""
    lines = []
    for key, label in headline_names([found]).items():
        average, limit = found.average(key), found.limit(key)
        if average is not None:
            lines.append(f"{label}: {with_error(average.mean, average.error)}{_spread(average, found.count)}")
        elif limit is not None:
            lines.append(f"{label}: {with_error(None, None, limit)}")
    return lines


def _spread(average: Average, runs: int) -> str:
    """How the runs differ; a single run has the statistical error of its evaluation and nothing to add."""
    if runs == 1:
        return ""
    known = len(average.values)
    counted = f"{known} runs" if known == runs else f"the {known} of {runs} runs that have a value"
    if average.spread is None:
        return f" ({counted})"
    ends = f"{plain(min(average.values))} to {plain(max(average.values))}"
    return f" (mean of {counted}; standard deviation {average.spread:.2g}; {ends})"
