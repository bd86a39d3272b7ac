"""The rows of a chunk, and what the names of row expressions stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.data.collections import Collection, Collections
from engine.data.columns import Array
from engine.data.matching import nearest
from engine.data.membership import Members, members
from engine.data.selections import select
from engine.data.values import Grouping, Values
from engine.errors import DataError
from engine.spec.expressions import Expression
from engine.spec.sections.data import RowsSpec
from engine.spec.syntax import Name


@dataclass(frozen=True)
class Rows:
    """Which objects became rows: flat indices into their collection, int64, shape (rows,)."""

    collection: Collection
    objects: Array
    matched_collection: Collection | None
    matched: Array | None  # of the object that each row was matched to

    @property
    def entry(self) -> Array:
        """Entry of each row, int64."""
        return self.collection.entry[self.objects]


def find_rows(collections: Collections, spec: RowsSpec) -> Rows:
    """The rows of a chunk in the order of the entries; within one, of the objects (of those matched to)."""
    candidates = select(collections, spec.of)
    if spec.to is None:
        return Rows(candidates.collection, candidates.objects, None, None)
    targets = select(collections, spec.to)
    objects, matched = nearest(candidates, targets, spec.within)
    return Rows(candidates.collection, objects, targets.collection, matched)


class RowContext:
    """Values of names such as `jets.pt`, `event.weight`, `matched.Lxy`, `constants.mH` for every row.

    A field of a collection with several objects an entry (`clusters.pt`) has a value for each object of the row and is
    used inside a reduction; the collection's name alone counts its objects: `count(clusters)`. `unknown` stands for
    constants that the rows have not got, and for fields of what they are not matched to.
    """

    def __init__(
        self, collections: Collections, rows: Rows, constants: Mapping[str, float], unknown: float = 0.0
    ) -> None:
        self.collections = collections
        self.rows = rows
        self._constants = constants
        self._unknown = unknown
        self._members: dict[str, Members] = {}

    def __call__(self, name: str) -> Values:
        """The value of a name, as float64.

        Raises:
            DataError: there is no such name, or it stands for text.
        """
        array, grouping = self._find(name)
        if array.dtype.kind not in "biuf":
            raise DataError(f"{name} holds text where a number is needed")
        return Values(array.astype(np.float64, copy=False), grouping)

    def exact(self, expression: Expression) -> Array | None:
        """Values in the file's own type where the expression is the name of a row's value; else None."""
        if not isinstance(expression.root, Name):
            return None
        array, grouping = self._find(expression.root.name)
        return array if grouping is None else None

    def text(self, name: str) -> Array:
        """A text field of the row, shape (rows,).

        Raises:
            DataError: there is no such name, it stands for numbers, or a row has several.
        """
        array, grouping = self._find(name)
        if grouping is not None:
            raise DataError(f"a row has several {name}, where one text is needed")
        if array.dtype.kind in "biuf":
            raise DataError(f"{name} holds numbers where text is needed")
        return array

    def members(self, name: str) -> Members:
        """The objects of a collection that belong to each row."""
        if name not in self._members:
            self._members[name] = members(self.collections[name], self.rows.collection, self.rows.objects)
        return self._members[name]

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.rows.objects)

    def _find(self, name: str) -> tuple[Array, Grouping | None]:
        prefix, _, field = name.partition(".")
        if prefix == "constants":
            return np.full(self.count, self._constants.get(field, self._unknown), dtype=np.float64), None
        if prefix == "matched":
            return self._matched(field), None
        if prefix not in self.collections:
            raise DataError(f"'{name}' is no name that rows know; write <collection>.<field>, as in jets.pt")
        return self._of_collection(self.collections[prefix], field)

    def _matched(self, field: str) -> Array:
        """`unknown` where rows are not matched, or to a collection without that field: samples share their columns."""
        collection = self.rows.matched_collection
        if collection is None or field not in collection.spec.fields:
            return np.full(self.count, self._unknown)
        return collection.field(field)[self.rows.matched]

    def _of_collection(self, collection: Collection, field: str) -> tuple[Array, Grouping | None]:
        values = collection.field(field) if field else np.ones(collection.objects)
        if collection is self.rows.collection:
            return values[self.rows.objects], None
        if collection.grouping is None:
            return values[self.rows.entry], None
        belonging = self.members(collection.name)
        return values[belonging.objects], belonging.grouping
