"""`engine evaluate RUN --set evaluation...`: other metrics of a trained run, beside those that it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Engine = Callable[..., Result]


@pytest.fixture(scope="module")
def run(small_run: Callable[..., Path]) -> Path:
    return small_run("again")


def test_another_evaluation_goes_to_its_own_folder_and_leaves_the_run_as_it_is(engine: Engine, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    results = [
        engine("evaluate", run, "--set", f"evaluation.metrics=[{metric}]", *more, "--device", "cpu")
        for metric, more in (("s_over_sqrt_b", ()), ("auc", ("--set", "evaluation.split=validation")))
    ]
    for number, result in enumerate(results, 1):
        assert result.exit_code == 0, result.output
        assert result.output.rstrip().endswith(f"report {run}/evaluations/000{number}/report.html")
    assert "the predictions that the run had were used again" in results[0].output
    documents = [json.loads((run / "evaluations" / f"000{n}" / "metrics.json").read_text()) for n in (1, 2)]
    assert [list(document["metrics"]) for document in documents] == [["s_over_sqrt_b"], ["auc"]]
    assert [document["split"] for document in documents] == ["test", "validation"]
    assert "again/0001/evaluations/0001" in (run / "evaluations" / "0001" / "report.html").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in before}
    added = [path for path in run.rglob("*") if path.is_file() and path not in before]
    assert all((run / "evaluations") in path.parents for path in added)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.epochs=3", "only `evaluation` can be set for a run that is trained"),
        ("evaluation.metrics=[rocc]", "did you mean `roc`?"),
        ("evaluation.metrics=[roc: {of: tak}]", "there is no node `tak`"),
        ("evaluation.metrics=[roc: {of: tag.logit}]", "tag.logit"),
        ("evaluation.metrics=[roc: {selection: z > 0}]", "`z`"),
    ],
)
def test_what_cannot_be_evaluated_is_told_with_its_flag(
    engine: Engine, run: Path, override: str, sentence: str
) -> None:
    known = sorted(run.glob("evaluations/*"))
    result = engine("evaluate", run, "--set", override, "--device", "cpu")
    assert result.exit_code == 2, result.output
    assert result.output.startswith(f"--set {override}: ")
    assert sentence in result.output
    assert sorted(run.glob("evaluations/*")) == known
