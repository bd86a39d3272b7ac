"""Does a cut have the same efficiency in every bin of a variable? Exact binomial probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.data.columns import Array
from engine.evaluation.metrics.asymmetry import required
from engine.evaluation.metrics.registry import Computed, metric
from engine.evaluation.metrics.result import Headline, Part
from engine.evaluation.metrics.statistics import binomial_probability, wilson_interval
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import selected
from engine.evaluation.variables import Variable, VariableSpec, facts, make_variables

SIGNIFICANT = 0.05


@metric("binomial", "Binomial test of a cut")
def binomial(predictions: Predictions, *, cut: str | None = None, variables: Sequence[VariableSpec] = ()) -> Computed:
    """Rows before and after a cut in each bin, what the overall efficiency makes one expect, and the p-value.

    Rows are counted: a binomial probability has no weights. The efficiency is that of all selected rows. Where it is 0
    or 1 it is so in every bin, and there is nothing to test.
    """
    passes = selected(predictions, required(cut, "cut"))
    efficiency = float(passes.mean()) if len(passes) else 0.0
    low, high = wilson_interval(efficiency, len(passes))
    binned = make_variables(predictions, required(variables, "variables"))
    parts = [_part(each, passes, efficiency) for each in binned]
    headlines = [Headline(f"Efficiency of {cut}", efficiency, (high - low) / 2)]
    headlines += [_significant(part) for part in parts if part.reason is None]
    described = {"efficiency": efficiency, "rows": len(passes), "rows_after": int(passes.sum())}
    return Computed({**described, "variables": facts(binned)}, tuple(parts), tuple(headlines))


def _significant(part: Part) -> Headline:
    values = part.values
    chance = f"of {values['bins']}, {values['expected_significant']:.2g} expected by chance"
    return Headline(f"Bins with p < {SIGNIFICANT}, {part.labels['variable']}", values["significant"], note=chance)


def _part(variable: Variable, passes: Array, efficiency: float) -> Part:
    if efficiency in (0.0, 1.0):
        reason = f"{'every' if efficiency else 'no'} row passes the cut, so that there is nothing to test"
        return Part({"variable": variable.name}, {}, reason=reason)
    before = variable.sums(np.ones(len(passes))).astype(np.int64)
    after = variable.sums(passes.astype(np.float64)).astype(np.int64)
    probabilities = np.asarray(
        [binomial_probability(int(k), int(n), efficiency) if n else np.nan for k, n in zip(after, before, strict=True)]
    )
    tested = np.isfinite(probabilities)
    values = {
        "bins": int(tested.sum()),
        "significant": int((probabilities[tested] < SIGNIFICANT).sum()),
        "expected_significant": SIGNIFICANT * int(tested.sum()),
        "smallest_p_value": float(probabilities[tested].min()) if tested.any() else None,
        "outside": int((variable.index < 0).sum()),
    }
    curves = {
        "before": before,
        "after": after,
        "expected": before * efficiency,
        "expected_error": np.sqrt(before * efficiency * (1 - efficiency)),
        "p_value": probabilities,
    }
    return Part({"variable": variable.name}, values, {**variable.curves, **curves})
