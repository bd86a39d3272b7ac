"""Targets and labels: every class is that of some sample, every label the class of exactly one target."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Mistake
from engine.spec.checks.names import check_row_expression, views
from engine.spec.sections import DataSpec, SampleSpec, TargetSpec
from engine.spec.suggest import hint


def check_targets(data: DataSpec) -> Iterator[Mistake]:
    """Mistakes of targets, and of the labels of samples."""
    for target in data.targets.values():
        yield from _target(target, data)
    yield from _shared_classes(data)
    for sample in data.samples.values():
        yield from _labels(sample, data)


def by_label(target: TargetSpec) -> list[str]:
    """Classes that only the label of a sample can say."""
    return [name for name, value in target.classes.items() if value is None]


def _target(target: TargetSpec, data: DataSpec) -> Iterator[Mistake]:
    path = target.path
    if not target.classes and target.expression is None:
        yield Mistake(path, f"`{target.name}` needs `classes`, or an `expression` whose value is learnt")
    if target.classes and target.expression is None and not by_label(target):
        yield Mistake(path, f"the classes of `{target.name}` have values, so it needs the `expression` that has them")
    if by_label(target) and target.expression is not None:
        message = "with an `expression` each class needs its value: write `classes: {name: value}`"
        yield Mistake((*path, "classes"), message, of_key=True)
        return
    values = [value for value in target.classes.values() if value is not None]
    if len(set(values)) < len(values):
        yield Mistake((*path, "classes"), "two classes have the same value")
    labels = [label for sample in data.samples.values() for label in sample.labels]
    for index, name in enumerate(by_label(target)):
        if name not in labels:
            message = f"no sample has the label `{name}`{hint(name, labels)}"
            yield Mistake((*path, "classes", index), message)
    for view in views(data):
        yield from check_row_expression(target.expression, (*path, "expression"), view)


def _shared_classes(data: DataSpec) -> Iterator[Mistake]:
    """A label must say which target it is of."""
    first: dict[str, str] = {}
    for target in data.targets.values():
        for index, name in enumerate(target.classes):
            if name in first:
                step = index if by_label(target) else name
                message = f"`{name}` is a class of `{first[name]}` too; a label could not say which is meant"
                yield Mistake((*target.path, "classes", step), message, of_key=not by_label(target))
            first.setdefault(name, target.name)


def _labels(sample: SampleSpec, data: DataSpec) -> Iterator[Mistake]:
    path = (*sample.path, "label")
    targets = {name: target.name for target in data.targets.values() for name in target.classes}
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
