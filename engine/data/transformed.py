"""Finite values that a transform makes none of: the logarithm of a number below -1, a product beyond float32.

The loader replaces them by `fill`, as it does values that were not finite in the first place. Which they are shows when
the transforms are fitted, so they are counted then and not while the rows are made.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from engine_kernels.sanitize.transforms import FeatureTransform, apply

from engine.data.columns import Array

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset

LARGEST = float(np.finfo(np.float32).max)


def count_lost(dataset: PreparedDataset) -> dict[str, dict[str, int]]:
    """For each sample with such values, how many of each feature (`input.feature`) are lost to its transform."""
    counts: dict[str, Counter[str]] = {}
    for name, facts in dataset.manifest["inputs"].items():
        transforms = dict(zip(facts["features"], dataset.transforms(name), strict=True))
        doubtful = [(index, each) for index, each in enumerate(transforms.items()) if _may_lose(each[1])]
        for segment in dataset.segments if doubtful else ():
            values = np.asarray(segment.inputs[name][1])
            for index, (feature, transform) in doubtful:
                if lost := _lost(values[:, index], transform):
                    counts.setdefault(segment.sample, Counter())[f"{name}.{feature}"] += lost
    return {sample: dict(lost) for sample, lost in counts.items()}


def _may_lose(transform: FeatureTransform) -> bool:
    if transform.one_hot is not None:
        return False
    return (transform.log1p and not transform.absolute) or abs(transform.scale) > 1


def _lost(values: Array, transform: FeatureTransform) -> int:
    """How many finite values of a column become something else; most columns are seen to be safe by their extremes."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0
    low, high = float(finite.min()), float(finite.max())
    taken = transform.log1p and not transform.absolute and low <= -1
    if not taken and max(abs(low), abs(high)) * abs(transform.scale) + abs(transform.offset) < LARGEST:
        return 0
    marked = apply(finite[:, np.newaxis], [replace(transform, fill=-LARGEST)])
    return int(np.count_nonzero(marked == np.float32(-LARGEST)))
