"""Output minus target of a regression, and in units of the error that the network gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.differences import Differences, differences
from engine.evaluation.grouping import Per, groups
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import core_width, weighted_fraction, weighted_mean, weighted_quantiles
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import UnavailableError

QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
TAILS = (3.0, 5.0)


@metric("residuals", "Residuals")
def residuals(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    component: int | str | None = None,
    covariance: str | None = None,
    beyond: Sequence[float] = (),
    per: Per = None,
) -> Computed:
    """Mean, width, tails and quantiles of output minus target for each component, per category or bin."""
    found = differences(predictions, of, target, weight, covariance)
    chosen = chosen_components(found, component)
    sets = [("all", np.ones(len(found.weights), dtype=bool))]
    sets += [(group.name, group.mask) for group in groups(per, found.columns)]
    parts = [_part(found, index, name, mask, beyond) for index in chosen for name, mask in sets]
    facts: dict[str, Any] = {
        "of": found.output,
        "target": found.target,
        "unit": found.unit,
        "not_finite": found.not_finite,
    }
    if found.chi2 is not None:
        facts["chi2_per_component"] = _chi2_per_component(found)
    return Computed(facts, tuple(parts), tuple(line for part in parts for line in _headlines(found, part)))


def chosen_components(found: Differences, component: int | str | None) -> list[int]:
    """Which components are asked for, by name or number; all for None."""
    size = found.values.shape[1]
    if component is None:
        return list(range(size))
    if component in found.components:
        return [found.components.index(str(component))]
    number = int(component) if str(component).isdigit() else size
    if number >= size:
        names = f" ({', '.join(found.components)})" if size > 1 else ""
        message = f"output {found.output} has {size} values{names}; there is no component {component}"
        raise UnavailableError(message)
    return [number]


def _part(found: Differences, index: int, name: str, mask: Array, beyond: Sequence[float]) -> Part:
    labels = {"group": name} | ({"component": found.components[index]} if found.components[index] else {})
    values, weights = found.values[mask, index], found.weights[mask]
    if not len(values) or weights.sum() <= 0:
        empty = dict.fromkeys(("mean", "mean_error", "standard_deviation", "width", "quantiles"))
        reason = "there are no rows" if not len(values) else f"the weights sum to {weights.sum():g}"
        return Part(labels, {**empty, "rows": len(values)}, reason=reason)
    numbers = described(values, weights)
    numbers["beyond"] = {f"{limit:g}": weighted_fraction(np.abs(values) > limit, weights)[0] for limit in beyond}
    if found.pulls is not None:
        pulls = described(found.pulls[mask, index], weights)
        keys = ("mean", "mean_error", "width", "width_error", "standard_deviation")
        numbers |= {f"pull_{key}": pulls[key] for key in keys}
        absolute = np.abs(found.pulls[mask, index])
        numbers["pull_beyond"] = {f"{limit:g}": weighted_fraction(absolute > limit, weights)[0] for limit in TAILS}
    return Part(labels, {**numbers, "rows": len(values)})


def described(values: Array, weights: Array) -> dict[str, Any]:
    """Mean, core (half the central 68 %), tails beyond multiples of the core about the median, quantiles."""
    mean, mean_error, deviation = weighted_mean(values, weights)
    width, width_error = core_width(values, weights)
    quantiles = weighted_quantiles(values, weights, QUANTILES)
    distance = np.abs(values - quantiles[2])
    return {
        "mean": mean,
        "mean_error": mean_error,
        "standard_deviation": deviation,
        "width": width,
        "width_error": width_error,
        "tails": {f"{limit:g} widths": weighted_fraction(distance > limit * width, weights)[0] for limit in TAILS},
        "quantiles": dict(zip((f"{share:g}" for share in QUANTILES), quantiles, strict=True)),
    }


def _headlines(found: Differences, part: Part) -> list[Headline]:
    if part.labels["group"] != "all":
        return []
    values, component = part.values, part.labels.get("component", "")
    of = f"{found.output} {component}".strip()
    unit = f" [{found.unit}]" if found.unit else ""
    lines = [
        Headline(f"Mean residual of {of}{unit}", values["mean"], values["mean_error"]),
        Headline(f"Width of the residuals of {of} (68 %){unit}", values["width"], values.get("width_error")),
    ]
    if "pull_width" in values:
        lines.append(Headline(f"Mean pull of {of}", values["pull_mean"], values["pull_mean_error"]))
        lines.append(Headline(f"Width of the pulls of {of} (68 %)", values["pull_width"], values["pull_width_error"]))
    return lines


def _chi2_per_component(found: Differences) -> dict[str, float | None]:
    """Chi squared over the number of components: 1 for a covariance that is right."""
    chi2 = found.chi2 if found.chi2 is not None else np.empty(0)
    usable = np.isfinite(chi2)
    if not usable.any() or found.weights[usable].sum() <= 0:
        return {"mean": None, "mean_error": None, "median": None}
    per_component = chi2[usable] / found.values.shape[1]
    mean, error, _ = weighted_mean(per_component, found.weights[usable])
    median = weighted_quantiles(per_component, found.weights[usable], (0.5,))[0]
    return {"mean": mean, "mean_error": error, "median": median}
