"""What names stand for: which collection a selection is of, which names an expression of a row or an object may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from engine.errors import Mistake, Path
from engine.spec.expressions import FUNCTIONS, Expression
from engine.spec.layouts import base_of
from engine.spec.sections import DataSpec, FieldSpec, LayoutSpec, RowsSpec
from engine.spec.suggest import hint
from engine.spec.syntax import Call, Name, Node


def unknown(what: str, name: str, known: Iterable[str], path: Path, offset: int = 0) -> Mistake:
    """The mistake of a name that nothing has."""
    return Mistake(path, f"there is no {what} `{name}`{hint(name, known)}", offset)


def objects(layout: LayoutSpec) -> list[str]:
    """Names that stand for objects: collections and selections."""
    return [*layout.collections, *layout.selections]


@dataclass(frozen=True)
class View:
    """What a row of some samples sees: the layout of their files and the collection of the row's own objects."""

    layout: LayoutSpec
    rows: str
    constants: frozenset[str]
    matched: frozenset[str]

    def has_several(self, collection: str) -> bool:
        """Whether a row is known to have a list of these objects."""
        spec = self.layout.collections[collection]
        return collection != self.rows and (spec.owner is not None or spec.slots is not None)


def views(data: DataSpec) -> list[View]:
    """What the rows of the samples and of `predict` see, each different case once."""
    constants = frozenset(name for sample in data.samples.values() for name in sample.constants)
    wanted: list[tuple[str, RowsSpec]] = [(sample.layout, sample.rows) for sample in data.samples.values()]
    matched = frozenset(name for layout, rows in wanted for name in matched_fields(data, layout, rows))
    if data.predict is not None:
        wanted.append((data.predict.layout, data.predict.rows))
    found: dict[tuple[str, str], View] = {}
    for layout, rows in wanted:
        base = base_of(data.layouts[layout], rows.of) if layout in data.layouts else None
        if base is not None:
            found[layout, base] = View(data.layouts[layout], base, constants, matched)
    return list(found.values())


def matched_fields(data: DataSpec, layout: str, rows: RowsSpec) -> Iterable[str]:
    """Fields of the objects that rows are matched to."""
    if rows.to is None or layout not in data.layouts:
        return ()
    base = base_of(data.layouts[layout], rows.to)
    return data.layouts[layout].collections[base].fields if base else ()


def check_row_expression(
    expression: Expression | None, path: Path, view: View, own: Mapping[str, FieldSpec] | None = None
) -> Iterator[Mistake]:
    """Unknown names of an expression.

    Args:
        expression: nothing is checked where it is None.
        path: where it stands.
        view: what the row sees.
        own: fields known by their plain names: those of the objects of an input.
    """
    if expression is None:
        return
    bare = unreduced(expression)
    for name in sorted(expression.names):
        if own is not None and name in own:
            continue
        message = row_name(name, view, name in bare, own)
        if message is not None:
            yield Mistake(path, message, expression.offsets.get(name, 0))
    yield from _reduced_rows(expression, path, view, own)


def _reduced_rows(
    expression: Expression, path: Path, view: View, own: Mapping[str, FieldSpec] | None
) -> Iterator[Mistake]:
    """Reductions of what a row has one of: the object that it is made of, constants, what it is matched to."""
    for call in descend(expression.root):
        if not (isinstance(call, Call) and call.function in FUNCTIONS and FUNCTIONS[call.function].of_objects):
            continue
        names = [node.name for node in descend(call) if isinstance(node, Name)]
        of_row = [name for name in names if name.partition(".")[0] in (view.rows, "constants", "matched")]
        if names and names == [name for name in of_row if own is None or name not in own]:
            message = (
                f"`{call.function}(...)` runs over several objects, and a row has one `{names[0]}`: rows are made of "
                f"`{view.rows}`"
            )
            yield Mistake(path, message, expression.offsets.get(names[0], 0))


def check_plain_names(expression: Expression, known: Iterable[str], lack: str, path: Path) -> Iterator[Mistake]:
    """Names of an expression that are not among the known ones; `lack` begins the message: `there is no loss`."""
    names = list(known)
    for name in sorted(expression.names.difference(names)):
        yield Mistake(path, _no_name(name, lack, names), expression.offsets.get(name, 0))


def unreduced(expression: Expression) -> frozenset[str]:
    """Names that stand outside of any reduction such as `sum(...)`."""
    found: set[str] = set()
    waiting: list[Node] = [expression.root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            found.add(node.name)
        elif not (isinstance(node, Call) and node.function in FUNCTIONS and FUNCTIONS[node.function].is_reduction):
            waiting.extend(parts(node))
    return frozenset(found)


def descend(node: Node) -> Iterator[Node]:
    """A node of an expression and all below it."""
    yield node
    for part in parts(node):
        yield from descend(part)


def parts(node: Node) -> Iterator[Node]:
    """The nodes directly below a node of an expression."""
    for each in fields(node):  # type: ignore[arg-type]
        value = getattr(node, each.name)
        yield from (part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Node))


def row_name(name: str, view: View, bare: bool, own: Mapping[str, FieldSpec] | None) -> str | None:
    """What is wrong with a name in an expression of a row; None when nothing is."""
    prefix, dot, field = name.partition(".")
    if dot and prefix == "constants":
        known = field in view.constants
        return None if known else f"no sample has the constant `{field}`{hint(field, view.constants)}"
    if dot and prefix == "matched":
        known = field in view.matched
        return None if known else f"rows are matched to nothing with a field `{field}`{hint(field, view.matched)}"
    if prefix not in view.layout.collections:
        return _no_collection(name, view, own)
    collection = view.layout.collections[prefix]
    if dot and field not in collection.fields:
        return f"`{prefix}` has no field `{field}`{hint(field, collection.fields)}"
    if bare and view.has_several(prefix):
        value = name if dot else f"{prefix}.{next(iter(collection.fields), 'field')}"
        return f"a row has several `{prefix}`; make one value of them, as in `sum({value})`"
    return None


def _no_collection(name: str, view: View, own: Mapping[str, FieldSpec] | None) -> str:
    prefix, dot, field = name.partition(".")
    if prefix in view.layout.selections:
        base = base_of(view.layout, prefix)
        return f"`{prefix}` is a selection; write `{base}{dot}{field}`"
    if dot:
        return f"there is no collection `{prefix}`{hint(prefix, view.layout.collections)}"
    if own is not None:
        return _no_name(name, "the objects have no field", [*own])
    if name in view.layout.collections[view.rows].fields:
        return f"there is no name `{name}`; did you mean `{view.rows}.{name}`?"
    known = [f"{view.rows}.{each}" for each in view.layout.collections[view.rows].fields]
    return _no_name(name, "there is no name", known)


def _no_name(name: str, lack: str, known: list[str]) -> str:
    if name in FUNCTIONS:
        return f"`{name}` is a function; write `{name}(...)`"
    return f"{lack} `{name}`{hint(name, known)}"
