"""Kolmogorov-Smirnov distance of weighted rows: does the network see a difference between two classes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.data.columns import Array
from engine.evaluation.grouping import Group, groups
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count, kolmogorov_probability
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Labelled, UnavailableError, labelled


def ks_distance(first: Array, first_weights: Array, second: Array, second_weights: Array) -> float:
    """Largest distance between the weighted cumulative distributions, each normalised to 1, at any of the values.

    Args:
        first, second: values, shapes (n,) and (m,).
        first_weights, second_weights: the same shapes; each with a positive sum.
    """
    pooled = np.concatenate([first, second])
    return float(np.abs(_cumulative(first, first_weights, pooled) - _cumulative(second, second_weights, pooled)).max())


def _cumulative(values: Array, weights: Array, at: Array) -> Array:
    """Share of the weights of values <= `at`."""
    order = np.argsort(values, kind="stable")
    sums = np.r_[0.0, np.cumsum(weights[order])]
    share: Array = sums[np.searchsorted(values[order], at, side="right")] / sums[-1]
    return share


@metric("weighted_ks", "Kolmogorov-Smirnov distance")
def weighted_ks(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    between: Sequence[str] | None = None,
    bins: Mapping[str, Sequence[float | str]] | None = None,
) -> Computed:
    """Distance for every value of the output: all rows, then each bin (low <= value < high), and the sum over bins."""
    rows = labelled(predictions, of, target, weight)
    pair = compared_classes(rows, between)
    everything = Group("all", {}, np.ones(len(rows.truth), dtype=bool))
    parts, headlines = [], []
    binned = groups(bins, rows.columns)
    for value in range(rows.scores.shape[1]):
        own = [_part(rows, pair, value, group) for group in [everything, *binned]]
        if binned:
            own.append(_sum_over_bins(rows.names[value], own[1:]))
        parts += own
        label = f"K-S distance of {rows.names[value]} output, {pair[0]} and {pair[1]}"
        headlines.append(Headline(label, own[0].values["ks"]))
    facts = {"of": rows.output, "target": rows.target, "between": list(pair)}
    return Computed(facts, tuple(parts), tuple(headlines))


def compared_classes(rows: Labelled, between: Sequence[str] | None) -> tuple[str, str]:
    """The two classes that are compared."""
    names = tuple(between) if between is not None else rows.classes
    if len(names) != 2:
        message = f"target {rows.target} has {len(rows.classes)} classes; name the two to compare with `between`"
        raise UnavailableError(message)
    for name in names:
        rows.index(name)
    return names[0], names[1]


def _part(rows: Labelled, pair: tuple[str, str], value: int, group: Group) -> Part:
    labels = {"output": rows.names[value], "group": group.name} | ({"bin": dict(group.values)} if group.values else {})
    picked = [group.mask & (rows.truth == rows.index(name)) for name in pair]
    counts = {"rows": [int(mask.sum()) for mask in picked]}
    for name, mask in zip(pair, picked, strict=True):
        if not mask.any() or rows.weights[mask].sum() <= 0:
            reason = f"there is no {name} row" if not mask.any() else f"the weights of {name} do not sum to more than 0"
            return Part(labels, {"ks": None, "p_value": None, **counts}, reason=reason)
    values = [rows.scores[mask, value] for mask in picked]
    weights = [rows.weights[mask] for mask in picked]
    distance = ks_distance(values[0], weights[0], values[1], weights[1])
    effective = [effective_count(weight) for weight in weights]
    probability = kolmogorov_probability(distance, effective[0] * effective[1] / sum(effective))
    return Part(labels, {"ks": distance, "p_value": probability, **counts, "effective_rows": effective})


def _sum_over_bins(name: str, parts: Sequence[Part]) -> Part:
    distances = [part.values["ks"] for part in parts]
    labels = {"output": name, "group": "sum over bins"}
    if None in distances:
        return Part(labels, {"ks": None}, reason="a bin has no value")
    return Part(labels, {"ks": sum(distances)})
