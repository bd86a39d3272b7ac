"""Blocks that rearrange: reshape, flatten, select, unmask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType, words
from engine.spec.suggest import hint

if TYPE_CHECKING:
    from torch import nn


@block("reshape")
@dataclass(frozen=True)
class Reshape(Block):
    """The same numbers in another shape."""

    shorthand = "shape"
    mask_rule = "Keeps the mask where the objects stay as they are; anything else needs `mask: ignore`, which drops it."

    shape: tuple[int, ...]
    mask: str = "use"

    def target(self, value: TensorType) -> tuple[int, ...]:
        """The shape with -1 worked out."""
        size, known = math.prod(value.shape), math.prod(abs(axis) for axis in self.shape)
        if self.shape.count(-1) > 1 or 0 in self.shape:
            raise RuleError("can work out only one size; write at most one -1, and no 0", "shape")
        fits = size % known == 0 if -1 in self.shape else size == known
        if not fits:
            wanted = " x ".join("?" if axis == -1 else str(axis) for axis in self.shape)
            raise RuleError(f"cannot make {wanted} of {words(value)}, which are {size} numbers", "shape")
        return tuple(size // known if axis == -1 else axis for axis in self.shape)

    def keeps_mask(self, value: TensorType) -> bool:
        """Whether the objects, and so their mask, stay."""
        return self.mask == "use" and self.target(value)[:-1] == value.objects

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        value = inputs[0]
        shape = self.target(value)
        keeps = self.keeps_mask(value)
        if value.masked and not keeps and self.mask == "use":
            raise RuleError(
                f"would lose the mask of {words(value)}; write `mask: ignore` to go on without it, or pool the objects"
            )
        return Outcome((TensorType(shape, value.masked and keeps),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.shaping import Reshape as Module

        return Module(self.target(inputs[0]), keeps_mask=self.keeps_mask(inputs[0]))


@block("flatten")
@dataclass(frozen=True)
class Flatten(Block):
    """All objects' features as one row."""

    mask_rule = "Sets padding to 0; the row has no mask."

    mask: str = "use"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((TensorType((math.prod(inputs[0].shape),)),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.shaping import Flatten as Module

        return Module(use_mask=self.mask == "use")


@block("select")
@dataclass(frozen=True)
class Select(Block):
    """Some features, in the given order."""

    shorthand = "features"

    features: str | int | tuple[str | int, ...]

    def positions(self, value: TensorType) -> tuple[int, ...]:
        """Where the features are; a feature of several columns brings all of them.

        Raises:
            RuleError: there is no such feature.
        """
        wanted = self.features if isinstance(self.features, tuple) else (self.features,)
        found: list[int] = []
        for feature in wanted:
            if isinstance(feature, int):
                if feature >= value.features:
                    raise RuleError(f"wants feature {feature} of {words(value)}; they count from 0", "features")
                found.append(feature)
                continue
            if value.names is None:
                raise RuleError(
                    f"wants feature `{feature}` by name, but only inputs of the network have names; give its position",
                    "features",
                )
            places = [i for i, name in enumerate(value.names) if name == feature]
            if not places:
                raise RuleError(f"finds no feature `{feature}` in its input{hint(feature, value.names)}", "features")
            found += places
        return tuple(found)

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        value = inputs[0]
        positions = self.positions(value)
        names = tuple(value.names[i] for i in positions) if value.names else None
        shape = (*value.objects, len(positions))
        return Outcome((TensorType(shape, value.masked, names, vocabulary=value.vocabulary),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.shaping import Select as Module

        return Module(self.positions(inputs[0]))


@block("unmask")
@dataclass(frozen=True)
class Unmask(Block):
    """Padding counts like real objects from here on."""

    mask_rule = "Drops it."

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        return Outcome((inputs[0].unmasked(),))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.shaping import Unmask as Module

        return Module()
