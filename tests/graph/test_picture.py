"""The picture of a network: every box is there, none lies on another, edges go down from inputs to outputs."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.graph.layers_table import layer_rows
from engine.graph.layout import GAP, Point, arrange, settle
from engine.graph.picture import Sized, broken, node_box, svg
from engine.graph.plan import Plan, input_types, plan_network
from engine.spec.load import load_experiment

SVG = "{http://www.w3.org/2000/svg}"
SPECS = ["calratio", "smartbkg", "ndive_ftag", "smartbkg/particles/CNN_ResNet_preact"]


def plan_of(repository: Path, name: str) -> Plan:
    experiment = load_experiment(repository / "specs" / f"{name}.yaml")
    return plan_network(experiment.model, input_types(experiment.data), experiment.conventions)


@pytest.mark.parametrize("name", SPECS)
def test_the_picture_shows_every_node_with_its_parameters(repository: Path, name: str) -> None:
    plan = plan_of(repository, name)
    root = ElementTree.fromstring(svg(plan))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for node in plan.nodes.values():
        assert node.name in texts
        assert not sum(node.counts) or f"{sum(node.counts):,}" in texts
    used = {need for node in plan.nodes.values() for need in node.needs}
    assert {name for name in plan.inputs if name in used} <= set(texts)
    assert any(str(text).startswith(f"{sum(plan.counts):,} parameters") for text in texts)


@pytest.mark.parametrize("name", SPECS)
def test_no_box_lies_on_another_and_nothing_is_outside(repository: Path, name: str) -> None:
    root = ElementTree.fromstring(svg(plan_of(repository, name)))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    frames = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if "style" not in rect.attrib
    ]
    assert len(frames) >= 3
    for x, y, w, h in frames:
        assert left <= x <= x + w <= left + width
        assert top <= y <= y + h <= top + height
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(frames, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


GRAPHS = st.integers(1, 14).flatmap(
    lambda count: st.tuples(
        st.lists(st.floats(40, 250), min_size=count, max_size=count),
        st.sets(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1]),
            max_size=30,
        ),
        st.integers(0, count),
    )
)


@settings(max_examples=150, deadline=None)
@given(GRAPHS)
def test_any_graph_can_be_arranged(graph: tuple[list[float], set[tuple[int, int]], int]) -> None:
    widths, pairs, count = graph
    inputs = {str(i) for i in range(count)} - {str(end) for _, end in pairs}
    edges = sorted((str(start), str(end)) for start, end in pairs)
    layout = arrange({str(i): width for i, width in enumerate(widths)}, edges, inputs)
    assert set(layout.boxes) == {str(i) for i in range(len(widths))}
    for start, end in edges:
        way = layout.ways[start, end]
        assert (way[0].name, way[-1].name) == (start, end)
        assert [point.row for point in way] == list(range(way[0].row, way[-1].row + 1))
    for row in layout.rows:
        for left, right in itertools.pairwise(row):
            assert right.x - left.x >= (left.width + right.width) / 2 + GAP - 1e-6


def test_neighbours_settle_as_close_to_their_wishes_as_they_can() -> None:
    """Two that want the same place share it evenly; one that is far off stays where it wants to be."""
    row = [Point("a", 100, 0), Point("b", 60, 0), Point("c", 60, 0)]
    settle(row, [0.0, 0.0, 500.0])
    apart = 80 + GAP
    assert [point.x for point in row] == pytest.approx([-apart / 2, apart / 2, 500.0])


def test_long_lines_are_broken_and_nothing_of_them_is_lost() -> None:
    text = "dense 64, 32, 16 relu averyveryverylongnameofalayerwithoutanyspace"
    lines = broken(text, 20)
    assert max(map(len, lines)) <= 20
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert broken("", 20) == [""]


def test_several_outputs_stand_in_the_box(repository: Path) -> None:
    plan = plan_of(repository, "ndive_ftag")
    box = node_box(plan.nodes["vertex"], "node")
    assert box.shape == "position 3, covariance 9, chi2 1, momenta 3, status 1"
    assert Sized(box).height > 50


def test_the_table_of_layers_adds_up(repository: Path) -> None:
    """The parameters of a node's layers are those of the node, at every depth."""
    for name in SPECS:
        plan = plan_of(repository, name)
        for deep in (False, True):
            rows = layer_rows(plan, deep=deep)
            assert sum(row.trainable for row in rows if row.depth == 0) == plan.counts[0]
            for i, row in enumerate(rows):
                inner = list(itertools.takewhile(lambda each, depth=row.depth: each.depth > depth, rows[i + 1 :]))
                direct = [each for each in inner if each.depth == row.depth + 1]
                if direct:
                    counts = [(each.trainable, each.fixed) for each in direct]
                    assert tuple(map(sum, zip(*counts, strict=True))) == (row.trainable, row.fixed), row
    assert max(row.depth for row in layer_rows(plan_of(repository, "smartbkg"), deep=True)) >= 4
