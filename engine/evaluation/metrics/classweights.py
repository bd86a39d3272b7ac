"""Weights of a class relative to the others, as a spec asks for them: `normalise:` and `factors:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from engine.data.columns import Array
from engine.evaluation.rows import Labelled, UnavailableError

Normalise = Literal["rows"] | Mapping[str, str] | None


def class_weights(rows: Labelled, normalise: Normalise, factors: Mapping[str, float]) -> Array:
    """The rows' weights after `normalise` and `factors`, shape (m,).

    `rows` gives each class the sum of weights that is its number of rows; a mapping does so for the named classes, or
    gives them the sum of weights that another class has as it stands.
    """
    weights = rows.weights.copy()
    wanted = dict.fromkeys(rows.classes, "rows") if normalise == "rows" else dict(normalise or {})
    sums = np.bincount(rows.truth, rows.weights, minlength=len(rows.classes))
    counts = np.bincount(rows.truth, minlength=len(rows.classes))
    for name, reference in wanted.items():
        index = rows.index(name)
        if not counts[index]:
            continue
        if sums[index] <= 0:
            message = f"the weights of class {name} sum to {sums[index]:g} and cannot be normalised"
            raise UnavailableError(message)
        goal = counts[index] if reference == "rows" else sums[rows.index(reference)]
        weights[rows.truth == index] *= goal / sums[index]
    for name, factor in factors.items():
        weights[rows.truth == rows.index(name)] *= factor
    return weights


def signals(rows: Labelled, signal: str | None) -> list[str]:
    """The classes that are looked for: the named one, the last of two, or each in turn."""
    if signal is not None:
        rows.index(signal)
        return [signal]
    return [rows.classes[-1]] if len(rows.classes) == 2 else list(rows.classes)


def background_sets(rows: Labelled, signal: str, backgrounds: Sequence[str] | None) -> list[tuple[str, ...]]:
    """The sets of classes that a signal is compared with: as named, or all others together and then each alone."""
    if backgrounds is not None:
        for name in backgrounds:
            rows.index(name)
        return [tuple(name for name in backgrounds if name != signal)]
    others = tuple(name for name in rows.classes if name != signal)
    return [others] if len(others) < 2 else [others, *((name,) for name in others)]


def members(rows: Labelled, classes: Sequence[str]) -> Array:
    """The rows of some classes, bool, shape (m,)."""
    return np.isin(rows.truth, [rows.index(name) for name in classes])
