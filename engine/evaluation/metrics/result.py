"""What a metric gives: numbers that go to `metrics.json`, and curves that are drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.data.columns import Array
from engine.evaluation.numbers import with_error

CURVE_POINTS = 200


@dataclass(frozen=True)
class Part:
    """The metric for some of the rows: all of them, a category or bin, one signal against one background.

    Attributes:
        labels: what the part is of, such as {"signal": "b", "background": ["c"], "group": "all"}.
        values: numbers, or lists of them; None where there is no value.
        curves: arrays of one length; the first is the abscissa, ascending.
        reason: why there is no value, as a sentence; None where there is.
    """

    labels: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Array] = field(default_factory=dict)
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; curves thinned to at most 200 points."""
        result = {**self.labels, **self.values}
        if self.curves:
            result["curve"] = {name: values.tolist() for name, values in thin(self.curves).items()}
        if self.reason is not None:
            result["reason"] = self.reason
        plain: dict[str, Any] = finite(result)
        return plain


@dataclass(frozen=True)
class Headline:
    """A number worth the first page: what it is, its value and its statistical error where it has one.

    Attributes:
        label: what it is; its name in `metrics.json` is made of it.
        value, error: numbers.
        lower_limit: at 95 % CL, for a value that the rows are too few for, such as a rejection where none passes.
        note: what else one has to know of it, such as the cut.
    """

    label: str
    value: float | None
    error: float | None = None
    lower_limit: float | None = None
    note: str = ""

    @property
    def title(self) -> str:
        """Label and note."""
        return f"{self.label} ({self.note})" if self.note else self.label

    @property
    def text(self) -> str:
        """`0.9497 ± 0.0021`, `> 334 (95 % CL)`, or a dash."""
        return with_error(self.value, self.error, self.lower_limit)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `metrics.json`."""
        limit = {} if self.lower_limit is None else {"lower_limit": self.lower_limit}
        return {"label": self.title, "value": self.value, "error": self.error, **limit}


def told_apart(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of headlines by their names in `metrics.json`; the metric's name stands behind a label that several have.

    Example:
        >>> told_apart({"roc.auc_b": "AUC, b", "auc.auc_b": "AUC, b"})
        {'roc.auc_b': 'AUC, b (roc)', 'auc.auc_b': 'AUC, b (auc)'}
    """
    count = Counter(labels.values())
    return {
        name: label if count[label] == 1 else f"{label} ({name.rpartition('.')[0]})" for name, label in labels.items()
    }


@dataclass(frozen=True)
class MetricResult:
    """A computed metric.

    Attributes:
        kind, name: which metric, and its name in `metrics.json`.
        options: the options it was computed with, defaults included.
        facts: which output and target it is of, and what else holds for all parts.
        parts: inclusive first.
        headlines: the numbers for the first page.
        reason: why there is nothing at all, as a sentence.
    """

    kind: str
    name: str
    options: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    headlines: tuple[Headline, ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values without NaN or infinity; these are null."""
        result: dict[str, Any] = {"kind": self.kind, "options": finite(dict(self.options)), **finite(dict(self.facts))}
        if self.reason is not None:
            return {**result, "value": None, "reason": self.reason}
        return {**result, "parts": [part.to_json() for part in self.parts]}


def finite(value: Any) -> Any:
    """The same nested value with plain Python numbers, and None in place of NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [finite(member) for member in value]
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def thin(curves: Mapping[str, Array], points: int = CURVE_POINTS) -> dict[str, Array]:
    """At most `points` points of a curve, evenly spread along its first array, the first and the last among them."""
    along = np.nan_to_num(next(iter(curves.values())))
    if len(along) <= points:
        return dict(curves)
    marks = np.linspace(along[0], along[-1], points)
    index = np.clip(np.searchsorted(along, marks), 0, len(along) - 1)
    index[0], index[-1] = 0, len(along) - 1
    index = np.unique(index)
    return {name: values[index] for name, values in curves.items()}
