"""`sanitize`: stored features to the network's input, by the fastest implementation there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import backends
from . import transforms as reference
from .layout import Layout, dtype_code
from .transforms import FeatureTransform


class Sanitizer:
    """The transforms of one input, ready to be applied again and again.

    Args:
        transforms: one for each stored feature.
        implementation: "native", "numba" or "reference"; without it `backends.choose` decides.
    """

    def __init__(self, transforms: Sequence[FeatureTransform], implementation: str | None = None) -> None:
        self.transforms = tuple(transforms)
        self._prepare(Layout.of(self.transforms), implementation)

    @classmethod
    def of_layout(cls, layout: Layout, implementation: str) -> Sanitizer:
        """From columns that are laid out already, for an implementation that needs no more than them."""
        made = cls.__new__(cls)
        made.transforms = ()
        made._prepare(layout, implementation)
        return made

    def __getstate__(self) -> tuple[Any, ...]:
        return self.transforms, self.layout, self._asked

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.transforms, *prepared = state
        self._prepare(*prepared)

    def _prepare(self, layout: Layout, implementation: str | None) -> None:
        self.layout, self._asked = layout, implementation
        self.choice = backends.choose("sanitize", implementation)
        self._native: Any = None
        if self.choice.implementation == "native":
            self._native = backends.native_module().Sanitize(self.layout.features, self.layout.columns)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Apply the transforms.

        Args:
            values: shape (N, F), float16, float32, float64 or integers.

        Returns:
            float32, shape (N, W).

        Raises:
            ValueError: `values` has another shape or a type that cannot be read.
        """
        if values.ndim != 2 or values.shape[1] != self.layout.features:
            expected = f"(N, {self.layout.features})"
            raise ValueError(f"the values have shape {values.shape}, but the transforms need {expected}")
        code = dtype_code(values.dtype)
        if self.choice.implementation == "reference":
            return reference.apply(values, self.transforms)
        out = np.empty((len(values), self.layout.width), dtype=np.float32)
        if self._native is not None:
            self._native.into(code, np.require(values, requirements=["C", "A"]), out)
        else:
            from .numba import sanitize

            sanitize(values, self.layout, out)
        return out
