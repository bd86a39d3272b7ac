"""Derived weights: an expression of the row, and factors for each class and bin of a column.

The factors are fixed by the training split and looked up for any row; values of the expression are in the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import Array
from engine.errors import DataError
from engine.spec.sections.data import DataSpec, TargetSpec, WeightSpec

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset


@dataclass(frozen=True)
class WeightFactors:
    """What a weight is multiplied by.

    Attributes:
        of: the weight that it starts from.
        target: the target whose classes have factors of their own; None for one factor for all rows.
        column: the column that the bins are of; None for no bins.
        edges: edges of the bins; values outside, and NaN, take the nearest or the last bin.
        factors: for each class (one, without a target) and bin (one, without a column).
        has_expression: whether the dataset has a factor of its own for each row.
    """

    of: str
    target: str | None
    column: str | None
    edges: tuple[float, ...]
    factors: tuple[tuple[float, ...], ...]
    has_expression: bool = False

    def lookup(self, rows: int, classes: Array | None, column: Array | None) -> Array:
        """The factor of each row, float64, shape (rows,); 1 for a row that has none of the classes."""
        table = np.asarray(self.factors)
        group = np.zeros(rows, dtype=np.int64) if classes is None else classes
        interval = np.zeros(rows, dtype=np.int64) if column is None else bin_of(column, self.edges)
        result: Array = np.where(group >= 0, table[np.maximum(group, 0), interval], 1.0)
        return result

    def to_dict(self) -> dict[str, Any]:
        """As plain values for strict JSON: infinite edges are "inf" and "-inf"."""
        edges = [edge if math.isfinite(edge) else str(edge) for edge in self.edges]
        return {
            "of": self.of,
            "target": self.target,
            "column": self.column,
            "edges": edges,
            "factors": [list(row) for row in self.factors],
            "has_expression": self.has_expression,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WeightFactors:
        """The inverse of `to_dict`."""
        edges = tuple(float(edge) for edge in values["edges"])
        factors = tuple(tuple(row) for row in values["factors"])
        return cls(values["of"], values["target"], values["column"], edges, factors, values["has_expression"])


def bin_of(values: Array, edges: Sequence[float]) -> Array:
    """Number of the bin of each value; a bin holds its lower edge. Values outside take the nearest bin."""
    place = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right") - 1
    return np.clip(place, 0, len(edges) - 2)


def fit_weights(data: DataSpec, dataset: PreparedDataset) -> None:
    """Fix the factors of every derived weight and enter them in the manifest of the dataset.

    Raises:
        DataError: the class that others are balanced to has no weight in the training split.
    """
    for spec in _in_order(data.weights):
        dataset.manifest["weights"][spec.name] = fit_weight(spec, data, dataset).to_dict()


def fit_weight(spec: WeightSpec, data: DataSpec, dataset: PreparedDataset) -> WeightFactors:
    """The factors of one derived weight, from the training split of its samples.

    `reweight` comes first: in every bin of the column the sum of weights of each class becomes the share of that bin in
    the reference class (`to`), or the same in all bins (`flat`), with the sum of the class kept. A bin in which a class
    has no positive sum keeps the factor 1. Then `balance` scales each class to the sum of the reference class.
    """
    target = _target(spec, data)
    sums = _sums(spec, data, target, dataset)
    reference = _reference(spec, target)
    factors = np.ones_like(sums)
    if spec.reweight is not None:
        factors = _shape_factors(sums, None if spec.to == "flat" else reference)
    if spec.balance is not None:
        name = list(target.classes)[reference] if target else "all rows"
        factors *= _balance_factors(spec, sums, factors, reference, name)[:, None]
    table = tuple(tuple(float(factor) for factor in row) for row in factors)
    edges = spec.bins if spec.reweight is not None else ()
    has_expression = spec.expression is not None
    return WeightFactors(spec.of, target.name if target else None, spec.reweight, edges, table, has_expression)


def _sums(spec: WeightSpec, data: DataSpec, target: TargetSpec | None, dataset: PreparedDataset) -> Array:
    """Sum of the weights of the training split, shape (classes, bins); one of each where they are not told apart."""
    rows = dataset.rows(spec.samples or tuple(data.samples), "train")

    def read(name: str) -> Array:
        return dataset.read([name], rows)[name]

    weight = read("weight" if spec.of == "weight" else f"weight:{spec.of}")
    if spec.expression is not None:
        weight = weight * dataset.factor(spec.name, rows)
    if not np.isfinite(weight).all():
        sentence = f"weights.{spec.name} cannot be fixed: some weights of the training split are NaN or infinite"
        raise DataError(sentence, spec.path)
    group = read(f"target:{target.name}") if target else np.zeros(len(rows), dtype=np.int64)
    interval = np.zeros(len(rows), dtype=np.int64)
    if spec.reweight is not None:
        interval = bin_of(read(f"column:{spec.reweight}"), spec.bins)
    sums = np.zeros((len(target.classes) if target else 1, len(spec.bins) - 1 if spec.reweight else 1))
    known = group >= 0
    np.add.at(sums, (group[known], interval[known]), weight[known])
    return sums


def _shape_factors(sums: Array, reference: int | None) -> Array:
    """Factors of shape (classes, bins) that give every class the shape of the reference, or a flat one for None."""
    shape = np.ones(sums.shape[1]) if reference is None else sums[reference]
    filled = sums > 0
    wanted = np.where(filled, shape, 0.0)
    scale = np.divide(
        np.where(filled, sums, 0.0).sum(axis=1),
        wanted.sum(axis=1),
        out=np.zeros(len(sums)),
        where=wanted.sum(axis=1) > 0,
    )
    factors: Array = np.divide(wanted * scale[:, None], sums, out=np.ones_like(sums), where=filled)
    if reference is not None:
        factors[reference] = 1.0
    return factors


def _balance_factors(spec: WeightSpec, sums: Array, factors: Array, reference: int, name: str) -> Array:
    """One factor a class, so that all have the same sum; a class without weight keeps 1.

    It is the sum of the reference class, or with `to: mean` the mean of the sums of the classes that have any, so that
    the sum of all weights stays: n / (classes * n of the class) where every weight is 1.
    """
    totals = (sums * factors).sum(axis=1)
    wanted = totals[reference]
    if spec.to == "mean":
        name, wanted = "their mean", totals[totals > 0].mean() if (totals > 0).any() else 0.0
    if not wanted > 0:
        sentence = (
            f"weights.{spec.name} brings the classes of {spec.balance} to the sum of weights of {name}, which is "
            f"{wanted:g} in the training split; it must be above 0, so name another class with `to:`"
        )
        raise DataError(sentence, (*spec.path, "balance"))
    result: Array = np.divide(wanted, totals, out=np.ones_like(totals), where=totals > 0)
    return result


def _target(spec: WeightSpec, data: DataSpec) -> TargetSpec | None:
    """The target whose classes are told apart: the balanced one, else that with the class `to`, else none."""
    if spec.balance is not None:
        return data.targets[spec.balance]
    named = (each for each in data.targets.values() if each.kind == "row" and spec.to in each.classes)
    return next(named, None)


def _reference(spec: WeightSpec, target: TargetSpec | None) -> int:
    """The class that others are brought to: the one named, else the last."""
    if target is None:
        return 0
    classes = list(target.classes)
    return classes.index(spec.to) if spec.to in classes else len(classes) - 1


def _in_order(weights: Mapping[str, WeightSpec]) -> list[WeightSpec]:
    """Each weight after the one that it starts from."""
    ordered: dict[str, WeightSpec] = {}
    while len(ordered) < len(weights):
        ready = [spec for name, spec in weights.items() if name not in ordered and spec.of in {"weight", *ordered}]
        if not ready:
            names = ", ".join(name for name in weights if name not in ordered)
            raise DataError(f"the weights {names} start from each other, or from a weight that is not there")
        ordered.update((spec.name, spec) for spec in ready)
    return list(ordered.values())
