"""Collections of a chunk of entries: branches, expressions of them and wide tables become flat arrays of objects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from engine.data.branches import source_branches
from engine.data.columns import Array, Column, Jagged
from engine.data.values import Grouping, Values, evaluate, per_object, per_row
from engine.errors import DataError
from engine.spec.layouts import SLOT
from engine.spec.sections.data import CollectionSpec, FieldSpec, LayoutSpec

Chunk = Mapping[str, Column]
"""Branches of the same entries, by name."""


class Collection:
    """The objects of one collection: in every entry one (`grouping` is None) or a list of them.

    Fields are computed when they are asked for, so that a file may lack the branches of the others.
    """

    def __init__(self, spec: CollectionSpec, chunk: Chunk, entries: int) -> None:
        self.spec = spec
        self.entries = entries
        self._chunk = chunk
        self._fields: dict[str, Array] = {}

    @property
    def name(self) -> str:
        """The collection's name in the spec."""
        return self.spec.name

    @cached_property
    def grouping(self) -> Grouping | None:
        """Which objects each entry has; None where every entry has exactly one."""
        slots = self._slots
        if slots is None:
            return self._listed
        return slots if self._present is None else slots.compress(self._present)

    @property
    def objects(self) -> int:
        """Number of objects in all entries."""
        return self.entries if self.grouping is None else self.grouping.objects

    @cached_property
    def entry(self) -> Array:
        """Entry of each object, int64, shape (objects,)."""
        return np.arange(self.entries) if self.grouping is None else self.grouping.parents

    def field(self, name: str) -> Array:
        """Values of a field in the type of the file, shape (objects,).

        Raises:
            DataError: the collection has no such field, or the file lacks its branch.
        """
        if name not in self._fields:
            if name not in self.spec.fields:
                raise DataError(
                    f"the collection {self.name} has no field '{name}'; it has {', '.join(self.spec.fields)}"
                )
            self._fields[name] = self._read(self.spec.fields[name])
        return self._fields[name]

    def number(self, name: str) -> Array:
        """Values of a field as float64, shape (objects,).

        Raises:
            DataError: as `field`, or the values are text.
        """
        values = self.field(name)
        if values.dtype.kind not in "biuf":
            raise DataError(f"the field {self.name}.{name} holds text where a number is needed")
        return values.astype(np.float64, copy=False)

    def values(self, name: str) -> Values:
        """A field for use in expressions; the rows of these Values are entries."""
        return Values(self.number(name), self.grouping)

    @cached_property
    def owner(self) -> Column | None:
        """For each object the place of its owner in the entry, or a list of them; None without such a branch."""
        branch = self.spec.owner
        if branch is None or branch == "implicit":
            return None
        column = self._branch(branch)
        if not isinstance(column, Jagged) or self.grouping is None:
            raise DataError(f"the branch {branch}, the owner of {self.name}, must hold a list an entry")
        self._check_same(branch, column)
        places = column.values.values if isinstance(column.values, Jagged) else column.values
        if isinstance(places, Jagged) or np.asarray(places).dtype.kind not in "iuf":
            raise DataError(
                f"the branch {branch}, the owner of {self.name}, must hold the places of objects as numbers"
            )
        return column.values

    @cached_property
    def _slots(self) -> Grouping | None:
        """All slots of a wide table, those without an object too; None where it is none."""
        if self.spec.slots is None:
            return None
        return Grouping(self.name, np.arange(self.entries + 1, dtype=np.int64) * self.spec.slots)

    @cached_property
    def _present(self) -> Array | None:
        """Which slots of a wide table hold an object, bool, shape (slots of all entries,); None for all."""
        if self._slots is None or self.spec.exists is None:
            return None
        present: Array = per_object(evaluate(self.spec.exists, self._branch_values), self._slots) != 0
        return present

    @cached_property
    def _listed(self) -> Grouping | None:
        """The lists of the collection's branches; None where they hold one value an entry.

        Objects of an implicit owner that the file knows nothing about are none at all.
        """
        for branch in self._listable():
            column = self._chunk.get(branch)
            if isinstance(column, Jagged):
                return Grouping(self.name, column.offsets)
        if self.spec.owner == "implicit" and not any(branch in self._chunk for branch in self._listable()):
            return Grouping(self.name, np.zeros(self.entries + 1, dtype=np.int64))
        return None

    def _listable(self) -> list[str]:
        branches = [branch for field in self.spec.fields.values() for branch in source_branches(field)]
        return branches if self.spec.owner in (None, "implicit") else [str(self.spec.owner), *branches]

    def _read(self, field: FieldSpec) -> Array:
        missing = next((branch for branch in source_branches(field) if not self._has(branch)), None)
        if missing is not None and field.default is not None:
            return np.full(self.objects, field.default)
        if missing is not None:
            raise DataError(f"the file has no branch '{missing}', which {self.name}.{field.name} is made of")
        if field.expression is not None:
            return self._flat(evaluate(field.expression, self._branch_values), field)
        return self._flat(self._branch_values(source_branches(field)[0], as_number=False), field)

    def _has(self, branch: str) -> bool:
        return branch.replace(SLOT, "0") in self._chunk if self.spec.slots else branch in self._chunk

    def _flat(self, value: Any, field: FieldSpec) -> Array:
        """The objects' values of what a field is made of; slots without an object are left out."""
        if self.grouping is None:
            return per_row(value, self.entries, f"{self.name}.{field.name}")
        if self._slots is None:
            return per_object(value, self.grouping)
        slots = per_object(value, self._slots)
        return slots if self._present is None else slots[self._present]

    def _branch_values(self, branch: str, as_number: bool = True) -> Values:
        """A branch for use in expressions: one value an entry, or one a slot or list member."""
        if self._slots is not None and SLOT in branch:
            table = [self._scalar_branch(branch.replace(SLOT, str(slot))) for slot in range(self.spec.slots or 0)]
            return Values(self._number(np.stack(table, axis=1).reshape(-1), branch, as_number), self._slots)
        column = self._branch(branch)
        if not isinstance(column, Jagged):
            return Values(self._number(column, branch, as_number))
        if self._slots is not None:
            raise DataError(f"the branch {branch} holds lists; a wide table ({self.name}) has one value a branch")
        self._check_same(branch, column)
        if isinstance(column.values, Jagged):
            raise DataError(f"the branch {branch} holds lists of lists, which {self.name} can use as owner only")
        return Values(self._number(column.values, branch, as_number), self.grouping)

    def _scalar_branch(self, branch: str) -> Array:
        column = self._branch(branch)
        if isinstance(column, Jagged):
            raise DataError(f"the branch {branch} holds lists; a wide table ({self.name}) has one value a branch")
        return column

    def _number(self, values: Array, branch: str, as_number: bool) -> Array:
        if not as_number:
            return values
        if values.dtype.kind not in "biuf":
            raise DataError(f"the branch {branch} holds text where a number is needed")
        return values.astype(np.float64, copy=False)

    def _branch(self, branch: str) -> Column:
        if branch not in self._chunk:
            raise DataError(f"the file has no branch '{branch}', which the collection {self.name} needs")
        return self._chunk[branch]

    def _check_same(self, branch: str, column: Jagged) -> None:
        """All branches of a collection have equally many values in every entry."""
        if self._listed is None or np.array_equal(column.offsets, self._listed.offsets):
            return
        entry = int(np.flatnonzero(column.counts != self._listed.counts)[0])
        raise DataError(
            f"the branch {branch} has {column.counts[entry]} values where other branches of {self.name} have "
            f"{self._listed.counts[entry]} (entry {entry} of those read together)"
        )


class Collections:
    """Every collection of a layout, in one chunk of entries."""

    def __init__(self, layout: LayoutSpec, chunk: Chunk) -> None:
        self.layout = layout
        self.entries = len(next(iter(chunk.values()), ()))
        self._chunk = chunk
        self._known: dict[str, Collection] = {}

    def __getitem__(self, name: str) -> Collection:
        if name not in self._known:
            if name not in self.layout.collections:
                raise DataError(f"the layout {self.layout.name} has no collection '{name}'")
            self._known[name] = Collection(self.layout.collections[name], self._chunk, self.entries)
        return self._known[name]

    def __contains__(self, name: str) -> bool:
        return name in self.layout.collections
