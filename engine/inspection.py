"""`engine inspect`: the layers of a network with shapes and parameters, and its graph as a picture."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.graph.planned import Plan

Row = tuple[str, str, str, str]


def check_picture(path: Path | None) -> None:
    """Raise where a picture is asked for in another form than it has.

    Raises:
        UsageError: its name does not end in .svg.
    """
    if path is not None and path.suffix.lower() != ".svg":
        message = f"{path}: the graph is drawn as SVG; give a name that ends in .svg"
        raise UsageError(message)


def inspect(model: Path, overrides: Sequence[str], deep: bool) -> tuple[str, str]:
    """The table of a network, and its picture as SVG.

    Args:
        model: a spec, the directory of a run, or an ONNX file.
        overrides: of a spec.
        deep: also what the blocks that are written in YAML consist of.

    Raises:
        UsageError: there is no such file or run.
        SpecError: every mistake of the spec.
        ExportError: the ONNX file cannot be read.
    """
    if not model.exists():
        message = f"there is no {model}; give a spec, the directory of a run, or an ONNX file"
        raise UsageError(message)
    if model.suffix == ".onnx":
        return _of_onnx(model)
    from engine.graph.picture import svg
    from engine.validation import load_planned

    spec = model
    if model.is_dir():
        from engine.runs import RunDirectory

        spec = RunDirectory(model).spec
        if not spec.is_file():
            message = f"{model} is not the directory of a run: it has no {spec.name}"
            raise UsageError(message)
    _, plan = load_planned(spec, overrides)
    return _of_plan(plan, deep), svg(plan)


def _of_plan(plan: Plan, deep: bool) -> str:
    from engine.graph.layers_table import layer_rows

    rows = [
        ("  " * row.depth + row.name, row.output, _number(row.trainable), _number(row.fixed))
        for row in layer_rows(plan, deep=deep)
    ]
    trainable, fixed = plan.counts
    return _table(
        rows,
        ("layer", "output", "trainable", "fixed"),
        (f"{trainable + fixed:,} parameters", "", f"{trainable:,}", f"{fixed:,}"),
    )


def _of_onnx(path: Path) -> tuple[str, str]:
    from engine.export.anatomy import picture, read_anatomy

    anatomy = read_anatomy(path)
    rows: list[Row] = [(name, "input", shape, "") for name, shape in anatomy.inputs.items()]
    rows += [
        (each.name, ", ".join(each.layers), f"{each.operators:,} operators", _number(each.parameters))
        for each in anatomy.groups.values()
    ]
    rows += [(name, "output", shape, "") for name, (shape, _) in anatomy.outputs.items()]
    table = _table(rows, ("node", "layers", "size", "parameters"), ("", "", "", f"{anatomy.parameters:,}"))
    return table, picture(anatomy)


def _number(count: int) -> str:
    return f"{count:,}" if count else ""


def _table(rows: Iterable[Row], head: Row, foot: Row) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=True)
    for title, total in zip(head, foot, strict=True):
        right = title in ("trainable", "fixed", "parameters")
        table.add_column(title, total, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*row)
    buffer = io.StringIO()
    width = max(80, shutil.get_terminal_size((120, 40)).columns)
    Console(file=buffer, width=width, markup=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines() if line.strip())
