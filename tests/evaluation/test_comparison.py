"""Runs and repeated runs side by side: means, spreads and ratios with their errors, curves with bands."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from engine.cli import main
from engine.errors import UsageError
from engine.evaluation.comparison import compare
from engine.evaluation.contenders import Average, contenders, labels_of, of_runs
from engine.evaluation.evaluate import headline_names, metrics_document
from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.numbers import with_error
from engine.evaluation.predictions import Predictions
from engine.evaluation.repeats import summarise_repeats, summary_lines

METRICS = {
    "roc": {"of": "jet_class", "signal": "signal", "backgrounds": ["qcd"]},
    "auc": {"of": "jet_class", "signal": "signal", "backgrounds": ["qcd"], "weight": "control"},
    "discriminant": {"signal": "signal", "working_points": [0.7]},
    "distance": {"of": "vertex.position", "variables": [{"column": "length", "edges": [0, 2, 5, 40], "unit": "mm"}]},
}


def evaluated(path: Path, rows: Predictions, content: str = "a") -> Path:
    """A run directory as far as a comparison looks at it."""
    path.mkdir(parents=True)
    results = [compute(kind, kind, options, rows) for kind, options in METRICS.items()]
    (path / "metrics.json").write_text(json.dumps(metrics_document(rows, results, headline_names(results))))
    (path / "contract.json").write_text(json.dumps({"content": content}))
    (path / "spec.yaml").write_text("name: x\n")
    return path


def group_of(path: Path, runs: list[Predictions]) -> Path:
    for number, rows in enumerate(runs, 1):
        evaluated(path / str(number), rows)
    (path / "repeat.json").write_text(json.dumps({"name": "x", "seeds": {str(n): n for n in range(1, len(runs) + 1)}}))
    return path


def better(rows: Predictions, power: float) -> Predictions:
    """The same rows, scored by a network whose outputs are closer to the truth."""
    scores = rows.outputs["jet_class"] * (1 + power * np.eye(3)[np.maximum(rows.targets["label"], 0)])
    return replace(rows, outputs={**rows.outputs, "jet_class": scores / scores.sum(axis=1, keepdims=True)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_rows) -> Path:
    path = tmp_path_factory.mktemp("runs")
    rows = make_rows(4000)
    group_of(path / "old" / "0001-repeat", [better(rows, power) for power in (0.0, 0.02, 0.05)])
    group_of(path / "new" / "0001-repeat", [better(rows, power) for power in (0.9, 1.0, 1.1, 1.3)])
    evaluated(path / "single" / "0001", better(rows, 0.5))
    evaluated(path / "single" / "0002", better(rows, 0.4), content="b")
    return path


@pytest.fixture(scope="module")
def compared(folder) -> tuple[Path, dict]:
    report = compare([folder / "old/0001-repeat", folder / "new/0001-repeat", folder / "single/0001"], folder / "out")
    return report, json.loads((folder / "out/comparison.json").read_text())


def test_means_spreads_and_ratios_are_those_of_the_runs(folder, compared):
    line = compared[1]["headlines"]["roc.auc_signal_against_qcd"]["contenders"]
    for entry, name in ((line[0], "old"), (line[1], "new")):
        files = sorted((folder / name / "0001-repeat").glob("*/metrics.json"))
        values = [json.loads(f.read_text())["headlines"]["roc.auc_signal_against_qcd"]["value"] for f in files]
        assert entry["mean"] == pytest.approx(np.mean(values))
        assert entry["spread"] == pytest.approx(np.std(values, ddof=1))
        assert entry["error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))
    assert line[0]["ratio"] == pytest.approx(1)
    assert line[1]["ratio"] == pytest.approx(line[1]["mean"] / line[0]["mean"])
    relative = math.hypot(line[1]["error"] / line[1]["mean"], line[0]["error"] / line[0]["mean"])
    assert line[1]["ratio_error"] == pytest.approx(line[1]["ratio"] * relative)
    assert line[2]["spread"] is None
    assert line[2]["error"] > 0


def test_the_page_stands_on_its_own_and_shows_curves_of_all(compared):
    report, _ = compared
    text = report.read_text(encoding="utf-8")
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert text.count("data:image/png;base64,") == len(list((report.parent / "plots").glob("*.png"))) == 4
    assert len(list((report.parent / "plots").glob("*.pdf"))) == 4
    assert "Ratios are to old" in text
    assert "Every run of new" in text
    assert "Rejection at 70 % efficiency, signal against qcd" in text


def test_repeated_runs_are_summarised_in_their_group(folder):
    group = folder / "new" / "0001-repeat"
    _, report = summarise_repeats(group, [group / str(number) for number in (1, 2, 4)])
    assert report == group / "report.html"
    text = report.read_text(encoding="utf-8")
    assert "new: 3 runs" in text
    assert "each run over the mean" in text
    assert len(json.loads((group / "comparison.json").read_text())["headlines"]) > 5


def test_the_console_tells_the_error_of_the_mean_as_the_report_does(folder):
    group = folder / "new" / "0001-repeat"
    lines, report = summarise_repeats(group, sorted(group.glob("[0-9]")))
    headlines = json.loads((group / "comparison.json").read_text())["headlines"]
    text = report.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for line, headline in zip(lines, headlines.values(), strict=True):
        (entry,) = headline["contenders"]
        count = len(entry["values"])
        shown = with_error(entry["mean"], entry["spread"] / math.sqrt(count))
        counted = "4 runs" if count == 4 else f"the {count} of 4 runs that have a value"
        spread = f"mean of {counted}; standard deviation {entry['spread']:.2g}; "
        assert line.startswith(f"{headline['label']}: {shown} ({spread}")
        assert f">{shown}{'' if count == 4 else f' ({count} of 4 runs)'}<" in text


def test_runs_in_which_nothing_passes_are_left_out_of_the_mean_and_told(tmp_path):
    def run(number: int, **line: object) -> Path:
        path = tmp_path / str(number)
        path.mkdir()
        document = {"split": "test", "rows": 9, "metrics": {}, "headlines": {"r": {"label": "Rejection", **line}}}
        (path / "metrics.json").write_text(json.dumps(document))
        return path

    limits = [run(number, value=None, error=None, lower_limit=limit) for number, limit in ((1, 40.0), (2, 33.5))]
    known = [run(number, value=value, error=3.0) for number, value in ((3, 50.0), (4, 54.0))]
    told = [summary_lines(of_runs(tmp_path, runs, "x")) for runs in (limits, known[:1], [*limits, *known])]
    assert told[0] == ["Rejection: > 33.5 (95 % CL)"]
    assert told[1] == ["Rejection: 50.0 ± 3.0"]
    assert told[2][0].startswith(
        "Rejection: 52.0 ± 2.0 (mean of the 2 of 4 runs that have a value; standard deviation 2"
    )


def test_different_numbers_have_different_labels(folder, compared):
    headlines = compared[1]["headlines"]
    labels = {name: line["label"] for name, line in headlines.items()}
    cut_on_score, cut_on_discriminant = (
        next(label for name, label in labels.items() if re.match(f"{kind}.*70.*qcd", name))
        for kind in ("roc", "discriminant")
    )
    assert cut_on_score == "Rejection at 70 % efficiency, signal against qcd"
    assert cut_on_discriminant == "Rejection by the discriminant at 70 % efficiency, signal against qcd"
    areas = [labels[f"{kind}.auc_signal_against_qcd"] for kind in ("roc", "auc")]
    assert areas == ["AUC, signal against qcd (roc)", "AUC, signal against qcd (auc)"]
    text = compared[0].read_text(encoding="utf-8")
    assert len(set(labels.values())) == len(labels)
    assert all(f">{label}<" in text for label in labels.values())
    group = folder / "new" / "0001-repeat"
    lines = summary_lines(of_runs(group, sorted(group.glob("[0-9]")), "new"))
    assert [line.partition(": ")[0] for line in lines] == list(labels.values())


def test_runs_on_other_data_are_told_apart(folder, tmp_path):
    found = contenders([folder / "single/0001", folder / "single/0002"])
    assert [each.label for each in found] == ["single/0001", "single/0002"]
    text = compare([folder / "single/0001", folder / "single/0002"], tmp_path / "out").read_text()
    assert "single/0002 and single/0001 were evaluated on different prepared data." in text


def test_what_cannot_be_compared_is_told(folder, tmp_path, make_rows):
    with pytest.raises(UsageError, match="is no run and no group of runs"):
        contenders([tmp_path])
    (tmp_path / "spec.yaml").write_text("name: x\n")
    with pytest.raises(UsageError, match="was not evaluated yet; `engine evaluate"):
        contenders([tmp_path])
    other = evaluated(tmp_path / "y" / "1", make_rows(300, which="validation"))
    with pytest.raises(UsageError, match="only evaluations of one split can be compared"):
        contenders([folder / "single/0001", other])
    result = CliRunner().invoke(main, ["compare", str(tmp_path / "absent"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "is no run" in result.output


def test_the_command_writes_the_report(folder, tmp_path):
    result = CliRunner().invoke(main, ["compare", str(folder / "single/0001"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/report.html").is_file()


def test_a_ratio_to_nothing_has_no_value():
    assert Average((1.0, 2.0)).over(Average((0.0,))) is None
    assert Average((1.0,)).over(Average((2.0,), 0.1)) == (0.5, None)
    assert Average((0.03,), 0.01).over(Average((0.001,), 0.01)) is None, "a mean residual, compatible with 0"
    assert labels_of([Path("a/1"), Path("b/1")]) == ["a", "b"]
