"""Nearest matches in eta and phi."""

from __future__ import annotations

import numpy as np

from engine.data.collections import Collection
from engine.data.columns import Array
from engine.data.operations import delta_r
from engine.data.selections import Selected
from engine.data.values import Grouping, reduce_rows


def nearest(candidates: Selected, targets: Selected, within: float | None) -> tuple[Array, Array]:
    """For each target the candidate of the same entry that is nearest in delta R.

    A target without a candidate (none in its entry, none `within` the limit, no finite distance) is left out. Two
    targets may take the same candidate. Of equally near candidates the first one of the file is taken.

    Args:
        candidates: objects with fields eta and phi.
        targets: objects with fields eta and phi, each looking for a candidate.
        within: largest delta R, inclusive; None for no limit.

    Returns:
        Flat indices of the matched candidates and of their targets, both int64, in the order of the targets.
    """
    pairs = _pairs(candidates, targets)
    target = targets.objects[pairs.parents]
    candidate = candidates.objects[_first_candidate(candidates, targets)[pairs.parents] + pairs.positions]
    distance = _distance(candidates.collection, candidate, targets.collection, target)
    distance[np.isnan(distance)] = np.inf
    if within is not None:
        distance[distance > within] = np.inf
    best = reduce_rows(np.minimum, distance, pairs, np.inf)
    hits = np.flatnonzero((distance == best[pairs.parents]) & np.isfinite(distance))
    first = np.unique(pairs.parents[hits], return_index=True)[1]
    chosen = hits[first]
    return candidate[chosen], target[chosen]


def _first_candidate(candidates: Selected, targets: Selected) -> Array:
    """Place in `candidates.objects` where those of each target's entry begin."""
    return np.searchsorted(candidates.entry, targets.entry, side="left")


def _pairs(candidates: Selected, targets: Selected) -> Grouping:
    """One row a target, one object for each candidate of its entry."""
    last = np.searchsorted(candidates.entry, targets.entry, side="right")
    return Grouping.from_counts("candidates", last - _first_candidate(candidates, targets))


def _distance(one: Collection, objects: Array, other: Collection, others: Array) -> Array:
    with np.errstate(all="ignore"):
        distance: Array = delta_r(
            one.number("eta")[objects],
            one.number("phi")[objects],
            other.number("eta")[others],
            other.number("phi")[others],
        )
    return distance
