"""The report of a run: one HTML file that holds everything it shows and loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.evaluation.facts import SPLITS, ReportFacts
from engine.evaluation.history import History
from engine.evaluation.html import details, escape, figure, inline_svg, page, paragraph, preformatted, section, table
from engine.evaluation.metrics.catalogue import METRICS
from engine.evaluation.metrics.result import MetricResult, Part
from engine.evaluation.numbers import plain, with_error
from engine.files import write_text

SECTIONS = {
    "results": "Results",
    "figures": "Figures",
    "training": "Training",
    "data": "Data",
    "network": "Network",
    "metrics": "All numbers",
    "run": "How it was made",
}
Picture = tuple[str, str, Path | None]  # name, caption, PNG; without one the caption says why there is none
LONG_LEDGER = 12


def write_report(
    path: Path, facts: ReportFacts, results: Sequence[MetricResult], history: History, pictures: Sequence[Picture]
) -> None:
    """Write `report.html`; it appears complete or not at all."""
    write_text(path, render_report(facts, results, history, pictures))


def render_report(
    facts: ReportFacts, results: Sequence[MetricResult], history: History, pictures: Sequence[Picture]
) -> str:
    """The report as text."""
    training = [picture for picture in pictures if picture[0].startswith("history")]
    others = [picture for picture in pictures if not picture[0].startswith("history")]
    parts = {
        "results": _headlines(results),
        "figures": _figures(others),
        "training": _figures(training) + _last_values(history),
        "data": _samples(facts) + _not_finite(facts) + _ledger(facts),
        "network": _network(facts),
        "metrics": "\n".join(_metric(result) for result in results),
        "run": _environment(facts) + details("The spec, resolved", preformatted(facts.spec)),
    }
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title in SECTIONS.items() if parts[key])
    body = [_header(facts), f"<nav>{links}</nav>", _lost_note(facts)]
    body += [section(key, title, parts[key]) for key, title in SECTIONS.items()]
    return page(f"{facts.name}: report", "\n".join(part for part in body if part))


def _header(facts: ReportFacts) -> str:
    known = [facts.run, _moment(facts.environment.get("started")), facts.environment.get("device")]
    return f"<h1>{escape(facts.name)}</h1>" + paragraph(" · ".join(str(fact) for fact in known if fact), "lead")


def _moment(text: str | None) -> str:
    """`2026-11-30 04:20 UTC`; as it stands where it is no time."""
    try:
        return datetime.fromisoformat(text or "").astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text or ""


def _lost_note(facts: ReportFacts) -> str:
    lost = [entry for entry in facts.ledger if entry["status"] != "ok"]
    if not lost:
        return ""
    return paragraph(f"{len(lost)} of {len(facts.ledger)} files gave no rows; the reasons stand under Data.", "note")


def _headlines(results: Sequence[MetricResult]) -> str:
    rows = [(line.title, line.text, METRICS[result.kind].title, result.name)
            for result in results for line in result.headlines]  # fmt: skip
    missing = [
        paragraph(f"{result.name} has no value: {result.reason}.", "note") for result in results if result.reason
    ]
    shown = table(["", "Value", "Metric", "Name"], rows) if rows else ""
    return shown + "".join(missing)


def _figures(pictures: Sequence[Picture]) -> str:
    drawn = "".join(figure(name, caption, png) for name, caption, png in pictures if png is not None)
    return (f'<div class="figures">{drawn}</div>' if drawn else "") + _not_drawn(pictures)


def _not_drawn(pictures: Sequence[Picture]) -> str:
    """A sentence for each reason why figures are missing."""
    reasons: dict[str, list[str]] = {}
    for name, caption, png in pictures:
        if png is None:
            reasons.setdefault(caption, []).append(name)
    return "".join(paragraph(f"Not drawn: {', '.join(names)}. {why}", "note") for why, names in reasons.items())


def _last_values(history: History) -> str:
    if not history.epochs:
        return ""
    chosen = history.best or history.epochs
    rows = []
    for quantity, curves in history.quantities.items():
        values = [
            curves.get(part, {}).get(epoch) for epoch in (chosen, history.epochs) for part in ("train", "validation")
        ]
        rows.append([quantity, *values])
    head = ["", f"train, epoch {chosen:g}", f"validation, epoch {chosen:g}"]
    head += [f"train, epoch {history.epochs:g}", f"validation, epoch {history.epochs:g}"]
    if chosen == history.epochs:
        head, rows = head[:3], [row[:3] for row in rows]
    kept = paragraph(f"Epoch {history.best:g} was kept; {history.epochs:g} were trained.") if history.best else ""
    return kept + table(head, rows)


def _samples(facts: ReportFacts) -> str:
    if not facts.rows:
        return ""
    rows: list[Sequence[object]] = [(sample, *counts, sum(counts)) for sample, counts in facts.rows.items()]
    totals = [sum(counts[i] for counts in facts.rows.values()) for i in range(len(SPLITS))]
    return table(["Sample", *SPLITS, "all"], [*rows, ("all", *totals, sum(totals))], bold_last=True)


def _not_finite(facts: ReportFacts) -> str:
    if not facts.not_finite:
        return ""
    head = ["Feature", "Sample", "NaN or infinite", "of"]
    never = [f"{feature} in {sample}" for feature, sample, number, values in facts.not_finite if number == values]
    note = paragraph(f"Never finite, so that only `fill` is seen: {', '.join(never)}.", "note") if never else ""
    return "<h3>Values that <code>fill</code> replaces</h3>" + note + table(head, facts.not_finite)


def _ledger(facts: ReportFacts) -> str:
    lost = [entry for entry in facts.ledger if entry["status"] != "ok"]
    parts = []
    if lost:
        parts.append("<h3>Files that gave no rows</h3>")
        parts.append(table(["File", "Sample", "What happened", "Reason"], [_lost_row(entry) for entry in lost]))
    if facts.ledger:
        head = ["File", "Sample", "Entries", "Rows", "", "Seconds"]
        rows = [[e["source"], e["sample"], e["entries"], e["rows"], e["status"], e["seconds"]] for e in facts.ledger]
        title = f"All {len(facts.ledger)} files"
        parts.append(
            details(title, table(head, rows)) if len(rows) > LONG_LEDGER else f"<h3>{title}</h3>" + table(head, rows)
        )
    return "".join(parts)


def _lost_row(entry: Mapping[str, object]) -> list[object]:
    return [entry["source"], entry["sample"], entry["status"], entry["reason"]]


def _network(facts: ReportFacts) -> str:
    if not facts.nodes:
        return ""
    totals = ("all", "", "", "", sum(node[4] for node in facts.nodes), sum(node[5] for node in facts.nodes))
    head = ["Node", "From", "Layers", "Output", "Trained", "Fixed"]
    drawn = inline_svg(facts.picture) if facts.picture else ""
    return drawn + table(head, [*facts.nodes, totals], bold_last=True)


def _metric(result: MetricResult) -> str:
    title = f"<h3>{escape(result.name)}: {escape(METRICS[result.kind].title)}</h3>"
    if result.reason is not None:
        return title + paragraph(f"No value: {result.reason}.", "note")
    options = {key: value for key, value in result.options.items() if value is not None}
    facts = {key: value for key, value in {**result.facts, **options}.items() if key not in ("categories", "variables")}
    settings = "; ".join(
        f"{key.replace('_', ' ')}: {plain(value)}" for key, value in facts.items() if value not in ("", [], {})
    )
    return title + paragraph(settings, "lead") + _parts(result.parts)


def _parts(parts: Sequence[Part]) -> str:
    """A line for each part with its labels and single numbers; a matrix is written out, curves are left to figures."""
    if any("matrix" in part.values for part in parts):
        return "".join(_matrix(part) for part in parts)
    rows = [_flat(part) for part in parts if part.values or part.reason]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = table([key.replace("_", " ") for key in columns], [[row.get(key) for key in columns] for row in rows])
    return details(f"{len(rows)} lines", shown) if len(rows) > LONG_LEDGER else shown


def _flat(part: Part) -> dict[str, object]:
    row: dict[str, object] = {key: value for key, value in part.labels.items() if key != "bin"}
    for key, value in part.values.items():
        if key.endswith("_error"):
            continue
        if key == "working_points":
            for point in value:
                name = f"rejection at {100 * point['signal_efficiency']:g} %"
                row[name] = with_error(point["rejection"], point["rejection_error"], point.get("rejection_limit"))
        elif isinstance(value, Mapping):
            row |= {f"{key} {name}": member for name, member in value.items()}
        elif f"{key}_error" in part.values:
            row[key] = with_error(value, part.values[f"{key}_error"])
        else:
            row[key] = value
    if part.reason is not None:
        row["remark"] = part.reason
    return row


def _matrix(part: Part) -> str:
    classes = part.values["classes"]
    lines = [[name, *(float(cell) for cell in row)] for name, row in zip(classes, part.values["matrix"], strict=True)]
    return table(["true \\ predicted", *classes], lines)


def _environment(facts: ReportFacts) -> str:
    rows: list[Sequence[object]] = []
    for key, value in facts.environment.items():
        if key == "versions":
            rows.append(("versions", ", ".join(f"{name} {version}" for name, version in value.items())))
        else:
            rows.append((key, " ".join(value) if key == "command" else value))
    if facts.content:
        rows.append(("prepared data", f"sha256 {facts.content}"))
    return table(["", ""], rows) if rows else ""
