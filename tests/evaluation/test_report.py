"""An evaluation writes metrics.json, figures and a report that stands on its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.errors import DataError
from engine.evaluation.choices import chosen_metrics, chosen_plots, column_units, evaluated_outputs
from engine.evaluation.evaluate import evaluate
from engine.evaluation.facts import ReportFacts
from engine.evaluation.history import History
from engine.evaluation.html import escape, table
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.numbers import plain, with_error
from engine.evaluation.report import render_report
from engine.runs import RunDirectory, describe_environment
from engine.spec.load import load_experiment

LEDGER = [
    {"source": "qcd.root", "sample": "qcd", "entries": 10, "rows": 7, "status": "ok", "reason": None, "seconds": 0.1},
    {
        "source": "b<i>b.root",
        "sample": "bib",
        "entries": 0,
        "rows": 0,
        "status": "skipped",
        "reason": "b<i>b.root is truncated",
        "seconds": 0.0,
    },
]
PLOTS = "[scores: {of: jet_class, scale: log}, roc, confusion_matrix, efficiency, history]"


@pytest.fixture(scope="session")
def experiment(repository: Path):
    return load_experiment(repository / "specs/calratio.yaml", [f"evaluation.plots={PLOTS}"])


@pytest.fixture(scope="session")
def facts(experiment) -> ReportFacts:
    return ReportFacts(
        name="calratio",
        run="calratio/0001",
        environment=describe_environment(["engine", "run", "calratio.yaml"], "cpu"),
        rows={"qcd": [700, 40, 41], "bib": [0, 0, 0]},
        ledger=LEDGER,
        nodes=[("jet_class", "clusters", "concat; dense 3 softmax", "3 features", 60067, 0)],
        spec=experiment.document.to_yaml(),
        content="0" * 64,
    )


@pytest.fixture(scope="session")
def evaluated(experiment, facts, make_rows, make_log, tmp_path_factory):
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    make_log(run.metrics_log, 5)
    return evaluate(experiment, {"test": make_rows(3000)}, run, facts), run


def test_every_figure_is_in_the_report_and_on_the_disk(evaluated):
    result, run = evaluated
    page = run.report.read_text(encoding="utf-8")
    assert len(result.figures) == 7
    assert page.count("<img ") == page.count("data:image/png;base64,") == len(result.figures)
    for name, png in result.figures.items():
        assert f'alt="{name}"' in page
        assert png.is_file()
        assert png.with_suffix(".pdf").is_file()


def test_the_report_is_well_formed_and_loads_nothing(evaluated):
    page = evaluated[1].report.read_text(encoding="utf-8")
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert "<script" not in page
    assert "url(" not in page
    assert not re.findall(r'src="(?!data:image/png;base64,)', page)
    anchors = re.findall(r'href="([^"]*)"', page)
    assert anchors
    assert all(anchor.startswith("#") and f'id="{anchor[1:]}"' in page for anchor in anchors)
    assert "http://" not in page
    assert "https://" not in page


def test_the_report_says_where_the_numbers_come_from(evaluated):
    result, run = evaluated
    page = run.report.read_text(encoding="utf-8")
    assert "1 of 2 files gave no rows" in page
    assert "b&lt;i&gt;b.root is truncated" in page
    assert "60,067" in page
    assert "relative_to: leading" in page
    for line in result.headlines.values():
        assert escape(line.title) in page


def test_a_class_without_what_is_measured_gives_no_empty_line(make_rows):
    rows = make_rows(500)  # of light jets, which have no vertex
    options = {"of": "track_weight", "target": "origin", "classes": ["b", "c"], "by": "flavour"}
    for kind, chosen in (("object_selection", options), ("distance", {"of": "vertex.position", "by": "flavour"})):
        result = compute(kind, kind, chosen, rows)
        assert all(line.value is not None for line in result.headlines)
        assert {part.labels["class"] for part in result.parts} >= {"b", "c"}


def test_the_time_of_a_run_is_one_that_people_read():
    page = render_report(ReportFacts("x", environment={"started": "2026-11-30T06:20:11+02:00"}), [], History(), [])
    assert "2026-11-30 04:20 UTC" in page
    assert "soon" in render_report(ReportFacts("x", environment={"started": "soon"}), [], History(), [])


def test_metrics_json_holds_the_headlines_and_every_metric(evaluated, experiment):
    result, run = evaluated
    document = json.loads(run.metrics.read_text())
    assert (document["split"], document["rows"]) == ("test", 3000)
    assert document["metrics"].keys() == {metric.name for metric in chosen_metrics(experiment)}
    assert document["headlines"]["roc.auc_signal_against_qcd"]["value"] == result.values["roc.auc_signal_against_qcd"]
    masses = [part["bin"] for part in document["metrics"]["efficiency"]["parts"] if "bin" in part]
    assert {"mH": 125.0, "mS": 55.0} in masses


def test_an_evaluation_without_rows_says_so_everywhere(experiment, facts, make_rows, tmp_path):
    run = RunDirectory(tmp_path)
    result = evaluate(experiment, {"test": make_rows(0)}, run, facts)
    assert result.values == {}
    reasons = [metric["reason"] for metric in json.loads(run.metrics.read_text())["metrics"].values()]
    assert all("no row of the test split" in reason for reason in reasons)
    assert "roc has no value: no row of the test split" in run.report.read_text()


def test_a_cut_that_no_row_passes_gives_a_sentence_and_no_table_of_zeros(repository, facts, make_rows, tmp_path):
    options = "{cut: jet_class.signal > 2, variables: [pt, mH]}"
    metrics = ", ".join(f"{kind}: {options}" for kind in ("asymmetry", "pull", "binomial"))
    chosen = [f"evaluation.metrics=[{metrics}]", "evaluation.plots=[asymmetry, pull, binomial]"]
    experiment, run = load_experiment(repository / "specs/calratio.yaml", chosen), RunDirectory(tmp_path)
    result = evaluate(experiment, {"test": make_rows(200)}, run, facts)
    page = run.report.read_text(encoding="utf-8")
    assert result.figures == {}
    assert not list(run.plots.iterdir())
    assert "<img" not in page
    assert "Not drawn: asymmetry_pt, asymmetry_mH, pull_pt, pull_mH. No row passes the cut (in the range" in page
    assert "Not drawn: binomial_pt, binomial_mH. No row passes the cut, so that there is nothing to test." in page
    assert [line.label for line in result.headlines.values()] == ["Efficiency of jet_class.signal > 2"] * 3
    assert all(line.value == 0 and line.error > 0 for line in result.headlines.values())


def test_predictions_of_another_split_are_refused(experiment, facts, make_rows, tmp_path):
    with pytest.raises(DataError, match="no predictions of the test split"):
        evaluate(experiment, {"train": make_rows(5)}, RunDirectory(tmp_path), facts)


def test_a_report_of_nothing_is_a_page():
    page = render_report(ReportFacts("a <b> & 'c' \x00"), [], History(), [])
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert "a &lt;b&gt; &amp;" in page


def test_what_is_evaluated_follows_from_the_losses_where_nothing_is_listed(experiment, repository):
    assert experiment.trained_on == {"jet_class": "label", "is_data": "is_data"}
    assert evaluated_outputs(experiment, {}) == ("jet_class", "is_data")
    assert column_units(experiment)["pt"] == "GeV"
    bare = load_experiment(repository / "specs/calratio.yaml", ["evaluation.metrics=null", "evaluation.plots=null"])
    metrics = chosen_metrics(bare)
    names = [metric.name for metric in metrics]
    assert names[:3] == ["roc_jet_class", "accuracy_jet_class", "confusion_matrix_jet_class"]
    assert [plot.kind for plot in chosen_plots(bare, metrics)] == ["scores", "roc", "confusion_matrix", "history"]


def test_a_plot_brings_the_metric_that_it_needs_and_names_are_unique(repository):
    asked = ["evaluation.metrics=[roc, roc, {roc: {name: light}}]", "evaluation.plots=[confusion_matrix]"]
    metrics = chosen_metrics(load_experiment(repository / "specs/calratio.yaml", asked))
    assert [metric.name for metric in metrics] == ["roc", "roc_2", "light", "confusion_matrix"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.94972, 0.00213, "0.9497 ± 0.0021"),
        (28.29, 1.93, "28.3 ± 1.9"),
        (12345.6, 234.0, "12,350 ± 230"),
        (3.2e7, 1e5, "3.2e+07 ± 1e+05"),
        (0.5, None, "0.5"),
        (0.5, 0.0, "0.5"),
        (None, None, "–"),
        (float("nan"), 1.0, "–"),
    ],
)
def test_numbers_have_the_digits_of_their_errors(value, error, text):
    assert with_error(value, error) == text


def test_cells_are_escaped_and_numbers_grouped():
    assert plain(1234567) == "1,234,567"
    assert "<td>&lt;script&gt;</td>" in table(["a"], [["<script>"]])
