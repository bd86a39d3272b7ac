"""Which objects of a row a score selects: how many of the right ones, and how many of the selected are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import classes_by
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import ratio_of_sums
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import choose_output, choose_target, class_names, objects_of, row_weights, value_names
from engine.evaluation.unavailable import UnavailableError
from engine.evaluation.variables import Variable, VariableSpec, facts, make_variables


@dataclass(frozen=True)
class Selected:
    """Numbers of objects of each row, shape (n,): selected and right, right, selected."""

    both: Array
    right: Array
    selected: Array


@metric("object_selection", "Selection of objects")
def object_selection(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    value: str | None = None,
    classes: Sequence[str] | None = None,
    weight: str = "weight",
    threshold: float = 0.5,
    relative: bool = False,
    by: str | None = None,
    variables: Sequence[VariableSpec] = (),
) -> Computed:
    """Efficiency and purity of the selected objects, of all rows and in bins of variables."""
    output = choose_output(predictions, of)
    chosen = choose_target(predictions, output, target)
    objects_of(predictions, output, chosen)
    if predictions.kind(chosen) != "objects":
        message = f"target {chosen} is not of objects"
        raise UnavailableError(message)
    right, present = right_objects(predictions, chosen, classes)
    scores = object_scores(predictions, output, value)
    counts = _count(scores, right, present, threshold, relative)
    weights = row_weights(predictions, weight)
    binned = make_variables(predictions, variables)
    cut = f"{'score' if value is None else value} > {threshold:g}" + (" of the largest of the row" if relative else "")
    parts: list[Part] = []
    headlines: list[Headline] = []
    for name, mask in classes_by(predictions, by):
        part = _part(name, counts, weights, mask)
        parts.append(part)
        headlines += _headlines(output, part, cut) if part.reason is None else []
        parts += [_profile(name, each, counts, weights, mask) for each in binned]
    described = {"of": output, "target": chosen, "cut": cut, "variables": facts(binned)}
    return Computed(described, tuple(parts), tuple(headlines))


def object_scores(predictions: Predictions, output: str, value: str | None) -> Array:
    """The score of each object, shape (n, objects); `value` names or numbers it where an output has several."""
    scores, names = predictions.outputs[output], value_names(predictions, output)
    if scores.shape[-1] == 1 and value in (None, *names):
        return np.asarray(scores[..., 0], dtype=np.float64)
    if value is None or value not in names:
        message = f"output {output} has the values {', '.join(names)}; name one of them with `value`"
        raise UnavailableError(message)
    return np.asarray(scores[..., names.index(value)], dtype=np.float64)


def right_objects(predictions: Predictions, target: str, classes: Sequence[str] | None) -> tuple[Array, Array]:
    """Which objects should be selected, and which have a target at all; bool, shape (n, objects)."""
    names, truth = class_names(predictions, target), predictions.targets[target]
    if not names:
        message = f"target {target} has no classes"
        raise UnavailableError(message)
    wanted = names[-1:] if classes is None and len(names) == 2 else tuple(classes or ())
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        problem = f"has no class {unknown[0]}" if unknown else "has several classes; name the right ones with `classes`"
        message = f"target {target} {problem}: {', '.join(names)}"
        raise UnavailableError(message)
    return np.isin(truth, [names.index(name) for name in wanted]), truth >= 0


def _count(scores: Array, right: Array, present: Array, threshold: float, relative: bool) -> Selected:
    """Objects that are selected: score above the threshold, or above this share of the largest score of the row."""
    known = present & np.isfinite(scores)
    if relative:
        largest = np.where(np.isfinite(scores), scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
        chosen = known & (scores > threshold * np.where(np.isfinite(largest), largest, 0.0))
    else:
        chosen = known & (scores > threshold)
    right = right & known
    return Selected((chosen & right).sum(axis=1), right.sum(axis=1), chosen.sum(axis=1))


def _ratios(counts: Selected, weights: Array, mask: Array) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, below in (("efficiency", counts.right), ("purity", counts.selected)):
        found[name], found[f"{name}_error"] = ratio_of_sums(counts.both[mask], below[mask], weights[mask])
    return found


def _part(name: str, counts: Selected, weights: Array, mask: Array) -> Part:
    values = _ratios(counts, weights, mask)
    numbers = {"right": counts.right, "selected": counts.selected, "selected_and_right": counts.both}
    sums = {key: int(each[mask].sum()) for key, each in numbers.items()}
    reason = None if sums["right"] else "no object is of the right kind"
    return Part({"class": name}, {**values, **sums, "rows": int(mask.sum())}, reason=reason)


def _profile(name: str, variable: Variable, counts: Selected, weights: Array, mask: Array) -> Part:
    found = [_ratios(counts, weights, mask & (variable.index == number)) for number in range(variable.bins)]
    keys = ("efficiency", "efficiency_error", "purity", "purity_error")
    curves = {key: np.asarray([each[key] for each in found], dtype=np.float64) for key in keys}
    return Part({"class": name, "variable": variable.name}, {}, {**variable.curves, **curves})


def _headlines(output: str, part: Part, cut: str) -> list[Headline]:
    name = part.labels["class"]
    of_class = "" if name == "all" else f", {name}"
    return [
        Headline(
            f"{key.capitalize()} of the objects by {output}{of_class}",
            part.values[key],
            part.values[f"{key}_error"],
            note=cut,
        )
        for key in ("efficiency", "purity")
    ]
