"""Targets and labels: every class is that of some sample, every label the class of exactly one target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.errors import Mistake, Path
from engine.spec.checks.names import View, check_row_expression, row_name, unknown, unreduced, views
from engine.spec.expressions import Expression
from engine.spec.layouts import PAIR, base_of
from engine.spec.sections import DataSpec, SampleSpec, TargetSpec
from engine.spec.suggest import hint

MOST_IN_PAIRS = 1000
"""Objects of a row whose pairs are learnt: a batch holds a number for each."""


def check_targets(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of targets, and of the labels of samples."""
    for target in data.targets.values():
        yield from _target(target, data)
    yield from _shared_classes(data)
    for sample in data.samples.values():
        yield from _labels(sample, data)


def of_rows(data: DataSpec) -> list[TargetSpec]:
    """Targets with one value a row, which labels and weights can refer to."""
    return [target for target in data.targets.values() if target.kind == "row"]


def by_label(target: TargetSpec) -> list[str]:
    """Classes that only the label of a sample can say."""
    return [name for name, value in target.classes.items() if value is None]


def _target(target: TargetSpec, data: DataSpec) -> Iterator[Mistake]:
    path = target.path
    if not target.classes and not target.expressions:
        yield Mistake(path, f"`{target.name}` needs `classes`, or an `expression` whose value is learnt")
    if target.classes and not target.expressions and not by_label(target):
        yield Mistake(path, f"the classes of `{target.name}` have values, so it needs the `expression` that has them")
    if by_label(target) and (target.expressions or target.kind != "row"):
        why = "with an `expression`" if target.expressions else f"of {target.kind}"
        message = f"{why} each class needs its value: write `classes: {{name: value}}`"
        yield Mistake((*path, "classes"), message, of_key=True)
        return
    if target.classes and target.components:
        message = "classes are those of one number; a vector has none, so write one `expression` or no `classes`"
        yield Mistake((*path, "classes"), message, of_key=True)
    if target.classes and target.unit is not None:
        yield Mistake((*path, "unit"), "classes have no unit; leave it out", of_key=True)
    values = [value for value in target.classes.values() if value is not None]
    if len(set(values)) < len(values):
        yield Mistake((*path, "classes"), "two classes have the same value")
    labels = [label for sample in data.samples.values() for label in sample.labels]
    for index, name in enumerate(by_label(target)):
        if name not in labels:
            message = f"no sample has the label `{name}`{hint(name, labels)}"
            yield Mistake((*path, "classes", index), message, rests_on=(("data", "samples"),))
    yield from _names(target, data)


def _names(target: TargetSpec, data: DataSpec) -> Iterator[Mistake]:
    """The input that a target follows, and the names in its expressions."""
    if target.of is not None and target.pairs is not None:
        yield Mistake((*target.path, "pairs"), "`of` and `pairs` exclude each other; keep one of them", of_key=True)
        return
    key = "of" if target.kind == "objects" else "pairs"
    spec = data.inputs.get(target.input) if target.input is not None else None
    if target.input is not None and spec is None:
        yield unknown("input", target.input, data.inputs, (*target.path, key))
    elif spec is not None and spec.keep is None:
        lists = [name for name, each in data.inputs.items() if each.keep is not None]
        message = f"the input `{spec.name}` is the row itself; name an input of objects{hint(spec.name, lists)}"
        yield Mistake((*target.path, key), message)
    elif spec is not None and spec.text is not None:
        message = f"the objects of `{spec.name}` are the tokens of a text, of which nothing is known to learn"
        yield Mistake((*target.path, key), message)
    elif spec is not None and target.kind == "pairs" and spec.keep is not None and spec.keep > MOST_IN_PAIRS:
        message = (
            f"`{spec.name}` keeps {spec.keep:,} objects, which would be {spec.keep**2:,} pairs a row; pairs are for "
            f"inputs that keep at most {MOST_IN_PAIRS:,}"
        )
        yield Mistake((*target.path, key), message)
    else:
        for view in views(data):
            base = base_of(view.layout, spec.of) if spec is not None else None
            if spec is not None and base is None:
                continue  # told as a mistake of the input
            fields = view.layout.collections[base].fields if base is not None else None
            for path, expression in _expressions(target):
                if target.kind == "pairs":
                    yield from _pair_expression(expression, path, view, fields or {})
                else:
                    yield from check_row_expression(expression, path, view, fields)


def _expressions(target: TargetSpec) -> Iterator[tuple[Path, Expression]]:
    """Every expression of a target, and where it stands."""
    path: Path = (*target.path, "expression")
    in_list = target.components == tuple(str(index) for index in range(len(target.components)))
    for index, expression in enumerate(target.expressions):
        step = index if in_list else target.components[index]
        yield (*path, step) if target.components else path, expression
    if target.valid is not None:
        yield (*target.path, "valid"), target.valid


def _pair_expression(expression: Expression, path: Path, view: View, fields: Iterable[str]) -> Iterator[Mistake]:
    """Names of an expression of two objects, `left` and `right`, and of their row."""
    bare, known = unreduced(expression), list(fields)
    for name in sorted(expression.names):
        side, _, field = name.partition(".")
        message: str | None
        if side in PAIR:
            message = None if field in known else f"the objects have no field `{field}`{hint(field, known)}"
            if message is None and name not in bare:
                message = f"`{name}` is one value a pair, and reductions such as `sum(...)` are of the row's objects"
        elif name in known:
            message = f"`{name}` is of one object, and a pair has two: write `left.{name}` or `right.{name}`"
        else:
            message = row_name(name, view, name in bare, None)
        if message is not None:
            yield Mistake(path, message, expression.offsets.get(name, 0))


def _shared_classes(data: DataSpec) -> Iterator[Mistake]:
    """A label must say which target it is of."""
    first: dict[str, str] = {}
    for target in of_rows(data):
        for index, name in enumerate(target.classes):
            if name in first:
                step = index if by_label(target) else name
                message = f"`{name}` is a class of `{first[name]}` too; a label could not say which is meant"
                yield Mistake((*target.path, "classes", step), message, of_key=not by_label(target))
            first.setdefault(name, target.name)


def _labels(sample: SampleSpec, data: DataSpec) -> Iterator[Mistake]:
    path = (*sample.path, "label")
    targets = {name: target.name for target in of_rows(data) for name in target.classes}
    seen: dict[str, str] = {}
    for label in sample.labels:
        if label not in targets:
            hinted = hint(label, targets) if targets else "; there are no targets with classes"
            yield Mistake(path, f"`{label}` is not a class of any target{hinted}")
        elif targets[label] in seen:
            other = seen[targets[label]]
            yield Mistake(path, f"`{other}` and `{label}` are both classes of `{targets[label]}`; keep one")
        else:
            seen[targets[label]] = label
