"""The features of an input as one program over any kind of arrays.

What a feature is (its expression, angles relative to another object, fractions, mirrored signs) is written here once.
A `Backend` says how the arrays work. Preparation runs it on flat arrays (`engine.data.inputs`); an exported network
runs it on padded tensors. A second backend needs three things:

- arrays of two kinds that its operators bring together: one number a row, and one number an object of each row (padded
  tensors: shapes (rows, 1) and (rows, objects));
- `functions`: the element-wise functions and the reductions of `engine.spec.functions.FUNCTIONS` and `and`, `or`,
  `not`, `in`. A reduction makes row values of object values and never sees padding;
- `leading`: the first object's value of each row, as a row value.

The objects are those that the input keeps: they have passed `where`, are sorted by `order`, and cut to `keep`. So a
reduction in a feature (`sum(eta * pt)`) sees exactly the objects that the network sees, and an exported network, which
gets no others, computes the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cache, partial, reduce
from typing import Any, Protocol

from engine.spec.sections.data import FeatureSpec, InputSpec

Lookup = Callable[[str], Any]


class Backend(Protocol):
    """How the arrays of the feature program work."""

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """What the functions of expressions do."""
        ...

    def leading(self, values: Any) -> Any:
        """The value of each row's first object, as a row value; 0 for a row without objects."""
        ...


def feature_values(spec: InputSpec, rows_of: str, lookup: Lookup, backend: Backend) -> list[Any]:
    """Every feature of an input, before the transforms that act on one value at a time.

    Args:
        spec: the input.
        rows_of: the collection of the rows' own objects, which `relative_to: row` refers to.
        lookup: gives the value of a name: of the objects' fields (`eta`), or of the row (`jets.eta`).
        backend: how the arrays work.

    Returns:
        In declared order; each an array of object values, of row values, or a plain number.
    """
    known = cache(relative(spec, rows_of, cache(lookup), backend))
    total = cache(partial(_total, known))  # several features are fractions of the same sum
    return [_feature(feature, known, total, backend.functions) for feature in spec.features.values()]


def relative(spec: InputSpec, rows_of: str, lookup: Lookup, backend: Backend) -> Lookup:
    """The lookup with eta and phi of the objects taken relative to their leading object or to the row's own object."""
    if spec.relative_to is None:
        return lookup

    def reference(name: str) -> Any:
        return backend.leading(lookup(name)) if spec.relative_to == "leading" else lookup(f"{rows_of}.{name}")

    def shifted(name: str) -> Any:
        if name == "eta":
            return lookup(name) - reference(name)
        if name == "phi":
            return backend.functions["delta_phi"](lookup(name), reference(name))
        return lookup(name)

    return shifted


def _total(lookup: Lookup, names: tuple[str, ...]) -> Any:
    """The sum of several fields."""
    return reduce(operator.add, (lookup(name) for name in names))


def _feature(
    feature: FeatureSpec,
    lookup: Lookup,
    total_of: Callable[[tuple[str, ...]], Any],
    functions: Mapping[str, Callable[..., Any]],
) -> Any:
    """One feature: its value, as a fraction of a sum and mirrored where that is asked for."""
    value = lookup(feature.name) if feature.expression is None else feature.expression.evaluate(lookup, functions)
    where = functions["where"]
    if feature.fraction_of:
        total = total_of(feature.fraction_of)
        nothing = total == 0
        value = where(nothing, 0.0, value / where(nothing, 1.0, total))
    if feature.mirror is not None:
        value = where(feature.mirror.evaluate(lookup, functions) < 0, -value, value)
    return value
