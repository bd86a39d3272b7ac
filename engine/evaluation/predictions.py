"""What a network says about the rows of a split, with everything that an evaluation needs to know about these rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from engine.data.columns import Array

Split = Literal["train", "validation", "test"]
Kind = Literal["row", "objects", "pairs"]


@dataclass(frozen=True)
class Predictions:
    """The outputs of a network on n rows.

    Attributes:
        outputs: values of each evaluated output, float: shape (n, values), (n, objects, values) or
            (n, objects, objects, values); NaN where there is no object.
        targets: class index (-1: absent) or number (NaN: absent) of each target: shape (n,) or (n, components) for
            rows, (n, objects) or (n, objects, components) for objects, (n, objects, objects) for pairs of them.
        weights: `weight` and the derived weights, shape (n,).
        columns: what identifies a row or is used for categories and bins, shape (n,).
        samples: name of the sample of each row, shape (n,).
        classes: names of the classes of each target; () for a target that is a number.
        trained_on: for each output the target that a loss compares it with; its classes name the output's values.
        which: the split that the rows are from.
        components: names of the components of the targets that are vectors.
        units: unit of the targets that have one.
        kinds: what a target has a value of: `row` where it is not listed, `objects` or `pairs`.
        key: what the values were computed from, as a hash; empty where nobody said.
    """

    outputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    weights: Mapping[str, Array]
    columns: Mapping[str, Array]
    samples: Array
    classes: Mapping[str, tuple[str, ...]]
    trained_on: Mapping[str, str] = field(default_factory=dict)
    which: Split = "test"
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    key: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def kind(self, target: str) -> Kind:
        """What a target has a value of."""
        return self.kinds.get(target, "row")

    def of_rows(self, mask: Array) -> Predictions:
        """The same for the rows of a mask (bool, shape (n,)) alone."""

        def of(values: Mapping[str, Array]) -> dict[str, Array]:
            return {name: each[mask] for name, each in values.items()}

        return replace(
            self,
            outputs=of(self.outputs),
            targets=of(self.targets),
            weights=of(self.weights),
            columns=of(self.columns),
            samples=self.samples[mask],
        )

    def save(self, path: Path) -> None:
        """Write an Arrow IPC file, complete or not at all."""
        from engine.evaluation.stored import save

        save(self, path)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            DataError: the file is absent, no Arrow file, or not one of predictions.
        """
        from engine.evaluation.stored import load

        return load(path)
