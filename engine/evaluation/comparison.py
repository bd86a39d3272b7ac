"""Runs side by side: a table of their numbers with ratios to the first, curves with bands, one page that holds all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.evaluation.contenders import Contender, contenders
from engine.evaluation.html import details, escape, figure, page, paragraph, section, table
from engine.evaluation.metrics.result import finite, told_apart
from engine.evaluation.numbers import plain, with_error
from engine.evaluation.plots.comparison import comparison_drawings
from engine.files import make_folder, write_json, write_text

REPORT = "report.html"


def compare(paths: Sequence[Path], output: Path) -> Path:
    """Compare runs, or groups of repeated runs; the first is what the others are held against.

    Args:
        paths: run directories or groups.
        output: where `report.html`, `comparison.json` and `plots/` are written.

    Returns:
        The report.

    Raises:
        UsageError: a path is neither, or was not evaluated, or nothing can be written there.
    """
    found = contenders(paths)
    return write_comparison(found, output, " and ".join(each.label for each in found))


def write_comparison(found: Sequence[Contender], output: Path, title: str) -> Path:
    """Write table, figures and report of contenders; returns the report."""
    make_folder(output / "plots")
    names = headline_names(found)
    saved = [(each.name, each.caption, each.save(output / "plots")) for each in comparison_drawings(found, title)]
    pictures = [(name, caption, png) for name, caption, png in saved if png is not None]
    write_json(output / "comparison.json", _document(found, names))
    body = [
        f"<h1>{escape(title)}</h1>",
        paragraph(_subtitle(found), "lead"),
        *(paragraph(note, "note") for note in notes(found)),
        section("results", "Results", _table(found, names), paragraph(_explanation(found), "lead")),
        section("figures", "Figures", f'<div class="figures">{"".join(figure(*each) for each in pictures)}</div>')
        if pictures
        else "",
        section("runs", "Runs", _runs(found), *_each_run(found, names)),
    ]
    report = output / REPORT
    write_text(report, page(f"{title}: comparison", "\n".join(part for part in body if part)))
    return report


def headline_names(found: Sequence[Contender]) -> dict[str, str]:
    """Key and label of every headline number, in the order of their first appearance; no two labels are the same."""
    names: dict[str, str] = {}
    for each in found:
        for document in each.documents:
            for key, line in document["headlines"].items():
                names.setdefault(key, line["label"])
    return told_apart(names)


def _document(found: Sequence[Contender], names: Mapping[str, str]) -> dict[str, Any]:
    """The content of `comparison.json`."""
    rows: dict[str, Any] = {}
    for key, label in names.items():
        reference = found[0].average(key)
        entries: list[dict[str, Any] | None] = []
        for each in found:
            average = each.average(key)
            if average is None:
                entries.append(None)
                continue
            ratio = average.over(reference) if reference is not None else None
            numbers = {"mean": average.mean, "error": average.error, "spread": average.spread}
            ratios = {"ratio": ratio[0] if ratio else None, "ratio_error": ratio[1] if ratio else None}
            entries.append({**numbers, "values": list(average.values), **ratios})
        rows[key] = {"label": label, "contenders": entries}
    facts = [{"label": each.label, "path": str(each.path), "runs": each.count} for each in found]
    document: dict[str, Any] = finite({"contenders": facts, "headlines": rows})
    return document


def _subtitle(found: Sequence[Contender]) -> str:
    rows = found[0].documents[0]["rows"]
    return f"{found[0].documents[0]['split']} split, {rows:,} rows"


def notes(found: Sequence[Contender]) -> list[str]:
    """What makes a comparison less than fair."""
    told = []
    known = [each for each in found if each.content]
    other = [each.label for each in known if each.content != known[0].content]
    if other:
        told.append(f"{', '.join(other)} and {known[0].label} were evaluated on different prepared data.")
    rows = {document["rows"] for each in found for document in each.documents}
    if len(rows) > 1:
        told.append(f"The numbers of evaluated rows differ: {', '.join(f'{count:,}' for count in sorted(rows))}.")
    return told


def _table(found: Sequence[Contender], names: Mapping[str, str]) -> str:
    """A line for each headline number: mean and error of each contender, its spread, and the ratio to the first."""
    repeated = any(each.count > 1 for each in found)
    head = [""]
    for index, each in enumerate(found):
        head += [each.label, *(["spread"] if repeated else []), *(["ratio"] if index else [])]
    lines = []
    for key, label in names.items():
        reference = found[0].average(key)
        line: list[object] = [label]
        for index, each in enumerate(found):
            average = each.average(key)
            line.append(_value(each, key))
            if repeated:
                line.append(float(f"{average.spread:.2g}") if average and average.spread is not None else None)
            if index:
                ratio = average.over(reference) if average and reference else None
                line.append(with_error(*ratio) if ratio else None)
        lines.append(line)
    return table(head, lines)


def _value(each: Contender, key: str) -> str:
    """Mean and error of a contender, with the number of runs where not all have a value; or the lower limit."""
    average = each.average(key)
    if average is None:
        return with_error(None, None, each.limit(key))
    known = len(average.values)
    of_runs = f" ({known} of {each.count} runs)" if known < each.count else ""
    return with_error(average.mean, average.error) + of_runs


def _explanation(found: Sequence[Contender]) -> str:
    text = "Errors of single runs are statistical, of the evaluated rows."
    if any(each.limit(key) is not None for each in found for key in headline_names([each])):
        text += " Where no background row passes, the rejection has a lower limit (95 % CL) alone."
    if any(each.count > 1 for each in found):
        text += " Those of repeated runs are of the mean over the runs; the spread is from run to run."
    if len(found) > 1:
        text += f" Ratios are to {found[0].label}, with the errors of both taken as independent; "
        text += "to a number that differs from 0 by less than two of its errors there is none."
    return text


def _runs(found: Sequence[Contender]) -> str:
    lines = [(each.label, str(each.path), each.count, each.documents[0]["rows"]) for each in found]
    return table(["", "Directory", "Runs", "Rows"], lines)


def _each_run(found: Sequence[Contender], names: Mapping[str, str]) -> list[str]:
    """The numbers of every single run of a group, folded away."""
    parts = []
    for each in found:
        if each.count > 1:
            lines = []
            for key, label in names.items():
                values = [document["headlines"].get(key, {}).get("value") for document in each.documents]
                lines.append([label, *(plain(value) for value in values)])
            head = ["", *(f"run {number}" for number in range(1, each.count + 1))]
            parts.append(details(f"Every run of {each.label}", table(head, lines)))
    return parts
