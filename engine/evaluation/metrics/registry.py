"""The table of metrics: a kind in a spec -> the function that computes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.evaluation.metrics.result import Headline, MetricResult, Part
from engine.evaluation.predictions import Predictions
from engine.evaluation.quantities import selected
from engine.evaluation.unavailable import UnavailableError

METRICS: dict[str, Metric] = {}
"""Kind -> metric; filled when `engine.evaluation.metrics.catalogue` is imported."""
COMMON: dict[str, Any] = {"selection": None}
"""Options of every metric, which its function does not see."""


@dataclass(frozen=True)
class Computed:
    """What a metric function returns."""

    facts: Mapping[str, Any]
    parts: tuple[Part, ...]
    headlines: tuple[Headline, ...] = field(default=())


@dataclass(frozen=True)
class Metric:
    """A kind of metric. The function's keyword arguments are its options, as the schema lists them."""

    kind: str
    title: str
    function: Callable[..., Computed]

    @property
    def defaults(self) -> dict[str, Any]:
        """Options and their defaults."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return {**{parameter.name: parameter.default for parameter in parameters}, **COMMON}


def metric(kind: str, title: str) -> Callable[[Callable[..., Computed]], Callable[..., Computed]]:
    """Enter a function `(predictions, **options) -> Computed` in the table; two of one kind are refused."""

    def enter(function: Callable[..., Computed]) -> Callable[..., Computed]:
        if kind in METRICS:
            message = f"there are two metrics of kind {kind}"
            raise ValueError(message)
        METRICS[kind] = Metric(kind, title, function)
        return function

    return enter


def selection_of(predictions: Predictions, selection: str | None) -> Predictions:
    """The rows of an expression.

    Raises:
        UnavailableError: it has no meaning, or no row is left.
    """
    if selection is None:
        return predictions
    mask = selected(predictions, selection)
    if not mask.any():
        message = f"no row of the {predictions.which} split passes `{selection}`"
        raise UnavailableError(message)
    return predictions.of_rows(mask)


def compute(kind: str, name: str, options: Mapping[str, Any], predictions: Predictions) -> MetricResult:
    """Compute one metric. Where the rows give no value the result is empty and carries the reason."""
    chosen = METRICS[kind]
    complete = {**chosen.defaults, **{key: value for key, value in options.items() if key != "name"}}
    empty = MetricResult(kind, name, complete)
    own = {key: value for key, value in complete.items() if key not in COMMON}
    try:
        computed = chosen.function(selection_of(predictions, complete["selection"]), **own)
    except UnavailableError as error:
        return replace(empty, reason=str(error))
    return replace(empty, facts=computed.facts, parts=computed.parts, headlines=computed.headlines)
