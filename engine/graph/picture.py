"""A network as a picture: boxes and edges as one SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

from engine.graph.layout import Layout, Point, arrange
from engine.graph.planned import Plan, PlannedNode
from engine.graph.types import TensorType, words

TITLE, TEXT, LINE = 13.0, 11.0, 15.5
"""Sizes of letters, and height of a line."""
PAD, HEAD, BETWEEN, MARGIN = 10.0, 24.0, 46.0, 18.0
NARROWEST, WIDEST = 132.0, 250.0
LETTER = 0.56
"""Mean width of a letter as a part of its size."""

INPUT, NODE, OUTPUT = "input", "node", "output"

STYLE = """
  .engine-graph { font-family: "Inter", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
  .engine-graph .box { fill: #ffffff; stroke: #b9c3d0; stroke-width: 1; }
  .engine-graph .head-input { fill: #dff0ea; } .engine-graph .head-node { fill: #e6ecf7; }
  .engine-graph .head-output { fill: #fbe8d3; }
  .engine-graph .title { font-size: 13px; font-weight: 600; fill: #17202c; }
  .engine-graph .layer { font-size: 11px; fill: #354154; }
  .engine-graph .before { font-size: 11px; fill: #77839a; font-style: italic; }
  .engine-graph .shape { font-size: 11px; fill: #1f5fa8; }
  .engine-graph .count { font-size: 11px; fill: #77839a; text-anchor: end; font-variant-numeric: tabular-nums; }
  .engine-graph .label { font-size: 10px; fill: #5b6779; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
  .engine-graph .edge { fill: none; stroke: #8996a8; stroke-width: 1.3; }
  .engine-graph .tip { fill: #8996a8; }
"""


@dataclass(frozen=True)
class Box:
    """A box of the picture.

    Attributes:
        name: its title.
        kind: "input", "node" or "output", which says its colour.
        before: what its sources go through first, a line each.
        lines: its layers, a line each.
        shape: what comes out, in words.
        count: its parameters; 0 is not shown.
    """

    name: str
    kind: str
    lines: tuple[str, ...]
    shape: str
    count: int = 0
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """From box to box; the label says which of several outputs is taken."""

    start: str
    end: str
    label: str = ""


def svg(plan: Plan, used: Sequence[str] = ()) -> str:
    """The picture of a network.

    Args:
        plan: the network.
        used: nodes that are told to be outputs besides those that no other node needs.
    """
    inputs = [name for name in plan.inputs if any(name in node.needs for node in plan.nodes.values())]
    needed = {need for node in plan.nodes.values() for need in node.needs}
    outputs = (set(plan.nodes) - needed) | {name.partition(".")[0] for name in used}
    boxes = [Box(name, INPUT, (), input_in_words(plan.inputs[name])) for name in inputs]
    boxes += [node_box(node, OUTPUT if name in outputs else NODE) for name, node in plan.nodes.items()]
    edges: list[Edge] = []
    for name, node in plan.nodes.items():
        labels: dict[str, list[str]] = {}
        for source in node.sources:
            start, _, output = source.reference.partition(".")
            labels.setdefault(start, []).extend([output] if output else [])
        edges += [Edge(start, name, ", ".join(dict.fromkeys(each))) for start, each in labels.items()]
    trainable, fixed = plan.counts
    return draw(
        boxes, edges, f"{trainable + fixed:,} parameters" + (f", {fixed:,} of them not trained" if fixed else "")
    )


def input_in_words(value: TensorType) -> str:
    """The shape of an input, and of how many codes its vocabulary is."""
    return words(value) if value.vocabulary is None else f"{words(value)}, {value.vocabulary:,} codes"


def node_box(node: PlannedNode, kind: str) -> Box:
    """The box of a node."""
    before = tuple(f"{source.reference}: {source.chain.short}" for source in node.sources if source.chain.steps)
    lines = []
    for short, same in groupby(step.short for step in node.chain.steps):
        times = len(list(same))
        lines.append(short if times == 1 else f"{times} × {short}")
    shape = words(node.type)
    if node.chain.names:
        shape = ", ".join(
            f"{name} {value.features}" for name, value in zip(node.chain.names, node.chain.outputs, strict=True)
        )
    return Box(node.name, kind, tuple(lines), shape, sum(node.counts), before)


def draw(boxes: Sequence[Box], edges: Sequence[Edge], caption: str) -> str:
    """Any graph as SVG.

    Args:
        boxes: in an order in which each comes after those that it gets something from.
        edges: each pair of boxes at most once.
        caption: a line at the bottom.
    """
    sized = {box.name: Sized(box) for box in boxes}
    pairs = [(edge.start, edge.end) for edge in edges]
    layout = arrange(
        {name: each.width for name, each in sized.items()}, pairs, [b.name for b in boxes if b.kind == INPUT]
    )
    tops = row_tops(layout, sized)
    left = min((point.x - point.width / 2 for row in layout.rows for point in row), default=0.0) - MARGIN
    right = max((point.x + point.width / 2 for row in layout.rows for point in row), default=0.0) + MARGIN
    height = tops[-1] + 12
    parts = [edge_svg(edge, layout.ways[edge.start, edge.end], tops, sized) for edge in edges]
    parts += [sized[name].svg(point, tops[point.row]) for name, point in layout.boxes.items()]
    parts += [label_svg(edge, layout.ways[edge.start, edge.end], tops, sized) for edge in edges if edge.label]
    parts.append(f'<text class="before" x="{left + MARGIN:.0f}" y="{height - 6:.0f}">{escape(caption)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="engine-graph" role="img" aria-label="graph of the network"'
        f' viewBox="{left:.0f} 0 {right - left:.0f} {height:.0f}" width="{right - left:.0f}" height="{height:.0f}"'
        f' style="max-width: 100%; height: auto; background: #ffffff">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


class Sized:
    """A box with its lines broken and its size known."""

    def __init__(self, box: Box) -> None:
        self.box = box
        count = f"{box.count:,}" if box.count else ""
        longest = max((len(line) for line in (*box.before, *box.lines)), default=0)
        shape_and_count = len(box.shape) + len(count) + 3
        letters = max(longest * TEXT, shape_and_count * TEXT, (len(box.name) + 1) * TITLE * 1.08) * LETTER
        self.width = min(max(NARROWEST, letters + 2 * PAD), WIDEST)
        room = int((self.width - 2 * PAD) / (TEXT * LETTER))
        self.body = [("before", line) for text in box.before for line in broken(text, room)]
        self.body += [("layer", line) for text in box.lines for line in broken(text, room)]
        self.foot = broken(box.shape, room)
        self.count, self.count_apart = count, bool(count) and len(self.foot[-1]) + len(count) + 3 > room
        lines = len(self.body) + len(self.foot) + int(self.count_apart)
        self.height = HEAD + lines * LINE + (10 if self.body else 4) + 6

    def svg(self, point: Point, top: float) -> str:
        """The box with its middle at the point."""
        x, width = point.x - self.width / 2, self.width
        parts = [
            f'<path class="head-{self.box.kind}" d="M{x:.1f} {top + HEAD:.1f} v{6 - HEAD:.1f} q0 -6 6 -6'
            f' h{width - 12:.1f} q6 0 6 6 v{HEAD - 6:.1f} z"/>',
            f'<text class="title" x="{x + PAD:.1f}" y="{top + 16.5:.1f}">{escape(self.box.name)}</text>',
        ]
        y = top + HEAD + 13
        for kind, line in self.body:
            parts.append(f'<text class="{kind}" x="{x + PAD:.1f}" y="{y:.1f}">{escape(line)}</text>')
            y += LINE
        if self.body:
            parts.append(f'<path d="M{x:.1f} {y - 9:.1f} h{width:.1f}" stroke="#e3e8ef" stroke-width="1"/>')
            y += 6
        else:
            y += 1
        for line in self.foot:
            parts.append(f'<text class="shape" x="{x + PAD:.1f}" y="{y:.1f}">{escape(line)}</text>')
            y += LINE
        if self.count:
            y += 0 if self.count_apart else -LINE
            parts.append(f'<text class="count" x="{x + width - PAD:.1f}" y="{y:.1f}">{self.count}</text>')
        frame = f'<rect class="box" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{self.height:.1f}" rx="6"/>'
        edge = frame.replace('class="box"', 'class="box" style="fill: none"')
        return "\n".join(["<g>", frame, *parts, edge, "</g>"])


def broken(text: str, room: int) -> list[str]:
    """A text in lines of at most so many letters, broken at spaces where there are any."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += [word[i : i + room] for i in range(0, len(word), room)]
    return lines or [""]


def row_tops(layout: Layout, sized: dict[str, Sized]) -> list[float]:
    """The top of each row, and at the end the bottom of all."""
    tops = [MARGIN]
    for row in layout.rows:
        tops.append(tops[-1] + max((sized[p.name].height for p in row if p.name), default=0.0) + BETWEEN)
    tops[-1] += 20 - BETWEEN
    return tops


def stops(way: Sequence[Point], tops: Sequence[float], sized: dict[str, Sized]) -> list[tuple[float, float]]:
    """Where an edge leaves, passes and arrives: it goes straight down through the rows between its boxes."""
    start, end = way[0], way[-1]
    found = [(start.x + shift(start, start.below, way[1]), tops[start.row] + sized[start.name].height)]
    for point in way[1:-1]:
        found += [(point.x, tops[point.row]), (point.x, tops[point.row + 1] - BETWEEN)]
    return [*found, (end.x + shift(end, end.above, way[-2]), tops[end.row] - 5)]


def shift(box: Point, neighbours: Sequence[Point], neighbour: Point) -> float:
    """How far from a box's middle the edge to a neighbour starts or ends: side by side in the neighbours' order."""
    sides = sorted(neighbours, key=lambda each: each.x)
    place = next(i for i, each in enumerate(sides) if each is neighbour)
    apart = min(0.64 * box.width / max(len(sides) - 1, 1), 42.0)
    return (place - (len(sides) - 1) / 2) * apart


def edge_svg(edge: Edge, way: Sequence[Point], tops: Sequence[float], sized: dict[str, Sized]) -> str:
    """A smooth line with a tip."""
    points = stops(way, tops, sized)
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    x, y = points[-1]
    title = f"<title>{escape(f'{edge.start} to {edge.end}')}</title>"
    return (
        f'<g>{title}<path class="edge" d="{path}"/>'
        f'<path class="tip" d="M{x - 3.6:.1f} {y - 2:.1f} h7.2 L{x:.1f} {y + 5:.1f} z"/></g>'
    )


def label_svg(edge: Edge, way: Sequence[Point], tops: Sequence[float], sized: dict[str, Sized]) -> str:
    """Which output an edge takes, where it leaves."""
    x, y = stops(way, tops, sized)[0]
    return f'<text class="label" x="{x + 5:.1f}" y="{y + 12:.1f}">{escape(edge.label)}</text>'
