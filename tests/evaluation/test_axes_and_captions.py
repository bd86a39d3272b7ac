"""Axes, legends and captions of figures say what a reader needs: ranges, cuts, units, what is outside or missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.plots.catalogue import PlotContext, draw
from engine.evaluation.plots.histograms import fill
from engine.evaluation.plots.style import log_scale, new_figure


@pytest.mark.parametrize("factor", [1.0, 0.001])
def test_the_axis_of_logits_is_that_of_their_values(factor, tagger):
    logits = factor * np.log(tagger.outputs["jet_class"])
    rows = replace(tagger, outputs={"jet_class.logits": logits + (1 if factor < 1 else 0)})
    options = {"of": "jet_class.logits", "scale": "linear"}
    for value, drawing in enumerate(draw("scores", "scores", options, PlotContext("x", rows))):
        shown, axes = rows.outputs["jet_class.logits"][rows.targets["label"] >= 0, value], drawing.figure.axes[0]
        assert axes.get_xlim() == pytest.approx((shown.min(), shown.max()))
        assert axes.get_xlabel() == f"jet_class.logits: {('qcd', 'signal', 'bib')[value]}"
    (axes, *_) = draw("scores", "scores", {"of": "jet_class"}, PlotContext("x", tagger))[0].figure.axes
    assert axes.get_xlim() == (0, 1)


def test_a_panel_without_rows_is_left_out_and_told(make_rows):
    options = {"of": "jet_class", "target": "is_data", "bins": {"pt": [0, 125, 1e6, "inf"]}}
    rows = make_rows(400)
    short = PlotContext("x", rows, [compute("weighted_ks", "weighted_ks", options, rows)], units={"pt": "GeV"})
    drawing = draw("weighted_ks", "weighted_ks", {}, short)[0]
    assert len(drawing.figure.axes) == 2 * 3
    assert "Not drawn: pt ≥ 1e+06 (there is no simulation row)." in drawing.caption


@pytest.mark.parametrize(
    ("limits", "titles"), [((0.5, 3.0), ["0.5", "1", "2"]), ((0.05, 300.0), ["10^{-1}", "10^{2}"])]
)
def test_ticks_of_a_logarithmic_axis_are_plain_numbers_where_it_is_narrow(limits, titles):
    axes = new_figure().subplots()
    axes.set_ylim(*limits)
    log_scale(axes)
    axes.figure.canvas.draw()
    ticks = [*axes.yaxis.get_ticklabels(), *axes.yaxis.get_ticklabels(minor=True)]
    shown = " ".join(sorted(tick.get_text() for tick in ticks if limits[0] <= tick.get_position()[1] <= limits[1]))
    assert all(title in shown for title in titles)
    assert "times" not in shown


def test_the_cut_stands_in_the_figures_and_beside_the_numbers_that_it_gives(make_rows):
    rows = make_rows(2000)
    options = {
        "of": "track_weight",
        "target": "origin",
        "classes": ["b", "c"],
        "by": "flavour",
        "variables": ["tracks"],
    }
    options |= {"relative": True, "threshold": 0.4}
    chosen = {"efficiency": {"signal": "signal", "threshold": 0.3}, "object_selection": options}
    results = [compute(kind, kind, each, rows) for kind, each in chosen.items()]
    shown = PlotContext("x", rows, results)
    efficiency = draw("efficiency", "efficiency", {}, shown)[0].figure.axes[0]
    assert efficiency.get_legend().get_title().get_text() == "Taken for signal: score > 0.3"
    scores, profile = draw("object_selection", "object_selection", {}, shown)
    assert "selected: > 0.4" in [text.get_text() for text in scores.figure.axes[0].get_legend().get_texts()]
    upper = profile.figure.axes[0]
    assert upper.get_title(loc="right") == "test split, track_weight score > 0.4 of the largest of the row"
    assert upper.get_legend().get_title().get_text() == "Flavour of the row"
    titles = [line.title for result in results for line in result.headlines]
    assert titles[0] == "Efficiency for signal (score > 0.3)"
    assert all(title.endswith("(score > 0.4 of the largest of the row)") for title in titles[1:])


def test_a_histogram_loses_no_row_and_no_weight():
    histogram = fill(np.array([-1.0, 0.0, 0.5, 1.0, 7.0]), np.array([1.0, 2, 3, 4, 5]), np.linspace(0, 1, 3))
    assert histogram.sums.tolist() == [3.0, 12.0]
    assert histogram.errors.tolist() == pytest.approx([5**0.5, 50**0.5])


def test_a_histogram_counts_what_is_outside_and_leaves_it_out_where_that_is_asked_for():
    values, edges = np.array([-1.0, 0.0, 0.5, 1.0, 7.0, 8.0]), np.linspace(0, 1, 3)
    histogram = fill(values, np.ones(6), edges, keep=False)
    assert (histogram.below, histogram.above, histogram.sums.tolist()) == (1, 2, [1.0, 2.0])
    assert histogram.outside == "outside: 1 below, 2 above"
    assert fill(values[1:4], np.ones(3), edges).outside == ""


def test_asymmetries_outside_of_the_panel_are_marked_and_whole_numbers_have_whole_ticks(make_rows):
    rows = make_rows(4000)
    many = replace(rows, columns={**rows.columns, "tracks": np.floor(rows.columns["pt"] / 12)})
    cut = {"cut": "tracks < 16 or jet_class.signal > 0.9", "variables": ["tracks"]}
    drawing = draw(
        "asymmetry", "asymmetry", {}, PlotContext("x", many, [compute("asymmetry", "asymmetry", cut, many)])
    )[0]
    drawing.figure.canvas.draw()
    lower = drawing.figure.axes[1]
    top = lower.get_ylim()[1]
    ratios = compute("asymmetry", "asymmetry", cut, many).parts[0].curves["asymmetry"]
    marks = [line for line in lower.lines if line.get_marker() == "^"]
    assert sum(len(line.get_xdata()) for line in marks) == (ratios > top).sum()
    assert (ratios > top).any() or top > 1
    low, high = lower.get_xlim()
    ticks = [tick for tick in lower.get_xticks() if low <= tick <= high]
    assert len(ticks) > 3
    assert all(float(tick).is_integer() for tick in ticks)


def test_the_captions_of_binomial_tests_say_what_has_no_error_and_what_is_too_small_to_be_drawn(make_rows):
    rows = make_rows(4000)
    for cut, small in (("pt > 100", True), ("jet_class.signal > 0.4", False)):
        result = compute("binomial", "binomial", {"cut": cut, "variables": [{"column": "pt", "bins": 5}]}, rows)
        (drawing,) = draw("binomial", "binomial", {}, PlotContext("x", rows, [result]))
        assert "The points are numbers of rows and have no errors" in drawing.caption
        assert ("Probabilities below 1e-12 are drawn at 1e-12." in drawing.caption) == small
