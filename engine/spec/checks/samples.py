"""Samples, columns and `predict`: which rows are made, and whether the names in their expressions are known."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake, Path
from engine.spec.checks.names import View, check_row_expression, matched_fields, objects, unknown, views
from engine.spec.layouts import base_of
from engine.spec.sections import DataSpec, LayoutSpec, RowsSpec, SampleSpec


def check_samples(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of samples, columns and `predict`."""
    for sample in data.samples.values():
        yield from _rows(data, sample.layout, sample.rows, sample.path)
        yield from _weight(data, sample)
    if data.predict is not None:
        yield from _rows(data, data.predict.layout, data.predict.rows, (*data.path, "predict"))
    for view in views(data):
        for name, expression in data.columns.items():
            yield from check_row_expression(expression, (*data.path, "columns", name), view)


def _rows(data: DataSpec, layout_name: str, rows: RowsSpec, path: Path) -> Iterator[Mistake]:
    """The layout and the objects that rows are made of."""
    layout = data.layouts.get(layout_name)
    if layout is None:
        yield unknown("layout", layout_name, data.layouts, (*path, "layout"))
        return
    matched = rows.to is not None
    yield from _objects(layout, rows.of, (*rows.path, "nearest") if matched else rows.path, matched)
    if rows.to is not None:
        yield from _objects(layout, rows.to, (*rows.path, "to"), matched)


def _objects(layout: LayoutSpec, name: str, path: Path, matched: bool) -> Iterator[Mistake]:
    if name not in layout.collections and name not in layout.selections:
        yield unknown("collection or selection", name, objects(layout), path)
        return
    base = base_of(layout, name)
    if not matched or base is None:
        return
    for field in ("eta", "phi"):
        if field not in layout.collections[base].fields:
            message = f"`{base}` has no field `{field}`, which the distance to the nearest object is made of"
            yield Mistake(path, message)


def _weight(data: DataSpec, sample: SampleSpec) -> Iterator[Mistake]:
    """The sample's own weight sees the sample's own constants and match."""
    if sample.weight is None or sample.layout not in data.layouts:
        return
    layout = data.layouts[sample.layout]
    base = base_of(layout, sample.rows.of)
    if base is None:
        return
    matched = frozenset(matched_fields(data, sample.layout, sample.rows))
    view = View(layout, base, frozenset(sample.constants), matched)
    yield from check_row_expression(sample.weight, (*sample.path, "weight"), view)
