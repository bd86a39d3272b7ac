"""The branch that says whose object each one is: numbers, whatever their type, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.collections import Collection
from engine.data.columns import Jagged
from engine.data.membership import members
from engine.errors import DataError
from engine.spec.sections.data import CollectionSpec, FieldSpec

EVENTS = np.array([0, 3])  # one event with three hits
PT = Jagged(EVENTS, np.array([1.0, 2.0, 3.0]))


def collections(owner: Jagged) -> tuple[Collection, Collection]:
    """Hits with this owner branch, and the two jets of the event."""
    pt = {"pt": FieldSpec("pt", "pt", None, None, None, ())}
    hits = Collection(CollectionSpec("hits", pt, "owner", None, None, ()), {"pt": PT, "owner": owner}, 1)
    jet_pt = Jagged(np.array([0, 2]), np.array([5.0, 6.0]))
    return hits, Collection(CollectionSpec("jets", pt, None, None, None, ()), {"pt": jet_pt}, 1)


@pytest.mark.parametrize(
    "places",
    [
        np.array(["0", "1", "x"]),
        np.array(["0", "1", "x"], dtype=object),
        Jagged(np.array([0, 1, 1, 2]), np.array(["a", "b"], dtype=object)),
    ],
)
def test_text_in_an_owner_branch_is_told(places: object) -> None:
    hits, jets = collections(Jagged(EVENTS, places))
    with pytest.raises(DataError, match="the branch owner, the owner of hits, must hold the places of objects as numb"):
        members(hits, jets, np.array([0, 1]))


@pytest.mark.parametrize("places", [np.array([1, -1, 0]), np.array([1.0, np.nan, 0.0]), np.array([1, 7, 0], np.uint8)])
def test_a_place_that_is_none_names_nobody(places: np.ndarray) -> None:
    found = members(*collections(Jagged(EVENTS, places)), np.array([0, 1]))
    assert found.grouping.counts.tolist() == [1, 1]
    assert found.objects.tolist() == [2, 0]
