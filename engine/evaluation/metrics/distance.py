"""How far a predicted point is from the true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.data.columns import Array
from engine.evaluation.differences import differences
from engine.evaluation.grouping import classes_by
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import weighted_fraction, weighted_mean, weighted_quantiles
from engine.evaluation.predictions import Predictions
from engine.evaluation.variables import Variable, VariableSpec, facts, make_variables

QUANTILES = (0.5, 0.68, 0.95)


@metric("distance", "Distance")
def distance(
    predictions: Predictions,
    *,
    of: str | None = None,
    target: str | None = None,
    weight: str = "weight",
    by: str | None = None,
    variables: Sequence[VariableSpec] = (),
    beyond: Sequence[float] = (),
) -> Computed:
    """Euclidean distance between output and target: mean, quantiles and tails, and the mean in bins of variables."""
    found = differences(predictions, of, target, weight)
    far = np.sqrt(np.square(found.values).sum(axis=1))
    binned = make_variables(predictions, variables)
    parts, headlines = [], []
    unit = f" [{found.unit}]" if found.unit else ""
    for name, mask in classes_by(predictions, by):
        own = mask[found.rows]
        part = _part(name, far[own], found.weights[own], beyond)
        parts.append(part)
        of_class = "" if name == "all" else f", {name}"
        headline = f"Mean distance of {found.output} from {found.target}{of_class}{unit}"
        if part.reason is None:
            headlines.append(Headline(headline, part.values["mean"], part.values["mean_error"]))
        parts += [_profile(name, each, found.rows[own], far[own], found.weights[own]) for each in binned]
    described = {"of": found.output, "target": found.target, "unit": found.unit, "not_finite": found.not_finite}
    return Computed({**described, "variables": facts(binned)}, tuple(parts), tuple(headlines))


def _part(name: str, far: Array, weights: Array, beyond: Sequence[float]) -> Part:
    if not len(far) or weights.sum() <= 0:
        empty = dict.fromkeys(("mean", "mean_error", "quantiles"))
        return Part({"class": name}, {**empty, "rows": len(far)}, reason="there are no rows of positive weight")
    mean, error, _ = weighted_mean(far, weights)
    quantiles = weighted_quantiles(far, weights, QUANTILES)
    values = {"mean": mean, "mean_error": error, "rows": len(far)}
    shares = {f"{limit:g}": weighted_fraction(far > limit, weights)[0] for limit in beyond}
    named = dict(zip((f"{share:g}" for share in QUANTILES), quantiles, strict=True))
    return Part({"class": name}, {**values, "quantiles": named, "beyond": shares})


def _profile(name: str, variable: Variable, rows: Array, far: Array, weights: Array) -> Part:
    """Mean, its error and the median in each bin; NaN where a bin is empty.

    The spread in a bin of one row is not known; its error is the standard deviation over all rows.
    """
    alone = weighted_mean(far, weights)[2] if len(far) > 1 and weights.sum() > 0 else np.nan
    index = variable.index[rows]
    values = np.full((4, variable.bins), np.nan)
    values[3] = np.bincount(index[index >= 0], minlength=variable.bins)
    for number in range(variable.bins):
        inside = index == number
        if inside.any() and weights[inside].sum() > 0:
            mean, error, _ = weighted_mean(far[inside], weights[inside])
            values[:2, number] = mean, error if np.isfinite(error) else alone
            values[2, number] = weighted_quantiles(far[inside], weights[inside], (0.5,))[0]
    curves = dict(zip(("mean", "mean_error", "median", "rows"), values, strict=True))
    return Part({"class": name, "variable": variable.name}, {}, {**variable.curves, **curves})
