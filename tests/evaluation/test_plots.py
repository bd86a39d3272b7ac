"""Every plot is drawn without a warning, from many rows and from next to none, and shows what was computed."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from engine.evaluation.history import History, best_epoch, read_history
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.plots.catalogue import PLOTS, PlotContext, draw
from engine.evaluation.plots.histograms import fill
from engine.evaluation.plots.style import COLOURS, log_scale, new_figure
from engine.evaluation.predictions import Predictions

CUT = "jet_class.signal > 0.4"
LENGTH = {"column": "length", "edges": [0, 1, 2, 4, 8, 16, 32], "unit": "mm", "title": "Decay length"}
METRICS = {
    "roc": ("roc", {"signal": "signal", "per": ["mH", "mS"]}),
    "roc_pt": ("roc", {"signal": "signal", "per": {"pt": ["-inf", 100, "inf"]}}),
    "confusion_matrix": ("confusion_matrix", {}),
    "sums": ("confusion_matrix", {"normalise": "none"}),
    "weighted_ks": ("weighted_ks", {"of": "jet_class", "target": "is_data", "bins": {"pt": [0, 125, "inf"]}}),
    "s_over_sqrt_b": ("s_over_sqrt_b", {"signal": "signal"}),
    "efficiency": ("efficiency", {"signal": "signal", "per": ["mH", "mS"]}),
    "efficiency_pt": ("efficiency", {"signal": "signal", "per": {"pt": ["-inf", 100, "inf"]}}),
    "residuals": ("residuals", {}),
    "vertex": ("residuals", {"of": "vertex.position", "covariance": "vertex.covariance", "beyond": [1]}),
    "precision_recall": ("precision_recall", {"of": "jet_class", "signal": "signal"}),
    "discriminant": ("discriminant", {"signal": "signal", "fractions": {"qcd": 0.9}, "scan": {"fraction": "qcd"}}),
    "distance": ("distance", {"of": "vertex.position", "by": "flavour", "variables": ["tracks", LENGTH]}),
    "object_selection": (
        "object_selection",
        {"of": "track_weight", "target": "origin", "classes": ["b", "c"], "by": "flavour", "variables": ["tracks"]},
    ),
    "asymmetry": ("asymmetry", {"cut": CUT, "variables": [{"column": "pt", "range": [40, 400]}, "tracks"]}),
    "pull": ("pull", {"cut": CUT, "reweight": {"of": "is_data"}, "variables": ["pt"]}),
    "binomial": ("binomial", {"cut": CUT, "variables": [{"column": "pt", "bins": 20, "log": True}, "tracks"]}),
    "importance_sampling": (
        "importance_sampling",
        {
            "probability": "jet_class.signal",
            "minimum": 0.05,
            "target": "label",
            "signal": "signal",
            "variables": ["pt"],
        },
    ),
}


def context(predictions: Predictions, **more) -> PlotContext:
    results = [compute(kind, name, options, predictions) for name, (kind, options) in METRICS.items()]
    return PlotContext("calratio", predictions, results, units={"pt": "GeV"}, **more)


def without_class(predictions: Predictions, target: str, index: int) -> Predictions:
    labels = np.where(predictions.targets[target] == index, -1, predictions.targets[target])
    return replace(predictions, targets={**predictions.targets, target: labels})


@pytest.fixture(scope="session")
def full(tagger, tmp_path_factory, make_log):
    log = make_log(tmp_path_factory.mktemp("log") / "metrics.jsonl", 20)
    return context(tagger, history=read_history(log, ("confusion", "tagging - 10 * confusion"), 17))


@pytest.mark.parametrize("kind", sorted(PLOTS))
def test_a_plot_is_written_as_png_and_pdf_without_warnings(kind, full, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        drawings = draw(kind, kind, {"scale": "log"} if kind == "scores" else {}, full)
        for drawing in drawings[: {"weighted_ks": 1, "scores": 2}.get(kind, 4)]:
            png = drawing.save(tmp_path)
            assert png.read_bytes().startswith(b"\x89PNG")
            assert png.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
            assert drawing.caption.endswith(".")
    assert not caplog.records
    assert len({drawing.name for drawing in drawings}) == len(drawings)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("kind", sorted(PLOTS))
def test_a_plot_of_next_to_no_rows_is_drawn_or_says_why_not(kind, rows, make_rows):
    drawings = draw(kind, kind, {"scale": "linear"} if kind == "scores" else {}, context(make_rows(rows)))
    assert all(drawing.caption.endswith(".") for drawing in drawings)
    for drawing in drawings if rows else ():
        if drawing.figure is not None:
            drawing.figure.canvas.draw()
    if rows == 0:
        assert all(drawing.figure is None for drawing in drawings)


@pytest.mark.parametrize(("target", "index"), [("label", 1), ("is_data", 1)])
def test_plots_without_one_of_the_classes(target, index, make_rows):
    short = context(without_class(make_rows(400), target, index))
    for kind in PLOTS:
        options = {"of": "jet_class", "target": target, "scale": "log"} if kind == "scores" else {}
        for drawing in draw(kind, kind, options, short)[:1]:
            if drawing.figure is not None:
                drawing.figure.canvas.draw()


@pytest.mark.slow
def test_equal_scores_and_one_weight_of_zero_can_be_drawn(make_rows):
    rows = make_rows(50)
    flat = replace(
        rows,
        outputs={name: np.full_like(values, 1 / 3) for name, values in rows.outputs.items()},
        weights={name: values * (np.arange(50) > 0) for name, values in rows.weights.items()},
    )
    for kind in PLOTS:
        for drawing in draw(kind, kind, {"scale": "both"} if kind == "scores" else {}, context(flat))[:2]:
            if drawing.figure is not None:
                drawing.figure.canvas.draw()


def test_legends_do_not_cover_the_data(full):
    for drawing in draw("scores", "scores", {"scale": "linear", "of": "jet_class"}, full):
        drawing.figure.canvas.draw()
        axes = drawing.figure.axes[0]
        lowest = axes.get_legend().get_window_extent().transformed(axes.transData.inverted()).y0
        assert lowest > max(patch.get_data().values.max() for patch in axes.patches)


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


def test_a_logarithmic_axis_holds_the_errors_and_gives_the_legend_one_line(full):
    drawings = draw("scores", "scores", {"scale": "log", "of": "jet_class"}, full)
    for drawing in [*drawings, draw("object_selection", "object_selection", {}, full)[0]]:
        drawing.figure.canvas.draw()
        axes = drawing.figure.axes[0]
        low, high = axes.get_ylim()
        tops = [patch.get_data().values.max() for patch in axes.patches]
        assert high > max(tops)
        assert np.log(max(tops) / low) > 0.75 * np.log(high / low), "no more room than a line of text needs"
        box = axes.get_legend().get_window_extent()
        assert box.height < 0.1 * axes.get_window_extent().height
        assert box.x0 > axes.get_window_extent().x0


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


def test_the_control_region_has_a_ratio_panel_and_the_trained_target_has_not(full):
    assert [len(d.figure.axes) for d in draw("scores", "s", {"of": "jet_class", "scale": "log"}, full)] == [1, 1, 1]
    control = draw("scores", "s", {"of": "jet_class", "target": "is_data", "scale": "log"}, full)
    assert [len(drawing.figure.axes) for drawing in control] == [2, 2, 2]
    assert control[0].figure.axes[1].get_ylabel() == "data /\nsimulation"


@pytest.mark.parametrize("kind", ["roc", "discriminant"])
def test_where_no_background_passes_an_arrow_stands_at_the_limit(kind, make_rows):
    rows = make_rows(400)
    truth = rows.targets["label"]
    sure = np.where((truth == 1) & (np.arange(400) % 4 > 0), 0.999, 0.2)  # three of four
    scores = np.stack([(1 - sure) / 2, sure, (1 - sure) / 2], axis=1).astype(np.float32)
    clear = context(replace(rows, outputs={**rows.outputs, "jet_class": scores}))
    drawing = next(d for d in draw(kind, kind, {}, clear) if d.name in ("roc_signal", "discriminant"))
    part = next(p for r in clear.results if r.name == kind for p in r.parts if p.labels["group"] == "all")
    arrows = [s.get_segments() for s in drawing.figure.axes[0].collections if hasattr(s, "get_segments")]
    heights = {float(segment[0, 1]) for found in arrows for segment in found}
    assert part.values["rejection_limit"] in heights
    assert drawing.caption.endswith("Arrows: lower limits (95 % CL) where no background row passes.")


def test_axes_carry_units_and_row_counts(full):
    drawing = next(d for d in draw("efficiency", "efficiency", {}, full) if d.name == "efficiency_pt")
    assert drawing.figure.axes[0].get_xlabel() == r"$p_\mathrm{T}$ [GeV]"
    scores = draw("scores", "scores", {"of": "jet_class", "scale": "log"}, full)[0]
    texts = [text.get_text() for text in scores.figure.axes[0].get_legend().get_texts()]
    label = full.predictions.targets["label"]
    assert texts == [f"{name} ({(label == i).sum():,})" for i, name in enumerate(("qcd", "signal", "bib"))]


def test_the_cut_stands_in_the_figures_and_beside_the_numbers_that_it_gives(make_rows):
    rows = make_rows(2000)
    options = METRICS["object_selection"][1] | {"relative": True, "threshold": 0.4}
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


@pytest.mark.parametrize("name", ["vertex", "vertex_pulls"])
def test_rows_outside_of_the_axes_of_residuals_and_pulls_are_counted_and_not_piled_up(name, full):
    drawing = next(each for each in draw("residuals", "residuals", {}, far_vertices(full)) if each.name == name)
    axes = drawing.figure.axes[0]
    (text,) = [t.get_text() for t in axes.get_legend().get_texts() if "outside: " in t.get_text()]
    below, above = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) below, ([\d,]+) above", text)[0])
    assert above >= 100 > below
    contents = axes.patches[0].get_data().values
    assert contents[-1] < 0.2 * contents.max()


def far_vertices(full: PlotContext) -> PlotContext:
    """The same, with a hundred vertices far off in x."""
    rows = full.predictions
    place = rows.outputs["vertex.position"].copy()
    place[np.flatnonzero(np.isfinite(rows.targets["vertex"][:, 0]))[:100], 0] += 500
    moved = replace(rows, outputs={**rows.outputs, "vertex.position": place})
    return PlotContext("x", moved, [compute("residuals", "vertex", METRICS["vertex"][1], moved)])


def test_the_first_colours_differ_in_brightness_for_readers_who_see_none():
    grey = [sum(f * int(c[i : i + 2], 16) for f, i in ((0.299, 1), (0.587, 3), (0.114, 5))) for c in COLOURS[:3]]
    assert min(abs(a - b) for i, a in enumerate(grey) for b in grey[:i]) > 40


def test_history_takes_epochs_alone_and_survives_a_torn_line(training_log):
    history = read_history(training_log, ("a", "b"))
    assert (history.epochs, history.steps) == (20, 200)
    assert set(history.quantities["tagging"]) == {"train", "validation"}
    assert history.learning_rates["b"][1] == pytest.approx(7.2e-4)
    assert "lr.1" not in history.quantities
    assert max(history.curves["train.tagging"].values()) < 2
    losses = history.curves["validation.tagging"]
    assert losses[best_epoch(history, "validation.tagging")] == min(losses.values())
    assert best_epoch(history, "validation.tagging.auc", "max") == 20
    assert best_epoch(history, "validation.nothing") is None


def test_the_history_begins_before_its_first_validation(make_rows):
    history = History({"train.loss": {0.25: 3.0, 0.5: 2.0, 1.0: 1.0}, "validation.loss": {0.25: 3.0, 0.5: 2.5}})
    figure = draw("history", "history", {}, PlotContext("x", make_rows(0), history=history))[0].figure
    assert figure.axes[0].get_xlim()[0] < 0.25


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


def test_no_figure_of_an_earlier_evaluation_stays_where_there_is_nothing_to_draw(tmp_path, make_rows):
    for rows in (50, 0):
        drawing = draw("confusion_matrix", "confusion_matrix", {}, context(make_rows(rows)))[0]
        saved = drawing.save(tmp_path)
        assert (saved is None) == (rows == 0)
        assert len(list(tmp_path.iterdir())) == (2 if rows else 0)


def test_no_log_and_one_epoch_are_no_problem(tmp_path, make_rows, make_log):
    assert read_history(tmp_path / "absent.jsonl").epochs == 0
    one = read_history(make_log(tmp_path / "one.jsonl", 1))
    drawing = draw("history", "history", {}, PlotContext("x", make_rows(0), history=one))[0]
    drawing.figure.canvas.draw()
