"""Metrics, plots and exporters: nodes, targets, classes, weights and columns that they refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.checks.names import unknown
from engine.spec.checks.weights import weight_names
from engine.spec.constants import constant
from engine.spec.experiment import Experiment
from engine.spec.expressions import ExpressionError
from engine.spec.sections import ChoiceSpec

OF_NUMBERS = ("residuals",)
"""Metrics of outputs that are compared with a number; all others are of classes."""


def check_results(experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of `evaluation:` and `export:`."""
    evaluation = experiment.evaluation
    for spec in (*(evaluation.metrics or ()), *(evaluation.plots or ())):
        yield from _references(spec, experiment)
        yield from _classes(spec, experiment)
        yield from _parts(spec, experiment)
    for spec in evaluation.metrics or ():
        yield from _kind_of_target(spec, experiment)
    yield from _plotted_metrics(experiment)
    for spec in experiment.export:
        for index, name in enumerate(spec.options.get("outputs") or ()):
            if name.partition(".")[0] not in experiment.model.graph:
                yield unknown("node", name, experiment.model.graph, (*spec.path, "outputs", index))


def _references(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    of, target, weight = (spec.options.get(key) for key in ("of", "target", "weight"))
    if of is not None and of.partition(".")[0] not in experiment.model.graph:
        yield unknown("node", of, experiment.model.graph, (*spec.path, "of"))
    if target is not None and target not in experiment.data.targets:
        yield unknown("target", target, experiment.data.targets, (*spec.path, "target"))
    known = [*weight_names(experiment.data), "none"]
    if weight is not None and weight not in known:
        yield unknown("weight", weight, known, (*spec.path, "weight"))


def _kind_of_target(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    """A metric of classes on a number, or of numbers on classes."""
    of = spec.options.get("of")
    name = spec.options.get("target") or experiment.trained_on.get(str(of).removesuffix(".logits"))
    target = experiment.data.targets.get(name) if name else None
    if target is None:
        return
    path = (*spec.path, "target" if spec.options.get("target") else "of")
    if spec.kind in OF_NUMBERS and target.classes:
        yield Mistake(path, f"`{spec.kind}` is for numbers, and `{name}`, which it would look at, has classes")
    if spec.kind not in OF_NUMBERS and not target.classes:
        yield Mistake(path, f"`{spec.kind}` is for classes, and `{name}`, which it would look at, is a number")


def _known_classes(spec: ChoiceSpec, experiment: Experiment) -> list[str] | None:
    """Classes that the options may name; None where the target is unknown."""
    name = spec.options.get("target")
    if name is None:
        return [each for target in experiment.data.targets.values() for each in target.classes]
    target = experiment.data.targets.get(name)
    return None if target is None else list(target.classes)


def _classes(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    known = _known_classes(spec, experiment)
    if known is None:
        return
    signal = spec.options.get("signal")
    if isinstance(signal, str) and signal not in known:
        yield unknown("class", signal, known, (*spec.path, "signal"))
    for key in ("backgrounds", "between"):
        for index, name in enumerate(spec.options.get(key) or ()):
            if name not in known:
                yield unknown("class", name, known, (*spec.path, key, index))
    for key in ("normalise", "factors"):
        value = spec.options.get(key)
        for name in value if isinstance(value, Mapping) else ():
            if name not in known:
                yield unknown("class", name, known, (*spec.path, key, name))


def _parts(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    """Columns of `per` and `bins`, and the edges of the bins."""
    columns = experiment.data.columns
    for key in ("per", "bins"):
        value, path = spec.options.get(key), (*spec.path, key)
        if isinstance(value, str) and value not in columns:
            yield unknown("column", value, columns, path)
        elif isinstance(value, list):
            for index, name in enumerate(value):
                if name not in columns:
                    yield unknown("column", name, columns, (*path, index))
        elif isinstance(value, Mapping):
            for name, edges in value.items():
                if name not in columns:
                    yield unknown("column", name, columns, (*path, name))
                yield from _edges(edges, (*path, name))


def _edges(edges: Any, path: Path) -> Iterator[Mistake]:
    try:
        values = [constant(edge) for edge in edges]
    except ExpressionError:
        return
    for index, (low, high) in enumerate(pairwise(values)):
        if not low < high:
            message = f"the edges of bins must ascend, found {high:g} after {low:g}"
            yield Mistake((*path, index + 1), message)


def _plotted_metrics(experiment: Experiment) -> Iterator[Mistake]:
    """Plots that show a metric by its name."""
    metrics, plots = experiment.evaluation.metrics, experiment.evaluation.plots
    if metrics is None or plots is None:
        return
    names = [spec.options.get("name") or spec.kind for spec in metrics]
    counted = [f"{name}_{number}" for name in names for number in range(2, names.count(name) + 1)]
    for spec in plots:
        metric = spec.options.get("metric")
        if metric is not None and metric not in [*names, *counted]:
            yield unknown("metric", metric, names, (*spec.path, "metric"))
