"""The rows that a metric or plot looks at: those with a class of its target, with scores, weights and categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.evaluation.predictions import Kind, Predictions
from engine.evaluation.quantities import quantity
from engine.evaluation.unavailable import UnavailableError

__all__ = ["UnavailableError"]


class Spread(Mapping[str, Array]):
    """Columns of rows as values of what is kept of the rows, their objects or pairs: made when they are asked for."""

    def __init__(self, columns: Mapping[str, Array], keep: Array) -> None:
        self.columns, self.keep = columns, keep

    def __getitem__(self, name: str) -> Array:
        return spread(self.columns[name], self.keep)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def spread(values: Array, keep: Array) -> Array:
    """Values of rows, shape (n,), for each thing that is kept of a row.

    Args:
        values: shape (n,).
        keep: bool, shape (n,), (n, objects) or (n, objects, objects).
    """
    wide = np.broadcast_to(values.reshape(-1, *[1] * (keep.ndim - 1)), keep.shape)
    return np.asarray(wide[keep])


@dataclass(frozen=True)
class Labelled:
    """The m rows (or objects, or pairs of objects, where the target is of these) that have a class of a target.

    Attributes:
        scores: the output's values, float64, shape (m, values); one value for two classes is completed to [1 - p, p].
        names: what each value of the output stands for.
        truth: index of the true class, shape (m,).
        classes: names of the target's classes.
        weights: float64, shape (m,).
        columns: shape (m,) each.
        output, target: what `scores` and `truth` are of.
        kind: `row`, or `objects` or `pairs`: then m counts these.
        member: number of the row that each belongs to, shape (m,); None where each is a row of its own.
    """

    scores: Array
    names: tuple[str, ...]
    truth: Array
    classes: tuple[str, ...]
    weights: Array
    columns: Mapping[str, Array]
    output: str
    target: str
    kind: Kind = "row"
    member: Array | None = None

    def index(self, name: str) -> int:
        """Index of a class of the target."""
        if name not in self.classes:
            message = f"target {self.target} has no class {name}; it has {', '.join(self.classes)}"
            raise UnavailableError(message)
        return self.classes.index(name)

    def score_of(self, name: str) -> Array:
        """The output's value for a class, shape (m,)."""
        if name not in self.names:
            message = f"output {self.output} has no value for class {name}; its values are {', '.join(self.names)}"
            raise UnavailableError(message)
        values: Array = self.scores[:, self.names.index(name)]
        return values


def choose_output(predictions: Predictions, of: str | None, classes: bool = True) -> str:
    """The output that is meant: `of`, or the first one that was trained on a target with (or without) classes."""
    if of is not None:
        if of not in predictions.outputs:
            message = f"node {of} was not evaluated; there are {', '.join(predictions.outputs) or 'no outputs'}"
            raise UnavailableError(message)
        return of
    for node in predictions.outputs:
        target = predictions.trained_on.get(node)
        if target is not None and bool(class_names(predictions, target)) == classes:
            return node
    message = f"no output was trained on a target {'with' if classes else 'without'} classes; name one with `of`"
    raise UnavailableError(message)


def trained_target(predictions: Predictions, output: str) -> str | None:
    """The target that an output, or the node whose logits it is, was trained on."""
    return predictions.trained_on.get(output, predictions.trained_on.get(output.removesuffix(".logits")))


def choose_target(predictions: Predictions, output: str, target: str | None) -> str:
    """The target that is meant: `target`, or the one that the output was trained on."""
    chosen = target if target is not None else trained_target(predictions, output)
    if chosen is None:
        message = f"no loss compares {output} with a target; name one with `target`"
        raise UnavailableError(message)
    if chosen not in predictions.targets:
        message = f"there is no target {chosen}; there are {', '.join(predictions.targets)}"
        raise UnavailableError(message)
    return chosen


def row_weights(predictions: Predictions, weight: str) -> Array:
    """The weight of all rows, float64: by its name, `none` for 1 each, or an expression of columns and outputs."""
    if weight == "none":
        return np.ones(len(predictions))
    if weight in predictions.weights:
        return np.asarray(predictions.weights[weight], dtype=np.float64)
    if weight.isidentifier() and weight not in {*predictions.columns, *predictions.outputs}:
        message = f"there is no weight {weight}; there are {', '.join(predictions.weights)} and none"
        raise UnavailableError(message)
    return quantity(predictions, weight)


def class_names(predictions: Predictions, target: str) -> tuple[str, ...]:
    """Classes of a target; of a number that is 0 or 1 wherever it is present `not <target>` and `<target>`."""
    classes = predictions.classes.get(target, ())
    if classes or target in predictions.components:
        return classes
    values = np.asarray(predictions.targets.get(target, ()))
    if values.dtype == bool:
        return f"not {target}", target
    present = values[np.isfinite(values)]
    binary = len(present) and all(np.isin(part, (0, 1)).all() for part in (present[:1000], present))
    return (f"not {target}", target) if binary else ()


def objects_of(predictions: Predictions, output: str, target: str) -> None:
    """Refuse to compare an output with a target that is of something else, such as of objects.

    Raises:
        UnavailableError: the shapes are different.
    """
    values, truth = predictions.outputs[output], predictions.targets[target]
    axes = {"row": 0, "objects": 1, "pairs": 2}[predictions.kind(target)]
    if values.ndim - 2 != axes or values.shape[: axes + 1] != truth.shape[: axes + 1]:
        each = " x ".join(map(str, values.shape[1:-1])) or "one"
        other = " x ".join(map(str, truth.shape[1 : axes + 1])) or "one"
        message = (
            f"output {output} has {each} of its values a row, and target {target} {other}; they cannot be compared"
        )
        raise UnavailableError(message)


def labelled(predictions: Predictions, of: str | None, target: str | None, weight: str) -> Labelled:
    """The rows that have a class of the target.

    Raises:
        UnavailableError: a name is unknown, no row has a class, or a score or weight is not finite.
    """
    output = choose_output(predictions, of)
    chosen = choose_target(predictions, output, target)
    classes = class_names(predictions, chosen)
    if not classes:
        message = f"target {chosen} has no classes"
        raise UnavailableError(message)
    objects_of(predictions, output, chosen)
    truth = np.asarray(predictions.targets[chosen])
    keep = truth >= 0  # NaN is not
    kind = predictions.kind(chosen)
    if not keep.any():
        what = "row" if kind == "row" else "object"
        message = f"no {what} of the {predictions.which} split has a class of target {chosen}"
        raise UnavailableError(message)
    scores, names = _scores(predictions, output, keep)
    weights = spread(row_weights(predictions, weight), keep)
    _require_finite(scores, f"output {output}")
    _require_finite(weights, f"weight {weight}")
    member = None if kind == "row" else spread(np.arange(len(predictions)), keep)
    columns = Spread(predictions.columns, keep)
    truth = truth[keep].astype(np.int64)
    return Labelled(scores, names, truth, classes, weights, columns, output, chosen, kind, member)


def value_names(predictions: Predictions, output: str) -> tuple[str, ...]:
    """What each value of an output stands for: a class or component of the target it was trained on, else its index."""
    size = predictions.outputs[output].shape[-1]
    target = trained_target(predictions, output) or ""
    classes = class_names(predictions, target)
    if len(classes) == size or (size == 1 and len(classes) == 2):
        return classes
    if len(predictions.components.get(target, ())) == size:
        return predictions.components[target]
    fitting = [names for names in predictions.classes.values() if len(names) == size]
    if not target and len(fitting) == 1:
        return fitting[0]
    return tuple(str(index) for index in range(size))


def _scores(predictions: Predictions, output: str, keep: Array) -> tuple[Array, tuple[str, ...]]:
    names = value_names(predictions, output)
    scores = np.asarray(predictions.outputs[output][keep], dtype=np.float64)
    if scores.shape[1] == 1 and len(names) == 2:
        scores = np.column_stack([1.0 - scores[:, 0], scores[:, 0]])
    return scores, names


def _require_finite(values: Array, what: str) -> None:
    rows = values.reshape(len(values), -1)
    wrong = int((~np.isfinite(rows)).any(axis=1).sum())
    if wrong:
        message = f"{what} is not finite for {wrong:,} of {len(values):,} rows"
        raise UnavailableError(message)
