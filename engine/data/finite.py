"""Values of features that are NaN or infinite, which `fill` replaces: counted while the rows are made, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.data.columns import Jagged

if TYPE_CHECKING:
    from engine.data.rows import RowTable
    from engine.data.store import PreparedDataset
    from engine.spec.sections.data import DataSpec

MOST_TOLD = 6
"""Features and samples that one line names."""


@dataclass
class FiniteCount:
    """What is counted of the rows of a file.

    Attributes:
        values: of each input, the rows or objects that have a value of each of its features.
        not_finite: of each feature (`input.feature`), how many of its values are NaN or infinite; absent for none.
    """

    values: Counter[str] = field(default_factory=Counter)
    not_finite: Counter[str] = field(default_factory=Counter)

    def add(self, table: RowTable, data: DataSpec) -> None:
        """Count the stored values of the inputs."""
        for name, stored in table.inputs.items():
            values = np.asarray(stored.values if isinstance(stored, Jagged) else stored)
            self.values[name] += len(values)
            if values.dtype.kind != "f" or (finite := np.isfinite(values)).all():
                continue
            lost = len(values) - np.count_nonzero(finite, axis=0)
            found = zip(data.inputs[name].features, lost.tolist(), strict=True)
            self.not_finite.update({f"{name}.{feature}": number for feature, number in found if number})


@dataclass(frozen=True)
class NotFinite:
    """A feature that is not finite in some rows or objects of a sample: in `number` of `values`."""

    feature: str
    sample: str
    number: int
    values: int

    @property
    def always(self) -> bool:
        """Whether the network sees nothing of the feature but what replaces it."""
        return self.number == self.values

    def __str__(self) -> str:
        return f"{self.feature} in {self.number} of {self.values} of {self.sample}"


def not_finite(dataset: PreparedDataset) -> list[NotFinite]:
    """Every feature that is not always finite, in the files or after its transform, by sample."""
    counts: dict[str, FiniteCount] = {}
    for entry in dataset.ledger:
        count = counts.setdefault(entry.sample, FiniteCount())
        count.values.update(entry.values)
        count.not_finite.update(entry.not_finite)
    for sample, lost in dataset.manifest.get("transformed_away", {}).items():
        counts[sample].not_finite.update(lost)
    return [
        NotFinite(feature, sample, number, count.values[feature.partition(".")[0]])
        for sample, count in counts.items()
        for feature, number in count.not_finite.items()
    ]


def told(found: Iterable[NotFinite]) -> list[str]:
    """A line for what is replaced, and a warning for each feature that is never finite in a sample."""
    known = list(found)
    if not known:
        return []
    most = [str(each) for each in sorted(known, key=lambda each: -each.number / each.values)[:MOST_TOLD]]
    more = f" and {len(known) - MOST_TOLD} more (the report lists them)" if len(known) > MOST_TOLD else ""
    never = [
        f"warning: {each.feature} is never finite in {each.sample}, so the network sees nothing but `fill` there"
        for each in known
        if each.always
    ]
    return [f"NaN or infinite, so replaced by `fill`: {', '.join(most)}{more}", *never]
