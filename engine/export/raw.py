"""What an exported network asks for: the fields of the objects and of the row, as the experiment's files have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.data.inputs import is_row_input
from engine.spec.expressions import Expression
from engine.spec.layouts import base_or_name
from engine.spec.sections.data import CollectionSpec, DataSpec, InputSpec, LayoutSpec

ROW = "row"


@dataclass(frozen=True)
class RawInputs:
    """The inputs of an exported network.

    Attributes:
        objects: collection -> its fields, in the order of the last axis of a float32 tensor (rows, objects, fields);
            beside it stands `<collection>_mask`, bool (rows, objects). Objects that are only counted have no fields,
            and the mask alone. The tokens of a text input stand here too, as `<input>_codes` with the field `token`.
        row: names such as `jets.pt`, in the order of the last axis of a float32 tensor `row`, (rows, names); or ().
        rows_of: the collection of the rows' own objects.
        units: units of the fields, `jets.pt` -> GeV, where the spec tells them.
        texts: `<input>_codes` -> the text input: text cannot be in a network, which takes the codes.
    """

    objects: dict[str, tuple[str, ...]]
    row: tuple[str, ...]
    rows_of: str
    units: dict[str, str]
    texts: dict[str, InputSpec]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors in the order of the network's arguments."""
        names: list[str] = []
        for collection, fields in self.objects.items():
            names += [collection, f"{collection}_mask"] if fields else [f"{collection}_mask"]
        return (*names, ROW) if self.row else tuple(names)

    def describe(self) -> dict[str, Any]:
        """As plain values, for the exported file's metadata."""
        tensors: dict[str, Any] = {name: {"fields": list(fields)} for name, fields in self.objects.items()}
        if self.row:
            tensors[ROW] = {"fields": list(self.row)}
        return {"inputs": tensors, "units": self.units, "rows_of": self.rows_of}


def raw_inputs(data: DataSpec, layout: LayoutSpec, rows_of: str) -> RawInputs:
    """Which fields the inputs of a spec are computed from.

    Args:
        data: the inputs.
        layout: their collections and selections.
        rows_of: collection of the rows' own objects.
    """
    texts = {codes_of(spec): spec for spec in data.inputs.values() if spec.text is not None}
    inputs = [spec for spec in data.inputs.values() if spec.text is None]
    listed = {base_or_name(layout, spec.of) for spec in inputs if not is_row_input(spec)}
    listed |= {name for name, spec in layout.collections.items() if _several(spec, rows_of)}
    objects: dict[str, dict[str, None]] = {}
    row: dict[str, None] = {}
    for spec in inputs:
        collection = base_or_name(layout, spec.of)
        if not is_row_input(spec):
            objects.setdefault(collection, {})
        for name in _names(spec, layout, rows_of):
            own = name in layout.collections[collection].fields
            prefix, _, field = (f"{collection}.{name}" if own else name).partition(".")
            if prefix in listed and field:
                objects.setdefault(prefix, {})[field] = None
            elif prefix in listed:  # count(clusters)
                objects.setdefault(prefix, {})
            else:
                row[f"{prefix}.{field}"] = None
    units = _units(layout, objects, row)
    fields = {name: tuple(each) for name, each in objects.items()} | {
        name: tuple(texts[name].features) for name in texts
    }
    return RawInputs(fields, tuple(row), rows_of, units, texts)


def codes_of(spec: InputSpec) -> str:
    """What the codes of a text input are called."""
    return f"{spec.name}_codes"


def _several(spec: CollectionSpec, rows_of: str) -> bool:
    """Whether a row has a list of these objects."""
    return spec.owner is not None or (spec.slots is not None and spec.name != rows_of)


def _names(spec: InputSpec, layout: LayoutSpec, rows_of: str) -> Iterator[str]:
    """Every name that an input's program looks up, in a fixed order, some of them several times."""
    selection = spec.of
    while selection in layout.selections:
        yield from sorted(layout.selections[selection].where.names)
        selection = layout.selections[selection].of
    for expression in (spec.order, spec.where):
        yield from _of(expression)
    used: list[str] = []
    for feature in spec.features.values():
        used += [feature.name] if feature.expression is None else _of(feature.expression)
        used += [*feature.fraction_of, *_of(feature.mirror)]
    yield from used
    if spec.relative_to == "row":
        yield from (f"{rows_of}.{name}" for name in ("eta", "phi") if name in used)


def _of(expression: Expression | None) -> list[str]:
    return [] if expression is None else sorted(expression.names)


def _units(layout: LayoutSpec, objects: dict[str, dict[str, None]], row: dict[str, None]) -> dict[str, str]:
    wanted = [(collection, field) for collection, fields in objects.items() for field in fields]
    wanted += [(prefix, field) for prefix, _, field in (name.partition(".") for name in row)]
    units = {}
    for collection, field in wanted:
        spec = layout.collections.get(collection)
        unit = spec.fields[field].unit if spec is not None and field in spec.fields else None
        if unit is not None:
            units[f"{collection}.{field}"] = unit
    return units
