"""The order of a row's objects, and how many of them are kept."""

from __future__ import annotations

import numpy as np

from engine.data.columns import Array
from engine.data.membership import Members


def sort_members(members: Members, key: Array) -> Members:
    """Members of each row sorted by ascending `key`, shape (members,).

    Equal keys keep their order; NaN comes last.
    """
    order = np.lexsort((key, members.grouping.parents))
    return Members(members.grouping, members.objects[order])


def keep_first(members: Members, most: int) -> Members:
    """The first `most` members of each row."""
    if not members.grouping.objects or members.grouping.counts.max() <= most:
        return members
    return members.compress(members.grouping.positions < most)
