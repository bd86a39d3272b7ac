"""What a cut does to the distributions of other variables: asymmetries and pulls of the shapes before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import effective_count, weighted_fraction, wilson_interval
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import quantity, selected
from engine.evaluation.rows import row_weights
from engine.evaluation.shapes import Shapes, shapes
from engine.evaluation.unavailable import UnavailableError
from engine.evaluation.variables import Variable, VariableSpec, facts, make_variables

REWEIGHTING_BINS = 20


@dataclass(frozen=True)
class Cut:
    """A cut on rows.

    Attributes:
        weights: before it, shape (n,).
        passes: bool, shape (n,).
        factors: on the weights after it, 0 for rows that do not pass, shape (n,).
        group: bin of the re-weighting, shape (n,); None without.
        expected: see `shapes`.
    """

    weights: Array
    passes: Array
    factors: Array
    group: Array | None = None
    expected: tuple[Array, Array] | None = None


@metric("asymmetry", "Asymmetry of shapes")
def asymmetry(
    predictions: Predictions,
    *,
    cut: str | None = None,
    weight: str = "weight",
    cut_weight: str | None = None,
    reweight: Mapping[str, Any] | None = None,
    variables: Sequence[VariableSpec] = (),
) -> Computed:
    """(a - b) / (a + b) of the unit-area shapes before (a) and after (b) a cut, with correlated errors."""
    return _compared(predictions, "asymmetry", cut, weight, cut_weight, reweight, variables)


@metric("pull", "Pulls of shapes")
def pull(
    predictions: Predictions,
    *,
    cut: str | None = None,
    weight: str = "weight",
    cut_weight: str | None = None,
    reweight: Mapping[str, Any] | None = None,
    variables: Sequence[VariableSpec] = (),
) -> Computed:
    """(a - b) over its error, for the unit-area shapes before (a) and after (b) a cut; both share rows."""
    return _compared(predictions, "pull", cut, weight, cut_weight, reweight, variables)


def _compared(
    predictions: Predictions,
    kind: str,
    cut: str | None,
    weight: str,
    cut_weight: str | None,
    reweight: Mapping[str, Any] | None,
    variables: Sequence[VariableSpec],
) -> Computed:
    applied = make_cut(predictions, cut, weight, cut_weight, reweight)
    binned = make_variables(predictions, required(variables, "variables"))
    parts = [shape_part(each, applied, kind) for each in binned]
    passed, error = efficiency_of(applied)
    headlines = [Headline(f"Efficiency of {cut}", passed, error)]
    headlines += [
        Headline(f"Chi squared over degrees of freedom, {part.labels['variable']}", part.values["chi2_per_degree"])
        for part in parts
        if part.reason is None and part.values["degrees_of_freedom"]
    ]
    described = {"efficiency": passed, "rows": len(predictions), "rows_after": int(applied.passes.sum())}
    return Computed({**described, "variables": facts(binned)}, tuple(parts), tuple(headlines))


def efficiency_of(cut: Cut) -> tuple[float, float]:
    """Weighted efficiency of a cut and its error; half of the Wilson interval where all rows pass, or none."""
    passed, error = weighted_fraction(cut.passes, cut.weights)
    if error > 0:
        return passed, error
    low, high = wilson_interval(passed, effective_count(cut.weights))
    return passed, (high - low) / 2


def required(value: Any, key: str) -> Any:
    """An option that has no default.

    Raises:
        UnavailableError: it is not given.
    """
    if value is None or (not isinstance(value, str) and not len(value)):
        message = f"`{key}` is missing"
        raise UnavailableError(message)
    return value


def make_cut(
    predictions: Predictions,
    cut: str | None,
    weight: str,
    cut_weight: str | None = None,
    reweight: Mapping[str, Any] | None = None,
) -> Cut:
    """The cut of the options, on all rows.

    Raises:
        UnavailableError: an expression has no meaning, or a weight is not finite.
    """
    passes = selected(predictions, required(cut, "cut"))
    weights = row_weights(predictions, weight)
    factors = passes.astype(np.float64)
    if cut_weight is not None:
        factors[passes] *= row_weights(predictions, cut_weight)[passes]
    for values, what in ((weights, f"weight {weight}"), (factors, f"cut_weight {cut_weight}")):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            message = f"{what} is not finite for {wrong:,} of {len(values):,} rows"
            raise UnavailableError(message)
    return Cut(weights, passes, factors, None if reweight is None else reweighting_bins(predictions, reweight))


def reweighting_bins(predictions: Predictions, reweight: Mapping[str, Any]) -> Array:
    """Bin of each row in what is re-weighted by; values outside go to the nearest bin.

    Raises:
        UnavailableError: a row has no value.
    """
    spec = {"column": reweight["of"], "edges": reweight.get("edges"), "bins": reweight.get("bins") or REWEIGHTING_BINS}
    values = quantity(predictions, reweight["of"])
    if not np.isfinite(values).all():
        message = f"{reweight['of']} is not finite for {int((~np.isfinite(values)).sum()):,} rows"
        raise UnavailableError(message)
    edges = make_variables(predictions, [spec])[0].edges
    group: Array = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return group


def shape_part(variable: Variable, cut: Cut, kind: str, labels: Mapping[str, Any] | None = None) -> Part:
    """The shapes of one variable, their asymmetry and pulls, and how probable their difference is."""
    named = {"variable": variable.name, **(labels or {})}
    try:
        found = shapes(variable.index, variable.bins, cut.weights, cut.factors, cut.group, cut.expected)
    except UnavailableError as error:
        return Part(named, {}, reason=str(error))
    chi2, degrees, probability = found.chi2
    values = {
        "chi2": chi2,
        "degrees_of_freedom": degrees,
        "chi2_per_degree": chi2 / degrees if degrees else None,
        "p_value": probability,
        "outside": int((variable.index < 0).sum()),
    }
    if cut.group is not None:
        values["unreachable"] = found.unreachable
    return Part(named, values, {**variable.curves, **_curves(found, kind)})


def _curves(found: Shapes, kind: str) -> dict[str, Array]:
    errors = {
        "before_error": np.sqrt(np.diag(found.before_covariance)),
        "after_error": np.sqrt(np.maximum(np.diag(found.after_covariance), 0.0)),
    }
    shown = {"before": found.before, "after": found.after, **errors}
    if kind == "pull":
        return {**shown, "pull": found.pull}
    ratio, error = found.asymmetry
    return {**shown, "asymmetry": ratio, "asymmetry_error": error}
