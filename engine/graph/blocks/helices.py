"""Blocks that know helices in a uniform field along z: vertex_fit, extrapolate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.graph.blocks.common import need_objects
from engine.graph.conventions import Conventions
from engine.graph.registry import Block, Types, block
from engine.graph.types import Outcome, RuleError, TensorType, words
from engine.spec.suggest import hint

if TYPE_CHECKING:
    from torch import nn

PARAMETERS = 5
"""A helix has d0, z0, phi, theta, rho."""


def spread_sizes(values: int) -> tuple[int, ...]:
    """The numbers that errors of so many values may have: deviations, upper triangle, whole matrix."""
    return values, values * (values + 1) // 2, values * values


def need_spread(name: str, value: TensorType, values: int) -> None:
    """An input holds errors.

    Raises:
        RuleError: it has another number of features.
    """
    deviations, triangle, matrix = spread_sizes(values)
    if value.features not in (deviations, triangle, matrix):
        raise RuleError(
            f"takes as `{name}` {deviations} standard deviations, or a covariance as its {triangle} numbers from the"
            f" diagonal to the right or as all {matrix}, not {words(value)}"
        )


def need_row(name: str, value: TensorType, features: int | None) -> None:
    """An input is a row of so many features.

    Raises:
        RuleError: it is not.
    """
    if value.objects or (features is not None and value.features != features):
        wanted = f"a row of {features} features" if features is not None else "a row"
        raise RuleError(f"takes as `{name}` {wanted}, not {words(value)}")


@block("vertex_fit")
@dataclass(frozen=True)
class VertexFit(Block):
    """The point from which weighted helices come. The names of the inputs are set by the planner."""

    inputs = (2, 6)
    arguments = ("tracks", "errors", "weights", "prior", "prior_errors", "seed")
    free_arguments = True
    mask_rule = "Padding takes no part. `momenta` has the mask of the tracks, the other outputs have none."

    mode: str = "exact"
    precision: str = "float32"
    clip: float | None = None
    tolerance: float = 1e-8
    max_iterations: int | None = None
    sandwich: bool | None = None
    names: tuple[str, ...] = field(default=(), metadata={"name": None})

    @property
    def describe(self) -> str:
        return f"vertex_fit {self.mode}"

    def given(self, inputs: Types) -> dict[str, TensorType]:
        """The inputs by name.

        Raises:
            RuleError: a name that is not known, or a needed one that is missing.
        """
        names = self.names or self.arguments[: len(inputs)]
        for name in names:
            if name not in self.arguments:
                raise RuleError(f"has no input `{name}`{hint(name, self.arguments)}")
        for name in self.arguments[:2]:
            if name not in names:
                raise RuleError(f"needs an input `{name}`: write `from: {{{name}: ...}}`")
        if ("prior" in names) != ("prior_errors" in names):
            raise RuleError("needs both `prior` and `prior_errors`, or none of them")
        return dict(zip(names, inputs, strict=True))

    def vertices(self, inputs: Mapping[str, TensorType]) -> tuple[int, ...]:
        """The object axis of the vertices: () for one, as many as there are weights a track for more."""
        count = inputs["weights"].features if "weights" in inputs else 1
        return () if count == 1 else (count,)

    def check(self, inputs: Mapping[str, TensorType]) -> None:
        """Whether the inputs fit.

        Raises:
            RuleError: they do not.
        """
        tracks = inputs["tracks"]
        need_objects(tracks)
        if tracks.features != PARAMETERS:
            raise RuleError(f"takes as `tracks` d0, z0, phi, theta, rho of each object, not {words(tracks)}")
        for name in ("errors", "weights"):
            if name in inputs and inputs[name].objects != tracks.objects:
                raise RuleError(f"gets {words(tracks)} as `tracks` but {words(inputs[name])} as `{name}`")
        need_spread("errors", inputs["errors"], PARAMETERS)
        if self.mode == "ndive" and inputs["errors"].features != PARAMETERS:
            raise RuleError("takes standard deviations only in mode `ndive`", "mode")
        for name in ("prior", "seed"):
            if name in inputs:
                need_row(name, inputs[name], 3)
        if "prior_errors" in inputs:
            need_row("prior_errors", inputs["prior_errors"], None)
            need_spread("prior_errors", inputs["prior_errors"], 3)

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        known = self.given(inputs)
        self.check(known)
        many = self.vertices(known)
        masked = any(known[name].masked for name in ("tracks", "errors", "weights") if name in known)
        momenta = TensorType((*known["tracks"].objects, 3 * (many or (1,))[0]), masked)
        rows = tuple(TensorType((*many, size)) for size in (3, 9, 1))
        return Outcome(
            (*rows, momenta, TensorType((*many, 1))), names=("position", "covariance", "chi2", "momenta", "status")
        )

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.helices import VertexFit as Module

        known = self.given(inputs)
        return Module(
            tuple(known), single=not self.vertices(known), mode=self.mode, double=self.precision == "float64",
            clip=self.clip, tolerance=self.tolerance, max_iterations=self.max_iterations, sandwich=self.sandwich,
        )  # fmt: skip


@block("extrapolate")
@dataclass(frozen=True)
class Extrapolate(Block):
    """Helices as seen from another point than the origin."""

    inputs = (2, 2)
    arguments = ("tracks", "to")
    mask_rule = "Keeps that of the tracks; padding gives zeros."

    precision: str = "float32"

    def rule(self, inputs: Types, conventions: Conventions) -> Outcome:
        tracks, point = inputs
        need_objects(tracks)
        if tracks.features != PARAMETERS:
            raise RuleError(f"takes as `tracks` d0, z0, phi, theta, rho of each object, not {words(tracks)}")
        need_row("to", point, 3)
        nearest = TensorType((*tracks.objects, 3), tracks.masked)
        return Outcome((TensorType(tracks.shape, tracks.masked), nearest), names=("perigee", "point"))

    def build(self, inputs: Types, conventions: Conventions) -> nn.Module:
        from engine.graph.modules.helices import Extrapolate as Module

        return Module(double=self.precision == "float64")
