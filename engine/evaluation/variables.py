"""Variables of a YAML list: which values of a row, in which bins, and what to call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import quantity
from engine.evaluation.unavailable import UnavailableError

VariableSpec = str | Mapping[str, Any]
BINS = 30
MOST_VALUES = 200  # bins of a discrete variable
FEW_VALUES = 40  # a variable of so few whole numbers is discrete unless the number of bins is given
OUTSIDE = 0.001  # share of the rows left out at each end where no range is given


@dataclass(frozen=True)
class Variable:
    """A variable in bins.

    Attributes:
        name: for files and results.
        text: column or expression.
        edges: shape (bins + 1,), ascending.
        index: bin of each row, shape (n,); -1 outside of the range and where there is no value.
        look: title, unit (None: that of the column), log: how its axis is drawn; `values` of a discrete one.
    """

    name: str
    text: str
    edges: Array
    index: Array
    look: Mapping[str, Any]

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    def sums(self, values: Array) -> Array:
        """Sum of values of rows, shape (n,), in each bin."""
        inside = self.index >= 0
        return np.bincount(self.index[inside], values[inside], minlength=self.bins)

    @property
    def curves(self) -> dict[str, Array]:
        """Lower and upper edge of each bin."""
        return {"low": self.edges[:-1], "high": self.edges[1:]}


def make_variables(predictions: Predictions, specs: Sequence[VariableSpec]) -> list[Variable]:
    """The variables of a list, in bins; rows without a finite value are in none.

    Raises:
        UnavailableError: a name is unknown, or there is nothing to make bins of.
    """
    return [_variable(predictions, {"column": spec} if isinstance(spec, str) else spec) for spec in specs]


def _variable(predictions: Predictions, spec: Mapping[str, Any]) -> Variable:
    text = str(spec["column"])
    values = quantity(predictions, text)
    edges, members = _edges(values, spec, text)
    index = np.searchsorted(edges, values, side="right") - 1
    index[values == edges[-1]] = len(edges) - 2
    index[~np.isfinite(values) | (index < 0) | (index > len(edges) - 2)] = -1
    look = {"title": spec.get("title"), "unit": spec.get("unit"), "log": bool(spec.get("log")), "values": members}
    return Variable(str(spec.get("name") or text), text, edges, index, look)


def _edges(values: Array, spec: Mapping[str, Any], text: str) -> tuple[Array, list[float] | None]:
    """Edges of the bins, and the values of a discrete variable."""
    if spec.get("edges"):
        return np.asarray([float(edge) for edge in spec["edges"]]), None
    finite = values[np.isfinite(values)]
    limits = spec.get("range") or (None, None)
    low, high = (None if limit is None else float(limit) for limit in limits)
    inside = finite[(finite >= (-np.inf if low is None else low)) & (finite <= (np.inf if high is None else high))]
    if spec.get("log"):
        inside = inside[inside > 0]
    if not len(inside):
        message = f"no row has a value of {text}" + (" in its range" if len(finite) else "")
        raise UnavailableError(message)
    count = spec.get("bins")
    members = _members(inside, count, text)
    if members is not None:
        return _around(members), members.tolist()
    if low is None or high is None:
        ends = np.quantile(inside, (OUTSIDE, 1 - OUTSIDE))
        low, high = float(ends[0]) if low is None else low, float(ends[1]) if high is None else high
    if not low < high:
        low, high = low - 0.5, low + 0.5
    if spec.get("log") and low > 0:
        return np.geomspace(low, high, (count or BINS) + 1), None
    return np.linspace(low, high, (count or BINS) + 1), None


def _members(values: Array, count: int | None, text: str) -> Array | None:
    """The values of a discrete variable, ascending; None where it is none."""
    if count is not None and count != -1:
        return None
    if count is None and not (values == np.rint(values)).all():
        return None
    members = np.unique(values)
    if count == -1 and len(members) > MOST_VALUES:
        message = f"{text} has {len(members):,} different values; give a number of bins in place of -1"
        raise UnavailableError(message)
    return members if count == -1 or len(members) <= FEW_VALUES else None


def _around(members: Array) -> Array:
    """Edges halfway between values."""
    middles = (members[1:] + members[:-1]) / 2
    first = middles[0] - members[0] if len(middles) else 0.5
    last = members[-1] - middles[-1] if len(middles) else 0.5
    return np.concatenate([[members[0] - first], middles, [members[-1] + last]])


def facts(found: Sequence[Variable]) -> dict[str, Any]:
    """How the variables are drawn, by name."""
    return {variable.name: {"column": variable.text, **variable.look} for variable in found}
