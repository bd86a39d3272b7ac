"""Where the boxes of a graph go: rows from the inputs at the top to the outputs at the bottom, with few crossings.

The steps are those of Sugiyama et al. 1981: a row for each box, points where an edge passes through a row, an order
within each row by the mean place of the neighbours, and then places that are as close to the neighbours as they can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12
GAP = 28.0
"""Between neighbours of a row."""
BEND = 14.0
"""Width that an edge takes where it passes a row."""


@dataclass
class Point:
    """A box, or a place where an edge passes a row.

    Attributes:
        name: of the box; "" for a place that an edge passes.
        width: of the box.
        row: counted from the top.
        x: of the middle.
    """

    name: str
    width: float
    row: int
    x: float = 0.0
    above: list[Point] = field(default_factory=list, repr=False)
    below: list[Point] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Layout:
    """Rows of points from left to right, and for each edge the points that it passes, its two boxes among them."""

    rows: tuple[tuple[Point, ...], ...]
    ways: Mapping[tuple[str, str], tuple[Point, ...]]

    @property
    def boxes(self) -> dict[str, Point]:
        """The points that are boxes."""
        return {point.name: point for row in self.rows for point in row if point.name}


def arrange(widths: Mapping[str, float], edges: Sequence[tuple[str, str]], first: Iterable[str]) -> Layout:
    """Find a place for every box.

    Args:
        widths: of the boxes, in an order in which each comes after those that it gets something from.
        edges: from box to box; each pair once.
        first: boxes of the top row.
    """
    rows = rows_of(widths, edges, set(first))
    points = {name: Point(name, width, rows[name]) for name, width in widths.items()}
    table: list[list[Point]] = [[] for _ in range(max(rows.values(), default=0) + 1)]
    for point in points.values():
        table[point.row].append(point)
    ways = {edge: passed(points[edge[0]], points[edge[1]], table) for edge in edges}
    for sweep in range(SWEEPS):
        order(table, down=sweep % 2 == 0)
    place(table)
    return Layout(tuple(map(tuple, table)), ways)


def rows_of(names: Iterable[str], edges: Sequence[tuple[str, str]], first: set[str]) -> dict[str, int]:
    """The row of each box: below all that it gets something from; what gives nothing to any other is in the last."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        sources[end].append(start)
    rows: dict[str, int] = {}
    for name, above in sources.items():
        rows[name] = 0 if name in first else max((rows[each] + 1 for each in above), default=1 if first else 0)
    last = max(rows.values(), default=0)
    giving = {start for start, _ in edges}
    return {name: last if name not in giving and name not in first else row for name, row in rows.items()}


def passed(start: Point, end: Point, table: list[list[Point]]) -> tuple[Point, ...]:
    """The points of an edge, one in each row; those between its boxes are new."""
    way = [start]
    for row in range(start.row + 1, end.row):
        point = Point("", BEND, row)
        table[row].append(point)
        way.append(point)
    way.append(end)
    for upper, lower in pairwise(way):
        upper.below.append(lower)
        lower.above.append(upper)
    return tuple(way)


def order(table: list[list[Point]], *, down: bool) -> None:
    """Sort each row by the mean place of the neighbours in the row before it; points without any keep theirs."""
    for row in table if down else reversed(table):
        places = {id(point): index for each in table for index, point in enumerate(each)}
        keys = {}
        for index, point in enumerate(row):
            near = point.above if down else point.below
            keys[id(point)] = sum(places[id(each)] for each in near) / len(near) if near else float(index)
        row.sort(key=lambda point: keys[id(point)])


def place(table: list[list[Point]]) -> None:
    """Give every point an x: towards its neighbours, without touching those beside it."""
    for row in table:
        x = 0.0
        for point in row:
            point.x = x + point.width / 2
            x += point.width + GAP
        for point in row:
            point.x -= (x - GAP) / 2
    for sweep in range(4 * SWEEPS):
        down = sweep % 2 == 0
        for row in table if down else reversed(table):
            wanted = [wish(point, down=down) for point in row]
            settle(row, wanted)


def wish(point: Point, *, down: bool) -> float:
    """Where a point would like to be: in the middle of its neighbours on one side, or of those on the other."""
    near = (point.above or point.below) if down else (point.below or point.above)
    return sum(each.x for each in near) / len(near) if near else point.x


def settle(row: list[Point], wanted: list[float]) -> None:
    """Put points as close to where they want to be as their widths allow, in the sense of least squares.

    Neighbours that would touch become a group, which goes where its members want to be on average.
    """
    offsets, total = [], 0.0
    for i, point in enumerate(row):
        total += (row[i - 1].width + point.width) / 2 + GAP if i else 0.0
        offsets.append(total)
    groups: list[list[float]] = []  # number of members, sum of where they want the group's origin
    for i in range(len(row)):
        groups.append([1.0, wanted[i] - offsets[i]])
        while len(groups) > 1 and groups[-2][1] / groups[-2][0] > groups[-1][1] / groups[-1][0]:
            count, sum_of = groups.pop()
            groups[-1][0] += count
            groups[-1][1] += sum_of
    i = 0
    for count, sum_of in groups:
        for _ in range(int(count)):
            row[i].x = sum_of / count + offsets[i]
            i += 1
