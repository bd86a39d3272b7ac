"""Which objects belong to which rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.collections import Collection
from engine.data.columns import Array, Jagged
from engine.data.values import Grouping


@dataclass(frozen=True)
class Members:
    """Objects of a collection sorted by the row they belong to, those of a row in the order of the file.

    An object may belong to several rows, and then appears several times.
    """

    grouping: Grouping  # rows -> members
    objects: Array  # index of each member in the flat arrays of the collection, int64

    def compress(self, keep: Array) -> Members:
        """The members where `keep`, bool of shape (members,), is true."""
        return Members(self.grouping.compress(keep), self.objects[keep])


def members(collection: Collection, owners: Collection, rows: Array) -> Members:
    """Objects of `collection` that belong to each row.

    With an owner branch these are the objects that name the row's object by its place in the entry; an index outside
    the entry's objects (-1) names nobody. Without one, or where `owners` has one object an entry, all objects of the
    entry belong to each of its rows.

    Args:
        collection: the objects, one list an entry.
        owners: the collection of the rows' objects.
        rows: index of each row's object in the flat arrays of `owners`, int64; an object may be that of several rows.
    """
    if collection.grouping is None:
        raise ValueError(f"{collection.name} has one value an entry; its objects belong to no row")
    if collection.owner is None or owners.grouping is None:
        return _gather(collection.name, collection.grouping.offsets, np.arange(collection.objects), owners.entry[rows])
    is_row = np.zeros(owners.objects, dtype=bool)
    is_row[rows] = True
    object_index, owner_index = _pairs(collection, collection.owner, owners.grouping)
    wanted = is_row[owner_index]
    object_index, owner_index = object_index[wanted], owner_index[wanted]
    order = np.argsort(owner_index, kind="stable")
    object_index, owner_index = object_index[order], owner_index[order]
    repeated = np.zeros(len(order), dtype=bool)
    repeated[1:] = (object_index[1:] == object_index[:-1]) & (owner_index[1:] == owner_index[:-1])
    object_index, owner_index = object_index[~repeated], owner_index[~repeated]
    counts = np.bincount(owner_index, minlength=owners.objects)
    return _gather(collection.name, Grouping.from_counts("", counts).offsets, object_index, rows)


def _pairs(collection: Collection, owner: Array | Jagged, owners: Grouping) -> tuple[Array, Array]:
    """Every (object, owner) pair: flat indices of both, in the order of the objects."""
    if isinstance(owner, Jagged):
        object_index, local = owner.parents, np.asarray(owner.values)
    else:
        object_index, local = np.arange(len(owner)), owner
    entry = collection.entry[object_index]
    if local.dtype.kind == "f":
        local = np.where(np.isfinite(local), local, -1)
    local = local.astype(np.int64, copy=False)
    valid = (local >= 0) & (local < owners.counts[entry])
    return object_index[valid], owners.offsets[:-1][entry[valid]] + local[valid]


def _gather(name: str, offsets: Array, objects: Array, lists: Array) -> Members:
    """Lists number `lists` of those that `offsets` makes of `objects`, one after the other."""
    grouping = Grouping.from_counts(name, offsets[lists + 1] - offsets[lists])
    return Members(grouping, objects[offsets[lists][grouping.parents] + grouping.positions])
