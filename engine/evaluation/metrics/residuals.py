"""Output minus target of a regression."""

from __future__ import annotations

import math

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import Per, UnavailableError, choose_output, choose_target, groups, row_weights

QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


def weighted_quantiles(values: Array, weights: Array, at: tuple[float, ...] = QUANTILES) -> list[float]:
    """Weighted quantiles of values, shape (n,): where the running sum of weights reaches them."""
    order = np.argsort(values, kind="stable")
    weight = weights[order]
    shares = (np.cumsum(weight) - weight / 2) / weight.sum()
    return [float(np.interp(share, shares, values[order])) for share in at]


@metric("residuals", "Residuals")
def residuals(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    component: int = 0,
    per: Per = None,
) -> Computed:
    """Mean, width and quantiles of output minus target, per category or bin."""
    output = choose_output(predictions, of, classes=False)
    chosen = choose_target(predictions, output, target)
    if predictions.outputs[output].shape[1] <= component:
        message = (
            f"output {output} has {predictions.outputs[output].shape[1]} values; there is no component {component}"
        )
        raise UnavailableError(message)
    difference = predictions.outputs[output][:, component].astype(np.float64) - predictions.targets[chosen]
    weights = row_weights(predictions, weight)
    usable = np.isfinite(difference) & np.isfinite(weights)
    columns = {name: values[usable] for name, values in predictions.columns.items()}
    difference, weights = difference[usable], weights[usable]
    parts = [_part("all", difference, weights)]
    parts += [_part(group.name, difference[group.mask], weights[group.mask]) for group in groups(per, columns)]
    first = parts[0].values
    headlines = [Headline(f"Mean residual of {output}", first["mean"], first["mean_error"])]
    headlines.append(Headline(f"Width of the residuals of {output} (68 %)", first["width"]))
    facts = {"of": output, "target": chosen, "not_finite": int((~usable).sum())}
    return Computed(facts, tuple(parts), tuple(headlines))


def _part(name: str, values: Array, weights: Array) -> Part:
    empty = dict.fromkeys(("mean", "mean_error", "standard_deviation", "width", "quantiles"))
    if not len(values) or weights.sum() <= 0:
        reason = "there are no rows" if not len(values) else f"the weights sum to {weights.sum():g}"
        return Part({"group": name}, {**empty, "rows": len(values)}, reason=reason)
    mean = float(np.average(values, weights=weights))
    variance = max(float(np.average((values - mean) ** 2, weights=weights)), 0.0)
    quantiles = weighted_quantiles(values, weights)
    found = {
        "mean": mean,
        "mean_error": math.sqrt(variance / effective_count(weights)),
        "standard_deviation": math.sqrt(variance),
        "width": (quantiles[3] - quantiles[1]) / 2,
        "quantiles": dict(zip((f"{share:g}" for share in QUANTILES), quantiles, strict=True)),
        "rows": len(values),
    }
    return Part({"group": name}, found)
