"""What a network learns of each row: a class, from the sample's label or a value, or a number."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array
from engine.data.context import RowContext
from engine.data.values import evaluate, per_row
from engine.spec.sections.data import SampleSpec, TargetSpec


def make_target(target: TargetSpec, sample: SampleSpec, context: RowContext) -> Array:
    """The target of each row: the index of its class, int32, or a number, float32; shape (rows,).

    A label of the sample that is one of the classes says the class of all its rows. Else the class is the one whose
    value the expression has, and -1 where it has none of them.
    """
    if not target.classes:
        if target.expression is None:
            return np.full(context.count, np.nan, dtype=np.float32)
        value = per_row(evaluate(target.expression, context), context.count, f"targets.{target.name}")
        with np.errstate(over="ignore"):
            return value.astype(np.float32)
    result = np.full(context.count, -1, dtype=np.int32)
    names = list(target.classes)
    label = next((label for label in sample.labels if label in target.classes), None)
    if label is not None:
        result[:] = names.index(label)
    elif target.expression is not None:
        value = per_row(evaluate(target.expression, context), context.count, f"targets.{target.name}")
        for index, class_value in enumerate(target.classes.values()):
            if class_value is not None:
                result[value == class_value] = index
    return result
