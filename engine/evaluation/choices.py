"""What is evaluated and drawn: as the spec lists it, or what fits the losses where it lists nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.spec.experiment import Experiment
    from engine.spec.sections import ChoiceSpec

DRAWN = ("roc", "confusion_matrix", "weighted_ks", "s_over_sqrt_b", "efficiency", "residuals")
"""The kinds of metrics that have a plot of the same name."""


@dataclass(frozen=True)
class Choice:
    """A metric or plot: its kind, its name among the results, its options."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def evaluated_outputs(experiment: Experiment) -> tuple[str, ...]:
    """The outputs that losses, metrics and plots look at, each once."""
    listed = [*(experiment.evaluation.metrics or ()), *(experiment.evaluation.plots or ())]
    asked = (choice.options.get("of") for choice in listed)
    return tuple(dict.fromkeys([*experiment.trained_on, *(name for name in asked if name is not None)]))


def chosen_metrics(experiment: Experiment) -> list[Choice]:
    """The metrics of the spec, or those that fit the losses; and those that a listed plot needs."""
    listed = experiment.evaluation.metrics
    metrics = _default_metrics(experiment) if listed is None else _named(listed)
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
    classes = any(experiment.data.targets[target].classes for target in experiment.trained_on.values())
    kinds = dict.fromkeys(metric.kind for metric in metrics if metric.kind in DRAWN)
    return [Choice(kind, kind) for kind in [*(["scores"] if classes else []), *kinds, "history"]]


def _default_metrics(experiment: Experiment) -> list[Choice]:
    found = []
    for output, target in experiment.trained_on.items():
        classes = experiment.data.targets[target].classes
        kinds = ("roc", "accuracy", "confusion_matrix") if classes else ("residuals",)
        found += [(kind, {"of": output, "target": target}) for kind in kinds]
    times = Counter(kind for kind, _ in found)
    return [Choice(kind, kind if times[kind] == 1 else f"{kind}_{options['of']}", options) for kind, options in found]


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
