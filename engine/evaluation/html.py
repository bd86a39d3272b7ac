"""Small pure functions that make HTML: every text is escaped here, every element is closed, nothing is loaded."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.evaluation.numbers import plain

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --faint: #5d6872; --line: #d8dee4; --paper: #ffffff; --shade: #f5f7f9;
  --accent: #1f6fb2; --warn: #9a5b00; --warn-paper: #fff6e5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --faint: #a0abb6; --line: #3a434c; --paper: #16191d;
  --shade: #1f242a; --accent: #6cb1ea; --warn: #ffc56b; --warn-paper: #33280f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 30px; margin: 0; } h2 { font-size: 21px; margin: 42px 0 12px; border-bottom: 1px solid var(--line); }
h3 { font-size: 16px; margin: 24px 0 8px; } a { color: var(--accent); text-decoration: none; }
p.lead { color: var(--faint); margin: 2px 0 14px; } nav a { margin-right: 18px; }
table { border-collapse: collapse; margin: 8px 0 14px; } .scroll { overflow-x: auto; }
th, td { padding: 4px 14px 4px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.note { background: var(--warn-paper); color: var(--warn); padding: 8px 14px; border-radius: 6px; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 22px; }
figure { margin: 0; } figure.wide { grid-column: 1 / -1; }
figure img { width: 100%; background: #ffffff; border: 1px solid var(--line); border-radius: 6px; }
figcaption { color: var(--faint); font-size: 13px; margin-top: 4px; }
.drawing { background: #ffffff; border: 1px solid var(--line); border-radius: 6px; padding: 8px; }
.drawing svg { max-width: 100%; height: auto; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--accent); }
pre { background: var(--shade); padding: 14px; border-radius: 6px; overflow-x: auto;
  font: 13px/1.45 ui-monospace, monospace; }
@media (max-width: 1000px) { .figures { grid-template-columns: minmax(0, 1fr); } figure.wide img { min-width: 950px; } }
@media print { main { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } nav { display: none; }
  body { font-size: 11px; } }
"""


def escape(text: object) -> str:
    """Text for HTML; characters that no HTML may contain are replaced."""
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", str(text))
    return html.escape(clean)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], bold_last: bool = False) -> str:
    """A table; columns with numbers alone are aligned to the right. An empty `head` gives none."""
    cells = [list(row) for row in rows]
    numeric = (
        [all(isinstance(row[i], int | float | None) for row in cells) for i in range(len(cells[0]))] if cells else []
    )
    lines = []
    if any(head):
        titles = (f"<th{_align(numeric, i)}>{escape(title)}</th>" for i, title in enumerate(head))
        lines.append(f"<tr>{''.join(titles)}</tr>")
    for number, row in enumerate(cells):
        strong = ' style="font-weight:600"' if bold_last and number == len(cells) - 1 else ""
        texts = (escape(plain(value)).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}") for value in row)
        values = (f"<td{_align(numeric, i)}>{text}</td>" for i, text in enumerate(texts))
        lines.append(f"<tr{strong}>{''.join(values)}</tr>")
    body = "\n".join(lines)
    return f'<div class="scroll"><table>{body}</table></div>'


def _align(numeric: Sequence[bool], index: int) -> str:
    return ' class="number"' if index < len(numeric) and numeric[index] else ""


def section(key: str, title: str, *parts: str) -> str:
    """A section with an anchor; nothing where all its parts are empty."""
    content = "\n".join(part for part in parts if part)
    return f'<section id="{escape(key)}"><h2>{escape(title)}</h2>\n{content}</section>' if content else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    attribute = f' class="{escape(kind)}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def details(title: str, content: str) -> str:
    """Something that is folded away until it is asked for."""
    return f"<details><summary>{escape(title)}</summary>\n{content}</details>"


def preformatted(text: str) -> str:
    """Text as it stands."""
    return f"<pre>{escape(text)}</pre>"


def figure(name: str, caption: str, png: Path) -> str:
    """A picture inside the page, with its caption; wide ones take the whole width and scroll on a small screen."""
    data = png.read_bytes()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")  # of the PNG's header
    wide = ' class="wide"' if width > 1500 else ""
    image = f'<img alt="{escape(name)}" width="{width}" height="{height}" style="height:auto" '
    image += f'src="data:image/png;base64,{base64.b64encode(data).decode()}" />'
    return f'<figure{wide}><div class="scroll">{image}</div><figcaption>{escape(caption)}</figcaption></figure>'


def inline_svg(svg: str) -> str:
    """A drawing as part of the page: without the head of a file of its own, on paper that is white in any theme."""
    body = svg[svg.index("<svg") :].replace(' xmlns="http://www.w3.org/2000/svg"', "")
    return f'<div class="scroll drawing">{body}</div>'


def page(title: str, body: str) -> str:
    """The whole document, in the syntax that HTML and XML have in common."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<style>{STYLE}</style>\n</head>\n<body><main>\n{body}\n</main></body>\n</html>\n"
    )
