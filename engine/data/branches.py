"""Which branches of a file a sample needs: only those of the collections and fields that something really uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import Path
from engine.spec.expressions import Expression
from engine.spec.layouts import PAIR, SLOT, base_of
from engine.spec.sections.data import DataSpec, FieldSpec, InputSpec, LayoutSpec, RowsSpec, SampleSpec, TargetSpec

Holds = Literal["numbers", "text", "either"]
"""What the values of a branch must be; "either" is for the feature of a vocabulary."""


@dataclass(frozen=True)
class NeededBranch:
    """A branch that has to be read.

    Attributes:
        branch: its name in the file, the slot number of a wide table filled in.
        collection: the collection it is read for.
        field: the field it gives or takes part in; None for the owner and `exists` branches of the collection.
        role: what it is for.
        optional: the field has a default, so the file may lack the branch.
        path: where the spec asks for it.
        holds: what it is used as.
    """

    branch: str
    collection: str
    field: str | None
    role: Literal["field", "owner", "exists"]
    optional: bool
    path: Path
    holds: Holds = "numbers"


def needed_fields(
    data: DataSpec, layout: LayoutSpec, rows: RowsSpec, sample: SampleSpec | None
) -> dict[str, tuple[str, ...]]:
    """Fields of each collection that the rows, inputs, columns, targets and weight of a sample use.

    Args:
        data: the whole section, for its inputs, columns and targets.
        layout: how the files are read.
        rows: which objects become rows.
        sample: None at prediction, where neither targets nor weights are made.

    Returns:
        collection -> its used fields in declared order. A collection that is used only for the number of its objects
        has its first field here.
    """
    return _usage(data, layout, rows, sample).result()


def _usage(data: DataSpec, layout: LayoutSpec, rows: RowsSpec, sample: SampleSpec | None) -> _Usage:
    """Everything that a sample uses."""
    usage = _Usage(layout, rows)
    usage.add_rows()
    for expression in data.columns.values():
        usage.add_expression(expression)
    for network_input in data.inputs.values():
        usage.add_input(network_input)
    if sample is not None:
        for target in data.targets.values():
            usage.add_target(target, data.inputs)
        for weight in data.weights.values():
            usage.add_expression(weight.expression)
        usage.add_expression(sample.weight)
        if sample.weight is None:
            usage.add_field("event", "weight")
    return usage


def needed_branches(
    data: DataSpec, layout: LayoutSpec, rows: RowsSpec, sample: SampleSpec | None
) -> list[NeededBranch]:
    """Branches to read for a sample (arguments as in `needed_fields`), each once; required before optional uses."""
    needed: dict[str, NeededBranch] = {}
    usage = _usage(data, layout, rows, sample)
    for name, fields in usage.result().items():
        for branch in _branches_of(layout, name, fields, usage):
            known = needed.get(branch.branch)
            if known is None or (known.optional and not branch.optional):
                needed[branch.branch] = branch
    return list(needed.values())


def _branches_of(layout: LayoutSpec, name: str, fields: Iterable[str], usage: _Usage) -> Iterable[NeededBranch]:
    """Branches of the given fields of a collection, and its owner and `exists` branches."""
    collection = layout.collections[name]
    slots = collection.slots
    if collection.owner is not None and collection.owner != "implicit":
        yield NeededBranch(collection.owner, name, None, "owner", False, (*collection.path, "owner"))
    if collection.exists is not None:
        for branch in _slotted(sorted(collection.exists.names), slots):
            yield NeededBranch(branch, name, None, "exists", False, (*collection.path, "exists"))
    for field_name in fields:
        field = collection.fields[field_name]
        for branch in _slotted(source_branches(field), slots):
            holds = usage.holds(name, field_name) if field.expression is None else "numbers"
            yield NeededBranch(branch, name, field_name, "field", field.default is not None, field.path, holds)


def source_branches(field: FieldSpec) -> list[str]:
    """Branch names that a field is made of, `{i}` of a wide table not filled in."""
    if field.expression is not None:
        return sorted(field.expression.names)
    return [field.branch if field.branch is not None else field.name]


def _slotted(branches: Iterable[str], slots: int | None) -> Iterable[str]:
    """The names with every slot number filled in where they have `{i}`."""
    for branch in branches:
        if slots is not None and SLOT in branch:
            yield from (branch.replace(SLOT, str(slot)) for slot in range(slots))
        else:
            yield branch


class _Usage:
    """Collects (collection, field) pairs by following names through selections, expressions and matches."""

    def __init__(self, layout: LayoutSpec, rows: RowsSpec) -> None:
        self._layout = layout
        self._rows = rows
        self._fields: dict[str, set[str]] = {}
        self._holds: dict[tuple[str, str], set[Holds]] = {}
        self._selections: set[str] = set()

    def add_rows(self) -> None:
        """The rows' collection, its selections, and what a nearest match measures distances with."""
        self.add_objects(self._rows.of)
        if self._rows.to is not None:
            self.add_objects(self._rows.to)
            for name in (self._rows.of, self._rows.to):
                self.add_field(name, "eta")
                self.add_field(name, "phi")

    def add_objects(self, name: str) -> None:
        """A collection by its name or by that of a selection, whose conditions are then used too."""
        base = base_of(self._layout, name)
        if base is None:
            return
        self._fields.setdefault(base, set())
        while name in self._layout.selections and name not in self._selections:
            self._selections.add(name)
            selection = self._layout.selections[name]
            self.add_expression(selection.where, own=base)
            name = selection.of

    def add_field(self, name: str, field: str, holds: Holds = "numbers") -> None:
        """A field of a collection or selection; a name that the layout has not got is somebody else's mistake."""
        base = base_of(self._layout, name)
        if base is None or field not in self._layout.collections[base].fields:
            return
        self.add_objects(name)
        self._fields[base].add(field)
        self._holds.setdefault((base, field), set()).add(holds)

    def _has(self, own: str, field: str) -> bool:
        base = base_of(self._layout, own)
        return base is not None and field in self._layout.collections[base].fields

    def add_expression(self, expression: Expression | None, own: str | None = None) -> None:
        """Every name of an expression; plain names are fields of the collection `own`."""
        if expression is None:
            return
        for name in expression.names:
            prefix, dot, field = name.partition(".")
            if not dot:
                if own is not None and self._has(own, name):
                    self.add_field(own, name)
                else:
                    self.add_objects(name)
            elif prefix != "matched":
                self.add_field(prefix, field)
            elif self._rows.to is not None:
                self.add_field(self._rows.to, field)

    def add_input(self, network_input: InputSpec) -> None:
        """The features of an input and everything that chooses, orders or shifts its objects."""
        own = network_input.of
        if network_input.text is not None:
            self.add_field(own, network_input.text.field.partition(".")[2], "text")
            return
        self.add_objects(own)
        self.add_expression(network_input.order, own)
        self.add_expression(network_input.where, own)
        if network_input.relative_to is not None:
            self.add_angles(own, network_input)
        for feature in network_input.features.values():
            self.add_expression(feature.expression, own)
            self.add_expression(feature.mirror, own)
            for name in feature.fraction_of:
                self.add_field(own, name)
            if feature.expression is None:
                self.add_field(own, feature.name, "numbers" if feature.vocabulary is None else "either")

    def add_target(self, target: TargetSpec, inputs: Mapping[str, InputSpec]) -> None:
        """The expressions of a target; plain names are fields of the objects of its input, as are those of a pair."""
        own = inputs[target.input].of if target.input is not None else None
        for expression in (*target.expressions, target.valid):
            self.add_expression(expression, own)
            for name in expression.names if expression is not None and target.kind == "pairs" else ():
                side, _, field = name.partition(".")
                if side in PAIR and own is not None:
                    self.add_field(own, field)

    def add_angles(self, own: str, network_input: InputSpec) -> None:
        """eta and phi of the objects and, where they are taken relative to the row, of the rows' collection."""
        names = (own, self._rows.of) if network_input.relative_to == "row" else (own,)
        for name in names:
            self.add_field(name, "eta")
            self.add_field(name, "phi")

    def holds(self, collection: str, field: str) -> Holds:
        """What all who use a field need."""
        kinds = self._holds.get((collection, field), set()) - {"either"} or {"either"}
        return "numbers" if "numbers" in kinds else kinds.pop()

    def result(self) -> dict[str, tuple[str, ...]]:
        """Used collections in the layout's order, fields in declared order, never without a field."""
        found = {}
        for name, collection in self._layout.collections.items():
            if name in self._fields:
                used = tuple(field for field in collection.fields if field in self._fields[name])
                found[name] = used or tuple(collection.fields)[:1]
        return found
