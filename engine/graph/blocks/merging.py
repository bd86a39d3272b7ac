"""Blocks that make one value of several: concat, add, multiply, pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.blocks.common import merged_mask, merged_objects, need_features, need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType, plural, words

if TYPE_CHECKING:
    from torch import nn


@block("concat")
@dataclass(frozen=True)
class Concat(Block):
    """Features, or objects, side by side."""

    shorthand = "along"
    inputs = (1, None)
    merges = True
    mask_rule = (
        "Along features: an object is real when it is in all inputs that have a mask. Along objects: the masks are put"
        " side by side; objects of an input without a mask are real."
    )

    along: str = "features"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        for value in inputs:
            need_features(value)
        if self.along == "objects":
            return Outcome((self.along_objects(inputs),))
        objects = merged_objects(inputs)
        features = sum(value.features for value in inputs)
        return Outcome((TensorType((*objects, features), merged_mask(inputs)),))

    def along_objects(self, inputs: Types) -> TensorType:
        """The type of all objects together."""
        for value in inputs:
            need_objects(value)
            if value.features != inputs[0].features:
                raise RuleError(f"cannot put {words(value)} beside {words(inputs[0])}: the numbers of features differ")
        objects = sum(value.objects[0] for value in inputs)
        return TensorType((objects, inputs[0].features), merged_mask(inputs))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.merging import ConcatFeatures, ConcatObjects

        return ConcatObjects() if self.along == "objects" else ConcatFeatures(merged_objects(inputs))


@block("add")
@dataclass(frozen=True)
class Add(Block):
    """Sum of the inputs."""

    inputs = (1, None)
    merges = True
    mask_rule = "An object is real when it is in all inputs that have a mask."

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        objects = merged_objects(inputs)
        for value in inputs:
            if value.features != inputs[0].features or bool(value.shape) != bool(inputs[0].shape):
                raise RuleError(f"cannot add {words(value)} to {words(inputs[0])}: the numbers of features differ")
        shape = (*objects, inputs[0].features) if inputs[0].shape else ()
        return Outcome((TensorType(shape, merged_mask(inputs)),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.merging import Add as Module

        return Module()


@block("multiply")
@dataclass(frozen=True)
class Multiply(Block):
    """Product of the inputs."""

    inputs = (1, None)
    merges = True
    mask_rule = "An object is real when it is in all inputs that have a mask."

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        for value in inputs:
            need_features(value)
        return Outcome((element_wise(inputs, "multiply"),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.merging import Multiply as Module

        return Module()


def element_wise(inputs: Types, verb: str) -> TensorType:
    """The type of inputs combined number by number, where one feature may stand for all features.

    Raises:
        RuleError: they have different objects or features.
    """
    objects = merged_objects(inputs)
    widest = max(inputs, key=lambda value: value.features)
    for value in inputs:
        if value.features not in (1, widest.features):
            raise RuleError(f"cannot {verb} {words(value)} and {words(widest)}: the numbers of features differ")
    return TensorType((*objects, widest.features), merged_mask(inputs))


@block("pairs")
@dataclass(frozen=True)
class Pairs(Block):
    """Every pair of a left and a right object as an object of its own."""

    shorthand = "combine"
    inputs = (1, None)
    merges = True
    mask_rule = "A pair is real when both objects are."

    combine: str = "concat"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        for value in inputs:
            need_features(value)
        rows = [value for value in inputs if value.broadcast]
        objects = [value for value in inputs if not value.broadcast]
        if not 1 <= len(objects) <= 2 or list(inputs) != [*objects, *rows]:
            raise RuleError(
                "takes one or two inputs with objects and then rows with `broadcast`, not"
                f" {plural(len(objects), 'input')} with objects"
            )
        for value in objects:
            need_objects(value)
        shape = (objects[0].objects[0], objects[-1].objects[0])
        if self.combine == "concat":
            features = objects[0].features + objects[-1].features + sum(row.features for row in rows)
            return Outcome((TensorType((*shape, features), merged_mask(objects)),))
        combined = element_wise([TensorType((value.features,)) for value in inputs], self.combine)
        return Outcome((TensorType((*shape, combined.features), merged_mask(objects)),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.merging import Pairs as Module

        return Module(self.combine, sum(value.broadcast for value in inputs))
