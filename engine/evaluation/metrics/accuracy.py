"""How often the class of the highest output is the true one."""

from __future__ import annotations

from engine.data.columns import Array
from engine.evaluation.grouping import Per, groups
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import weighted_fraction
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled


def predicted_classes(rows: Labelled) -> Array:
    """Index of the class with the highest output, in the order of the target's classes, shape (m,).

    Raises:
        UnavailableError: the output's values are not the target's classes.
    """
    if sorted(rows.names) != sorted(rows.classes):
        message = f"the values of {rows.output} are {', '.join(rows.names)}, not the classes of target {rows.target}"
        raise UnavailableError(message)
    highest: Array = rows.scores[:, [rows.names.index(name) for name in rows.classes]].argmax(axis=1)
    return highest


@metric("accuracy", "Accuracy")
def accuracy(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    per: Per = None,
) -> Computed:
    """Weighted fraction of rows put into the right class, with its statistical error, per category or bin."""
    rows = labelled(predictions, of, target, weight)
    right = predicted_classes(rows) == rows.truth
    parts = [_part("all", right, rows.weights)]
    parts += [_part(group.name, right[group.mask], rows.weights[group.mask]) for group in groups(per, rows.columns)]
    first = parts[0].values
    headline = Headline(f"Accuracy of {rows.output}", first["accuracy"], first["accuracy_error"])
    return Computed({"of": rows.output, "target": rows.target}, tuple(parts), (headline,))


def _part(name: str, right: Array, weights: Array) -> Part:
    values = {"accuracy": None, "accuracy_error": None, "rows": len(right)}
    if not len(right) or weights.sum() <= 0:
        reason = "there are no rows" if not len(right) else f"the weights sum to {weights.sum():g}"
        return Part({"group": name}, values, reason=reason)
    fraction, error = weighted_fraction(right, weights)
    return Part({"group": name}, {**values, "accuracy": fraction, "accuracy_error": error})
