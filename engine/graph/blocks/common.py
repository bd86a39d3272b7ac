"""What several rules share: sentences about inputs that do not fit, and counts of parameters."""

from __future__ import annotations

from collections.abc import Sequence

from engine.graph.types import RuleError, TensorType, words

ACTIVATIONS = (
    "relu", "leaky_relu", "selu", "elu", "gelu", "tanh", "sigmoid", "softmax", "swish", "softplus", "softsign", "mish",
    "hard_sigmoid", "exponential", "linear",
)  # fmt: skip
WITH_LOGITS = ("softmax", "sigmoid")


def need_features(value: TensorType) -> None:
    """The block works on features.

    Raises:
        RuleError: the value is one number.
    """
    if not value.shape:
        raise RuleError("needs features, but its input is one number; put `reshape: [1]` in front of it")


def need_objects(value: TensorType) -> None:
    """The block works along one axis of objects.

    Raises:
        RuleError: there is none, or more than one.
    """
    if len(value.objects) != 1:
        advice = "pool over one of the axes first" if value.objects else "a row has no objects to work along"
        raise RuleError(f"needs objects x features, but its input is {words(value)}; {advice}")


def need_some_objects(value: TensorType) -> None:
    """The block reduces an axis of objects.

    Raises:
        RuleError: there is none.
    """
    if not value.objects:
        raise RuleError(f"reduces objects, but its input is {words(value)}, which has none")


def merged_objects(inputs: Sequence[TensorType]) -> tuple[int, ...]:
    """The object axes of inputs that are to be merged feature by feature.

    Raises:
        RuleError: their objects differ, or a row is not marked with `broadcast`.
    """
    with_objects = [value for value in inputs if value.objects]
    if not with_objects:
        if any(value.broadcast for value in inputs):
            raise RuleError("has a `broadcast` source, but none of its other inputs has objects to use it for")
        return ()
    objects = with_objects[0].objects
    for value in inputs:
        if not value.objects and not value.broadcast:
            raise RuleError(
                f"gets {words(with_objects[0])} and {words(value)}; to use the row for each object, write its source as"
                " `{broadcast: name}`"
            )
        if value.objects and value.broadcast:
            raise RuleError(f"has a `broadcast` source of {words(value)}; only a row can be broadcast")
        if value.objects and value.objects != objects:
            raise RuleError(f"cannot merge {words(with_objects[0])} with {words(value)}: the objects differ")
    return objects


def merged_mask(inputs: Sequence[TensorType]) -> bool:
    """Whether the merged value has a mask: as soon as one of the inputs has."""
    return any(value.masked for value in inputs)


def linear_count(features: int, units: int, bias: bool) -> int:
    """Parameters of a fully connected layer."""
    return (features + int(bias)) * units


def whole(units: int | tuple[int, ...]) -> tuple[int, ...]:
    """A number or several, as several."""
    return units if isinstance(units, tuple) else (units,)
