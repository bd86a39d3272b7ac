"""Fraction of the signal that is taken for signal, in categories such as the masses of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Per, groups
from engine.evaluation.metrics.accuracy import predicted_classes
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count, wilson_interval
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, labelled


@metric("efficiency", "Efficiency")
def efficiency(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    signal: str | None = None,
    threshold: float | None = None,
    per: Per = None,
) -> Computed:
    """Efficiency of the signal, inclusive and for each category or bin, then that of every other class."""
    rows = labelled(predictions, of, target, weight)
    name = signal if signal is not None else rows.classes[-1]
    is_signal = rows.truth == rows.index(name)
    passes = _passes(rows, name, threshold)
    parts = [_part({"class": name, "group": "all"}, passes[is_signal], rows.weights[is_signal])]
    for group in groups(per, rows.columns, is_signal):
        mask = group.mask & is_signal
        parts.append(
            _part({"class": name, "group": group.name, "bin": dict(group.values)}, passes[mask], rows.weights[mask])
        )
    for index, other in enumerate(rows.classes):
        if other != name:
            mask = rows.truth == index
            parts.append(_part({"class": other, "group": "all"}, passes[mask], rows.weights[mask]))
    first = parts[0].values
    error = None if first["efficiency"] is None else (first["high"] - first["low"]) / 2
    cut = "class of highest output" if threshold is None else f"score > {threshold:g}"
    facts = {"of": rows.output, "target": rows.target, "signal": name, "cut": cut, "categories": _categories(per)}
    headline = Headline(f"Efficiency for {name}", first["efficiency"], error, note=cut)
    return Computed(facts, tuple(parts), (headline,))


def _categories(per: Per) -> list[str]:
    if per is None:
        return []
    return [per] if isinstance(per, str) else list(per)


def _passes(rows: Labelled, signal: str, threshold: float | None) -> Array:
    if threshold is not None:
        above: Array = rows.score_of(signal) > threshold
        return above
    return np.asarray(predicted_classes(rows) == rows.index(signal))


def _part(labels: dict[str, Any], passes: Array, weights: Array) -> Part:
    values = {"efficiency": None, "low": None, "high": None, "rows": len(passes)}
    if not len(passes) or weights.sum() <= 0:
        reason = "there are no rows" if not len(passes) else f"the weights sum to {weights.sum():g}"
        return Part(labels, values, reason=reason)
    fraction = float(weights[passes].sum() / weights.sum())
    low, high = wilson_interval(fraction, effective_count(weights))
    return Part(labels, {**values, "efficiency": fraction, "low": low, "high": high})
