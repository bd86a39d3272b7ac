"""Rows accepted with a probability p and weighted with 1/p: how many they are worth, and whether shapes survive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.asymmetry import Cut, required, shape_part
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import quantity
from engine.evaluation.rows import class_names, row_weights
from engine.evaluation.unavailable import UnavailableError
from engine.evaluation.variables import VariableSpec, facts, make_variables


@metric("importance_sampling", "Importance sampling")
def importance_sampling(
    predictions: Predictions,
    *,
    probability: str | None = None,
    minimum: float = 0.0,
    target: str | None = None,
    signal: str | None = None,
    weight: str = "weight",
    seed: int = 1,
    variables: Sequence[VariableSpec] = (),
) -> Computed:
    """Accepted and effective rows, of all and of the signal; then the shapes before and after in each variable.

    Effective rows are (sum w)^2 / sum w^2 (L. Kish, Survey Sampling, 1965), as one sample gives them and as expected.
    """
    chance = np.clip(quantity(predictions, required(probability, "probability")), minimum, 1.0)
    if not np.isfinite(chance).all():
        message = f"{probability} is not finite for {int((~np.isfinite(chance)).sum()):,} rows"
        raise UnavailableError(message)
    weights = row_weights(predictions, weight)
    accepted = np.random.default_rng(seed).random(len(chance)) < chance
    factors = np.divide(accepted, chance, out=np.zeros(len(chance)), where=accepted)
    everything = np.ones(len(chance), dtype=bool)
    parts = [_part("all", everything, weights, chance, factors)]
    wanted = _signal(predictions, target, signal)
    if wanted is not None:
        part = _part(wanted[0], wanted[1], weights, chance, factors)
        parts.append(replace(part, values={**part.values, "gain": _gain(part, weights[wanted[1]], chance)}))
    binned = make_variables(predictions, variables)
    possible = chance > 0
    squares = np.divide(1.0, chance, out=np.zeros(len(chance)), where=possible)
    cut = Cut(weights, accepted, factors, expected=(possible.astype(np.float64), squares))
    closure = [shape_part(each, cut, "pull", {"class": "all"}) for each in binned]
    return Computed({"variables": facts(binned)}, (*parts, *closure), tuple(_headlines(parts)))


def _gain(part: Part, weights: Array, chance: Array) -> float | None:
    """Effective signal rows for each accepted row, over the same without a choice: every row accepted."""
    without = effective_count(weights) / max(len(chance), 1)
    accepted = float(chance.sum())
    if without <= 0 or accepted <= 0:
        return None
    return float(part.values["effective_rows_expected"]) / accepted / without


def _signal(predictions: Predictions, target: str | None, signal: str | None) -> tuple[str, Array] | None:
    """Name and rows of the class that is worth simulating; None without a target."""
    if target is None:
        return None
    names = class_names(predictions, target) if target in predictions.targets else ()
    name = signal if signal is not None else (names[-1] if names else "")
    if name not in names:
        message = f"target {target} has no class {name}: {', '.join(names)}" if names else f"{target} has no classes"
        raise UnavailableError(message)
    return name, predictions.targets[target] == names.index(name)


def _part(name: str, mask: Array, weights: Array, chance: Array, factors: Array) -> Part:
    own, after = weights[mask], (weights * factors)[mask]
    squares = np.divide(own**2, chance[mask], out=np.zeros(len(own)), where=chance[mask] > 0)
    expected = float(own[chance[mask] > 0].sum()) ** 2 / float(squares.sum()) if squares.sum() > 0 else 0.0
    accepted = int((factors[mask] > 0).sum())
    values: dict[str, Any] = {
        "rows": len(own),
        "accepted": accepted,
        "accepted_share": accepted / len(own) if len(own) else None,
        "effective_rows": effective_count(after),
        "effective_rows_expected": expected,
        "sum_of_weights": float(own.sum()),
        "sum_of_weights_after": float(after.sum()),
        "sum_of_weights_after_error": float(np.sqrt((np.square(own) * _spread(chance[mask])).sum())),
        "never_accepted": int((chance[mask] <= 0).sum()),
    }
    return Part({"class": name}, values)


def _spread(chance: Array) -> Array:
    """Variance of accepted / p of a row: (1 - p) / p."""
    spread: Array = np.divide(1 - chance, chance, out=np.zeros(len(chance)), where=chance > 0)
    return spread


def _headlines(parts: Sequence[Part]) -> list[Headline]:
    found = []
    for part in parts:
        of = "" if part.labels["class"] == "all" else f" of {part.labels['class']}"
        found.append(Headline(f"Accepted share{of}", part.values["accepted_share"]))
        found.append(Headline(f"Effective rows{of}", part.values["effective_rows"]))
        if part.values.get("gain") is not None:
            label = f"Effective rows{of} for each accepted row, over those without a choice"
            found.append(Headline(label, part.values["gain"]))
    return found
