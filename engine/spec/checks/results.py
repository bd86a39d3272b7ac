"""Metrics, plots and exporters: nodes, targets, classes, weights and columns that they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from engine.errors import Mistake, Path
from engine.spec.checks.names import unknown
from engine.spec.checks.quantities import check_quantities
from engine.spec.constants import constant
from engine.spec.experiment import Experiment
from engine.spec.expressions import ExpressionError
from engine.spec.sections import ChoiceSpec, TargetSpec

OF_NUMBERS = ("residuals", "distance")
"""Metrics of outputs that are compared with numbers."""
OF_CUTS = ("asymmetry", "pull", "binomial", "importance_sampling")
"""Metrics of conditions; all others are of classes."""
NEEDED = {
    "asymmetry": ("cut", "variables"),
    "pull": ("cut", "variables"),
    "binomial": ("cut", "variables"),
    "importance_sampling": ("probability",),
}
"""Options without which a metric has no meaning."""


def check_results(experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of `evaluation:` and `export:`."""
    evaluation = experiment.evaluation
    for spec in (*(evaluation.metrics or ()), *(evaluation.plots or ())):
        yield from _references(spec, experiment)
        yield from check_quantities(spec, experiment)
        yield from _classes(spec, experiment)
        yield from _parts(spec, experiment)
    for spec in evaluation.metrics or ():
        yield from _needed(spec)
        yield from _kind_of_target(spec, experiment)
    yield from _plotted_metrics(experiment)
    for spec in experiment.export:
        for index, name in enumerate(spec.options.get("outputs") or ()):
            if name.partition(".")[0] not in experiment.model.graph:
                yield unknown("node", name, experiment.model.graph, (*spec.path, "outputs", index))


def _references(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    for key in ("of", "covariance"):
        node = spec.options.get(key)
        if node is not None and node.partition(".")[0] not in experiment.model.graph:
            yield unknown("node", node, experiment.model.graph, (*spec.path, key))
    for key in ("target", "by"):
        target = spec.options.get(key)
        if target is not None and target not in experiment.data.targets:
            yield unknown("target", target, experiment.data.targets, (*spec.path, key))
    by = experiment.data.targets.get(str(spec.options.get("by")))
    if by is not None and (by.kind != "row" or not by.classes):
        yield Mistake((*spec.path, "by"), f"`{by.name}` is no target of rows with classes")


def _needed(spec: ChoiceSpec) -> Iterator[Mistake]:
    for key in NEEDED.get(spec.kind, ()):
        if not spec.options.get(key):
            examples = {"cut": "cut: score > 0.5", "variables": "variables: [pt]", "probability": "probability: score"}
            yield Mistake(spec.path, f"`{spec.kind}` needs `{key}`, as in `{examples[key]}`")


def _kind_of_target(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    """A metric of classes on a number, or of numbers on classes, or of objects on rows."""
    of = spec.options.get("of")
    name = spec.options.get("target") or experiment.trained_on.get(str(of).removesuffix(".logits"))
    target = experiment.data.targets.get(name) if name else None
    if target is None or spec.kind in OF_CUTS:
        return
    path = (*spec.path, "target" if spec.options.get("target") else "of")
    if spec.kind in OF_NUMBERS and target.classes:
        yield Mistake(path, f"`{spec.kind}` is for numbers, and `{name}`, which it would look at, has classes")
    if spec.kind not in OF_NUMBERS and not target.classes and not _is_binary(target, experiment):
        message = f"`{spec.kind}` is for classes, and `{name}`, which it would look at, is a number"
        yield Mistake(path, message, rests_on=(("training", "losses"),))
    if spec.kind == "object_selection" and target.kind != "objects":
        message = f"`object_selection` is for objects, and `{name}`, which it would look at, is of {target.kind}s"
        yield Mistake(path, message.replace("pairss", "pairs"))


def _is_binary(target: TargetSpec, experiment: Experiment) -> bool:
    """Whether a target without classes may be yes or no."""
    losses = experiment.training.losses.values()
    trained = any(loss.target == target.name and loss.kind == "binary_cross_entropy" for loss in losses)
    return trained or (target.kind != "row" and not target.components)


def _known_classes(spec: ChoiceSpec, experiment: Experiment) -> list[str] | None:
    """Classes that the options may name; None where the target is unknown."""
    name = spec.options.get("target")
    if name is None:
        targets: Iterable[TargetSpec] = experiment.data.targets.values()
    elif name in experiment.data.targets:
        targets = [experiment.data.targets[name]]
    else:
        return None
    return [each for target in targets for each in (target.classes or (f"not {target.name}", target.name))]


def _classes(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    known = _known_classes(spec, experiment)
    if known is None:
        return
    for path, name in _named_classes(spec.options):
        if name not in known:
            yield unknown("class", name, [each for each in known if not each.startswith("not ")], (*spec.path, *path))


def _named_classes(options: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The places where options name a class, and the name."""
    if isinstance(options.get("signal"), str):
        yield ("signal",), options["signal"]
    for key in ("backgrounds", "between", "classes"):
        for index, name in enumerate(options.get(key) or ()):
            yield (key, index), name
    for key in ("normalise", "factors", "fractions"):
        value = options.get(key)
        for name in value if isinstance(value, Mapping) else ():
            yield (key, name), name
    scan = options.get("scan")
    if isinstance(scan, Mapping):
        yield ("scan", "fraction"), scan["fraction"]


def _parts(spec: ChoiceSpec, experiment: Experiment) -> Iterator[Mistake]:
    """Columns of `per` and `bins`, and the edges of all bins."""
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
    for index, variable in enumerate(spec.options.get("variables") or ()):
        if isinstance(variable, Mapping):
            path = (*spec.path, "variables", index)
            yield from _edges(variable.get("edges") or (), (*path, "edges"))
            limits = variable.get("range") or ()
            yield from _edges(limits if None not in limits else (), (*path, "range"))
    reweight = spec.options.get("reweight")
    if isinstance(reweight, Mapping):
        yield from _edges(reweight.get("edges") or (), (*spec.path, "reweight", "edges"))


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
        elif metric is None and spec.kind in NEEDED and spec.kind not in [each.kind for each in metrics]:
            needed = " and ".join(f"`{key}`" for key in NEEDED[spec.kind])
            yield Mistake(spec.path, f"the plot `{spec.kind}` shows a metric that is not listed; it needs {needed}")
