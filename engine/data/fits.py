"""Transforms fitted to the training split: the numbers that `clip: fit` and `scale: fit` stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from engine_kernels.sanitize.transforms import FeatureTransform

from engine.data.columns import Array
from engine.errors import DataError
from engine.spec.sections.data import DataSpec, FeatureSpec, InputSpec

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset


@dataclass
class Statistics:
    """Smallest, largest, mean and spread of values that arrive in parts.

    Parts are merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979), which does not lose digits as a sum of squares would.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of (value - mean)**2
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: Array) -> None:
        """Take in finite values, float64."""
        count = len(values)
        if not count:
            return
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        total = self.count + count
        shift = mean - self.mean
        self.squares += squares + shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.count = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    @property
    def deviation(self) -> float:
        """Standard deviation (of the population)."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


def fit_transforms(data: DataSpec, dataset: PreparedDataset) -> None:
    """Fit the transforms of every input and enter them in the manifest of the dataset."""
    for name, spec in data.inputs.items():
        statistics = _statistics(spec, dataset)
        fitted = [_fitted(name, feature, statistics.get(feature.name)) for feature in spec.features.values()]
        dataset.manifest["transforms"][name] = [transform.to_dict() for transform in fitted]


def _fitted(input_name: str, spec: FeatureSpec, statistics: Statistics | None) -> FeatureTransform:
    try:
        return feature_transform(spec, statistics)
    except ValueError as error:
        sentence = f"the transforms of {spec.name} in the input {input_name} cannot be used: {error}"
        raise DataError(sentence, spec.path) from None


def feature_transform(spec: FeatureSpec, statistics: Statistics | None) -> FeatureTransform:
    """The transform of a feature with every number filled in.

    Args:
        spec: what is asked for.
        statistics: of the training split's values after `absolute`, `log1p` and a fixed `clip`; None where nothing is
            fitted. Without any value, or with all values the same, nothing is divided by their spread.
    """
    if spec.vocabulary is not None:
        return FeatureTransform()
    if spec.one_hot is not None:
        return FeatureTransform(one_hot=spec.one_hot, fill=spec.fill)
    low, high = _limits(spec, statistics)
    scale, offset = _range_map(spec, low, high)
    if spec.scale == "fit":
        spread = statistics.deviation if statistics else 0.0
        scale = 1.0 / spread if spread > 0 else 1.0
        offset = -(statistics.mean if statistics else 0.0) * scale
    elif spec.scale is not None:
        scale, offset = scale * spec.scale, offset * spec.scale
    return FeatureTransform(spec.absolute, spec.log1p, low, high, scale, offset + spec.offset, None, spec.fill)


def _limits(spec: FeatureSpec, statistics: Statistics | None) -> tuple[float, float]:
    if spec.clip is None:
        return -math.inf, math.inf
    if spec.clip != "fit":
        return spec.clip
    return (statistics.low, statistics.high) if statistics and statistics.count else (-math.inf, math.inf)


def _range_map(spec: FeatureSpec, low: float, high: float) -> tuple[float, float]:
    """Scale and offset that map the clip limits, or `range_from`, to `range`; equal limits go to its lower end."""
    if spec.range is None and spec.range_from is None:
        return 1.0, 0.0
    start, stop = spec.range or (0.0, 1.0)
    low, high = spec.range_from or (low, high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return 1.0, 0.0
    scale = (stop - start) / (high - low) if high > low else 0.0
    return scale, start - low * scale


def _statistics(spec: InputSpec, dataset: PreparedDataset) -> dict[str, Statistics]:
    """Statistics of the features that are fitted, over the training split of all samples."""
    fitted = [
        (index, feature)
        for index, feature in enumerate(spec.features.values())
        if "fit" in (feature.clip, feature.scale) and feature.one_hot is None
    ]
    statistics = {feature.name: Statistics() for _, feature in fitted}
    if not fitted:
        return statistics
    for values in _training_values(spec.name, dataset):
        for index, feature in fitted:
            statistics[feature.name].add(_prepared(values[:, index], feature))
    return statistics


def _prepared(values: Array, feature: FeatureSpec) -> Array:
    """Values as they reach the fit: finite ones, after `absolute`, `log1p` and a fixed clip."""
    result = values[np.isfinite(values)].astype(np.float64)
    if feature.absolute:
        result = np.abs(result)
    if feature.log1p:
        with np.errstate(all="ignore"):
            result = np.log1p(result)
        result = result[np.isfinite(result)]
    if feature.clip is not None and feature.clip != "fit":
        result = np.clip(result, *feature.clip)
    return result


def _training_values(name: str, dataset: PreparedDataset) -> Iterator[Array]:
    """Stored values of an input, shape (objects or rows, features), of the training rows of each segment."""
    for segment in dataset.segments:
        offsets, values = segment.inputs[name]
        training = segment.column("split") == 0
        yield values[training if offsets is None else np.repeat(training, np.diff(offsets))]
