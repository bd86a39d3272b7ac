"""Collections and selections: slots, owners, what selections are of, which fields their conditions use."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake
from engine.spec.checks.names import check_plain_names, objects, unknown
from engine.spec.layouts import PAIR, SLOT, base_of
from engine.spec.sections import CollectionSpec, DataSpec, FieldSpec, LayoutSpec, SelectionSpec

RESERVED = ("constants", "matched", *PAIR)


def check_layouts(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes inside the layouts."""
    for layout in data.layouts.values():
        if layout.name == "default" and layout.path != data.path:
            message = "`default` is the name of the layout that stands in `data` itself; choose another"
            yield Mistake(layout.path, message, of_key=True)
        for collection in layout.collections.values():
            yield from _collection(collection)
        for selection in layout.selections.values():
            yield from _selection(selection, layout)


def _collection(collection: CollectionSpec) -> Iterator[Mistake]:
    if collection.name in RESERVED:
        message = f"`{collection.name}` has a meaning of its own in expressions; choose another name"
        yield Mistake(collection.path, message, of_key=True)
    if not collection.fields:
        yield Mistake(collection.path, f"`{collection.name}` has no fields; write them as `field: branch`")
    if collection.exists is not None and collection.slots is None:
        message = "`exists` is for wide tables; it needs `slots`, the number of columns of each field"
        yield Mistake((*collection.path, "exists"), message, of_key=True)
    slotted = False
    for field in collection.fields.values():
        slotted |= _has_slot(field)
        yield from _field(field, collection)
    if collection.slots is not None and collection.fields and not slotted:
        message = f"`slots` needs fields whose branch names hold `{SLOT}`, the number of the slot"
        yield Mistake((*collection.path, "slots"), message, of_key=True, rests_on=(collection.path,))


def _field(field: FieldSpec, collection: CollectionSpec) -> Iterator[Mistake]:
    if field.branch is not None and field.expression is not None:
        yield Mistake(field.path, f"`{field.name}` has a `branch` and an `expression`; keep one of them")
    if _has_slot(field) and collection.slots is None:
        message = f"the branch name holds `{SLOT}`, so `{collection.name}` needs `slots`, their number"
        yield Mistake(field.path, message)


def _has_slot(field: FieldSpec) -> bool:
    names = field.expression.names if field.expression is not None else [field.branch or ""]
    return any(SLOT in name for name in names)


def _selection(selection: SelectionSpec, layout: LayoutSpec) -> Iterator[Mistake]:
    if selection.name in layout.collections:
        message = f"`{selection.name}` is the name of a collection too; choose another"
        yield Mistake(selection.path, message, of_key=True)
        return
    if selection.of not in layout.collections and selection.of not in layout.selections:
        yield unknown("collection or selection", selection.of, objects(layout), (*selection.path, "of"))
        return
    base = base_of(layout, selection.of)
    if base is None:
        if _is_circular(layout, selection.name):
            yield Mistake((*selection.path, "of"), f"the selection `{selection.name}` is made of itself")
        return
    fields = layout.collections[base].fields
    yield from check_plain_names(selection.where, fields, f"`{base}` has no field", (*selection.path, "where"))


def _is_circular(layout: LayoutSpec, start: str) -> bool:
    name, seen = layout.selections[start].of, set[str]()
    while name in layout.selections and name not in seen:
        if name == start:
            return True
        seen.add(name)
        name = layout.selections[name].of
    return False
