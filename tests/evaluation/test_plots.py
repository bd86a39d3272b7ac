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
from engine.evaluation.plots.style import COLOURS
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
