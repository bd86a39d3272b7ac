"""What is evaluated and drawn: as the spec lists it, or what fits the losses where it lists nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.spec.quantities import expression_options, longest, names_of

if TYPE_CHECKING:
    from engine.graph.types import TensorType
    from engine.spec.experiment import Experiment
    from engine.spec.sections import ChoiceSpec, TargetSpec

DRAWN = (
    "roc",
    "precision_recall",
    "discriminant",
    "confusion_matrix",
    "weighted_ks",
    "s_over_sqrt_b",
    "efficiency",
    "object_selection",
    "residuals",
    "distance",
    "asymmetry",
    "pull",
    "binomial",
    "importance_sampling",
)
"""The kinds of metrics that have a plot of the same name."""
MOST_PAIRS = 2500
"""Pairs of objects a row of which a default metric is computed; beyond that their values would fill the memory."""


@dataclass(frozen=True)
class Choice:
    """A metric or plot: its kind, its name among the results, its options."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def evaluated_outputs(experiment: Experiment, types: Mapping[str, TensorType]) -> tuple[str, ...]:
    """The outputs that losses, metrics and plots look at, each once.

    Outputs of pairs of objects are many values: those that no metric and no plot looks at are left out.

    Args:
        experiment: the checked spec.
        types: of everything that the network can be asked for.
    """
    listed = [*chosen_metrics(experiment, types), *_named(experiment.evaluation.plots or ())]
    asked = dict.fromkeys(name for choice in listed for name in _asked(choice, experiment, types))
    trained = [
        name
        for name in experiment.trained_on
        if name in asked or name not in types or len(types[name].objects) < 2
    ]  # fmt: skip
    return tuple(dict.fromkeys([*trained, *asked]))


def wide_targets(experiment: Experiment, outputs: Iterable[str], types: Mapping[str, TensorType]) -> tuple[str, ...]:
    """The targets of objects and pairs that the evaluated outputs are compared with."""
    listed = [*chosen_metrics(experiment, types), *_named(experiment.evaluation.plots or ())]
    named = [choice.options.get("target") for choice in listed]
    compared = [experiment.trained_on.get(name.removesuffix(".logits")) for name in outputs]
    wanted = dict.fromkeys(name for name in (*named, *compared) if name is not None)
    return tuple(name for name in wanted if experiment.data.targets[name].kind != "row")


def _asked(choice: Choice, experiment: Experiment, types: Mapping[str, TensorType]) -> Iterable[str]:
    """The outputs that a metric or plot looks at."""
    for key in ("of", "covariance"):
        if choice.options.get(key) is not None:
            yield choice.options[key]
    for _, text in expression_options(choice.options, ["weight", *experiment.data.weights]):
        for name in names_of(text):
            found = longest(name.removeprefix("outputs."), types)
            if found is not None and name not in experiment.data.columns:
                yield found


def chosen_metrics(experiment: Experiment, types: Mapping[str, TensorType] | None = None) -> list[Choice]:
    """The metrics of the spec, or those that fit the losses; and those that a listed plot needs."""
    listed = experiment.evaluation.metrics
    metrics = _default_metrics(experiment, types or {}) if listed is None else _named(listed)
    kinds = {metric.kind for metric in metrics}
    for plot in experiment.evaluation.plots or ():
        if plot.kind in DRAWN and plot.kind not in kinds:
            metrics.append(Choice(plot.kind, plot.kind))
            kinds.add(plot.kind)
    return metrics


def chosen_plots(experiment: Experiment, metrics: Iterable[Choice]) -> list[Choice]:
    """The plots of the spec, or the scores, every metric that can be drawn, and the history."""
    if experiment.evaluation.plots is not None:
        return _named(experiment.evaluation.plots)
    targets = [experiment.data.targets[name] for name in experiment.trained_on.values()]
    classes = any(target.classes and target.kind != "pairs" for target in targets)
    kinds = dict.fromkeys(metric.kind for metric in metrics if metric.kind in DRAWN)
    return [Choice(kind, kind) for kind in [*(["scores"] if classes else []), *kinds, "history"]]


def _default_metrics(experiment: Experiment, types: Mapping[str, TensorType]) -> list[Choice]:
    found = []
    for output, name in experiment.trained_on.items():
        target = experiment.data.targets[name]
        for kind in _kinds(target, types.get(output), is_binary(experiment, name)):
            options: dict[str, Any] = {"of": output, "target": name}
            if kind == "residuals" and (covariance := _covariance_beside(output, target, types)):
                options["covariance"] = covariance
            found.append((kind, options))
    times = Counter(kind for kind, _ in found)
    return [Choice(kind, kind if times[kind] == 1 else f"{kind}_{options['of']}", options) for kind, options in found]


def _kinds(target: TargetSpec, output: TensorType | None, binary: bool) -> tuple[str, ...]:
    """The kinds of metrics that fit a target."""
    if target.kind == "pairs":
        pairs = math.prod(output.objects) if output is not None else 0
        return ("roc", "accuracy") if pairs <= MOST_PAIRS and (target.classes or binary) else ()
    if target.classes:
        return "roc", "accuracy", "confusion_matrix"
    if binary:
        return "roc", "accuracy"
    return ("residuals", "distance") if target.components else ("residuals",)


def _covariance_beside(output: str, target: TargetSpec, types: Mapping[str, TensorType]) -> str | None:
    """The covariance that the same node gives beside a vector, where it gives one of the right size."""
    name = f"{output.rpartition('.')[0]}.covariance"
    size = len(target.components)
    fitting = size and name in types and types[name].features in (size**2, size * (size + 1) // 2)
    return name if fitting else None


def is_binary(experiment: Experiment, target: str) -> bool:
    """Whether a target without classes is yes or no: a loss of these is taken of it."""
    losses = experiment.training.losses.values()
    return any(loss.target == target and loss.kind == "binary_cross_entropy" for loss in losses)


def _named(specs: Iterable[ChoiceSpec]) -> list[Choice]:
    """Names as given; else the kind, with a number from the second of a kind on."""
    found: list[Choice] = []
    for spec in specs:
        base = str(spec.options.get("name") or spec.kind)
        taken = {choice.name for choice in found}
        name = next(name for name in _numbered(base) if name not in taken)
        found.append(Choice(spec.kind, name, spec.options))
    return found


def _numbered(base: str) -> Iterable[str]:
    yield base
    number = 2
    while True:
        yield f"{base}_{number}"
        number += 1


def column_units(experiment: Experiment) -> dict[str, str]:
    """Unit of each column that is a plain field with one, from the first layout that states it."""
    units: dict[str, str] = {}
    for name, expression in experiment.data.columns.items():
        collection, dot, field_name = expression.text.strip().partition(".")
        for layout in experiment.data.layouts.values():
            known = layout.collections.get(collection) if dot else None
            spec = known.fields.get(field_name) if known else None
            if spec is not None and spec.unit:
                units.setdefault(name, spec.unit)
    return units
