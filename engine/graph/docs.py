"""Writes docs/blocks.md from the schemas and the library: `python -m engine.graph.docs`."""

from __future__ import annotations

from pathlib import Path

from engine.graph.describe import Description, descriptions

HEAD = """# Blocks

Made from `schemas/blocks.json` and `specs/blocks/` by `python -m engine.graph.docs`; a change belongs there.

A node of the graph is a list of layers, and each layer is a block: its name alone (`concat`), with a value
(`dropout: 0.2`) or with parameters (`dense: {units: 64, activation: relu}`). Sizes of inputs are never written; they
follow from what comes in.

Objects carry a mask that tells real ones from padding. Each block says what it does with it, and none loses it
silently. What a value holds in its padding has no meaning: training on a processor leaves padding out where it can.

`$name` stands for a value of a `repeat`, a `parallel` or a block's parameter, and `input.channels` for the features
that come into a block written in YAML; both may stand in arithmetic such as `$layers - 1`.
"""

SECTIONS = {
    "primitive": ("## Primitive blocks", "Written in Python, one file each in `engine/graph/blocks/`."),
    "control": ("## Blocks that hold layers", "Taken apart before the network is built."),
    "written in YAML": (
        "## Blocks written in YAML",
        "They come with the program and are used after `include:` of their file; `blocks:` in a spec makes more.",
    ),
}


def text() -> str:
    """The whole page."""
    found = descriptions()
    parts = [HEAD]
    for kind, (heading, introduction) in SECTIONS.items():
        parts.append(f"{heading}\n\n{introduction}\n")
        parts += [section(each) for each in found.values() if each.kind == kind]
    return "\n".join(parts)


def section(block: Description) -> str:
    """One block."""
    lines = [f"### {block.name}", ""]
    if block.file:
        lines += [f"`include: {block.file}`. {block.meaning}"]
    else:
        lines += [f"{block.title}. {block.meaning}"]
    lines += ["", f"- Inputs: {block.inputs}", f"- Mask: {block.mask}"]
    if block.shorthand:
        lines.append(f"- `{block.name}: value` is short for `{block.name}: {{{block.shorthand}: value}}`.")
    if block.parameters:
        lines += ["", "| parameter | type | default | meaning |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows(block)]
    return "\n".join([*lines, ""])


def rows(block: Description) -> list[tuple[str, str, str, str]]:
    """The parameters as cells of a table."""
    return [
        (f"`{name}`", kind, default if default == "required" else f"`{default}`", meaning)
        for name, kind, default, meaning in block.parameters
    ]


def main() -> None:
    """Write the page into the checkout."""
    page = Path(__file__).resolve().parents[2] / "docs" / "blocks.md"
    page.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
