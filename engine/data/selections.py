"""Selections: the objects of a collection that pass a condition, or a chain of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.collections import Collection, Collections
from engine.data.columns import Array
from engine.data.values import Grouping, Values, evaluate, per_object, per_row


@dataclass(frozen=True)
class Selected:
    """Objects of a collection: their places in its flat arrays, int64, ascending."""

    collection: Collection
    objects: Array

    @property
    def entry(self) -> Array:
        """Entry of each of them, int64."""
        return self.collection.entry[self.objects]

    @property
    def mask(self) -> Array:
        """Which objects of the whole collection are among them, bool."""
        mask = np.zeros(self.collection.objects, dtype=bool)
        mask[self.objects] = True
        return mask


def select(collections: Collections, name: str) -> Selected:
    """The objects that a collection or selection stands for.

    In a selection of a selection, reductions such as `maximum(pt)` run over the objects that passed the first one.

    Raises:
        DataError: there is no such collection, a field is missing, or the condition has no value an object.
    """
    selection = collections.layout.selections.get(name)
    if selection is None:
        collection = collections[name]
        return Selected(collection, np.arange(collection.objects))
    parent = select(collections, selection.of)
    collection = parent.collection
    grouping = None if collection.grouping is None else _among(collection.grouping, parent)

    def lookup(field: str) -> Values:
        return Values(collection.number(field)[parent.objects], grouping)

    value = evaluate(selection.where, lookup)
    if grouping is None:
        passed = per_row(value, len(parent.objects), f"selections.{name}")
    else:
        passed = per_object(value, grouping)
    return Selected(collection, parent.objects[passed != 0])


def _among(grouping: Grouping, selected: Selected) -> Grouping:
    """The grouping of the selected objects alone."""
    return grouping if len(selected.objects) == grouping.objects else grouping.compress(selected.mask)
