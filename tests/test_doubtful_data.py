"""What the program says of data that are not what the spec takes them for, or that nothing can be learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from engine.cli import main

SPEC = """\
name: doubtful
data:
  format: parquet
  collections: {event: {number: n, run: run, x: x, y: y, w: w}}
  samples:
    one: {files: one.parquet, rows: event, label: one, weight: event.w}
    two: {files: two.parquet, rows: event, label: two, weight: event.w}
  inputs: {row: {of: event, features: {x: {}, y: {}}}}
  targets: {label: {classes: [one, two]}}
  columns: {number: event.number, run: event.run}
  split: {by: [number], train: 0.6, validation: 0.2, test: 0.2}
  predict: {rows: event}
model: {graph: {out: {from: row, layers: [dense: {units: 2, activation: softmax}]}}}
training:
  epochs: 1
  streams: {main: {samples: [one, two], batch: 32}}
  losses: {tagging: {cross_entropy: {of: out, target: label, weight: weight}}}
  updates: [{minimize: tagging}]
  best: {metric: validation.tagging}
"""
Program = Callable[..., Result]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A command of the program on the spec above, over files that are as they should be."""
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)
    random = np.random.default_rng(1)
    for name in ("one", "two"):
        write(name, x=random.normal(size=200), y=random.normal(size=200))

    def call(command: str, *overrides: str, options: tuple[str, ...] = ()) -> Result:
        arguments = [command, "spec.yaml", *options]
        if command != "validate":
            arguments += ["--workers", "1"]
        if command == "run":
            arguments += ["--device", "cpu"]
        for override in overrides:
            arguments += ["--set", override]
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def write(name: str, **columns: np.ndarray | pa.Array) -> None:
    """A file of one event a value of `x`."""
    rows = len(columns["x"])
    table = {"n": np.arange(rows), "run": np.ones(rows, np.int64), "w": np.ones(rows), **columns}
    pq.write_table(pa.table(table), f"{name}.parquet")


def lists(rows: int) -> pa.Array:
    """Two values an entry."""
    return pa.array([[1.0, 2.0]] * rows)


@pytest.mark.parametrize("command", ["validate", "prepare", "run"])
def test_a_list_where_an_entry_has_one_value_is_a_mistake_of_the_spec(program: Program, command: str) -> None:
    for name in ("one", "two"):
        write(name, x=np.zeros(9), y=lists(9))
    result = program(command)
    assert result.exit_code == 2, result.output
    assert "spec.yaml:4:55: one.parquet: branch 'y' holds a list an entry, but 'n' of the same" in result.output
    assert "(2 files of the samples one, two)" in result.output
    assert not Path("runs").exists()


def test_prediction_refuses_such_a_list_too(program: Program) -> None:
    assert program("run").exit_code == 0
    write("other", x=np.zeros(9), y=lists(9))
    command = ["predict", "runs/doubtful/latest", "other.parquet", "-o", "scored.parquet", "--device", "cpu"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 3, result.output
    assert "other.parquet: branch 'y' holds a list an entry, but 'n' of the same" in result.output


@pytest.mark.parametrize(
    ("override", "code", "sentence"),
    [
        (
            "data.samples.one.files=no.parquet",
            3,
            "--set data.samples.one.files=no.parquet: sample one: no file matches 'no.parquet'",
        ),
        ("data.tree=trees", 2, "--set data.tree=trees: one.parquet: a Parquet file holds one table without a name"),
        ("data.collections.event.x=ex", 2, "--set data.collections.event.x=ex: one.parquet: there is no branch 'ex'"),
    ],
)
def test_files_that_do_not_fit_are_told_once_with_their_place(
    program: Program, override: str, code: int, sentence: str
) -> None:
    result = program("run", override)
    assert result.exit_code == code, result.output
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1, result.output


def test_values_that_are_not_finite_are_counted_and_told(program: Program) -> None:
    x = np.where(np.arange(200) < 7, np.inf, 0.5)
    write("one", x=x, y=np.full(200, np.nan))
    result = program("run")
    assert result.exit_code == 0, result.output
    line = "NaN or infinite, so replaced by `fill`: row.y in 200 of 200 of one, row.x in 7 of 200 of one"
    assert line in result.output.splitlines()
    assert result.output.count("warning: row.y is never finite in one") == 1
    assert "warning: row.x" not in result.output
    one, two = json.loads(Path("prepared/doubtful/manifest.json").read_text())["ledger"]
    assert (one["values"], one["not_finite"]) == ({"row": 200}, {"row.x": 7, "row.y": 200})
    assert (two["values"], two["not_finite"]) == ({"row": 200}, {})
    report = Path("runs/doubtful/latest/report.html").read_text()
    assert "Never finite, so that only `fill` is seen: row.y in one." in report
    assert line in program("prepare").output.splitlines()  # of data that are up to date, too


def test_values_that_only_a_transform_makes_infinite_are_counted_too(program: Program) -> None:
    x = np.where(np.arange(200) < 7, -1.5, 0.5)
    x[7:10] = -1.0
    x[10] = np.nan
    write("one", x=x, y=np.where(np.arange(200) < 3, 1e38, 1.0))
    write("two", x=np.zeros(200), y=np.ones(200))
    settings = "data.inputs.row.features={x: {log1p: true}, y: {scale: 100}}"
    result = program("run", settings)
    assert "replaced by `fill`: row.x in 11 of 200 of one, row.y in 3 of 200 of one" in result.output, result.output
    clipped = "data.inputs.row.features={x: {log1p: true, clip: [-5, 5]}, y: {abs: true, log1p: true, scale: 100}}"
    assert "replaced by `fill`: row.x in 8 of 200 of one\n" in program("run", clipped).output


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.samples.one.weight=0", "the weights (weight) of its rows in the training split sum to 0"),
        ("data.samples.one.weight=-0.5", "the weights (weight) of its rows in the training split sum to -"),
        ("data.samples.one.weight=1e-300", "the weights (weight) of its rows in the training split sum to 0"),
        ("data.selections.few={of: event, where: x > 99}", "there is no row of it in the training split"),
    ],
)
def test_a_class_that_nothing_can_be_learnt_of_ends_before_the_training(
    program: Program, override: str, sentence: str
) -> None:
    rows = ["data.samples.one.rows=few"] if "few" in override else []
    result = program("run", override, "data.on_error=skip", *rows)
    assert result.exit_code == 4, result.output
    assert f"spec.yaml:9:31: the loss tagging has nothing to learn of the class `one` from: {sentence}" in result.output
    assert result.output.count("left out one.parquet") == len(rows)
    assert not list(Path("runs").rglob("metrics.jsonl"))


def test_a_broken_file_is_named_where_its_class_is_what_others_are_balanced_to(program: Program) -> None:
    Path("two.parquet").write_bytes(b"")
    result = program("run", "data.on_error=skip", "data.weights.balanced={balance: label}")
    assert result.exit_code == 3, result.output
    assert "to the sum of weights of two, which is 0 in the training split" in result.output
    assert "left out two.parquet: " in result.output


def test_losses_that_share_the_classes_of_an_output_learn_all_of_them(program: Program) -> None:
    """As those of a discriminator: what is real by one of them, what is not by the other."""
    loss = "{cross_entropy: {of: out, target: label, stream: %s}}"
    result = program(
        "run",
        "training.streams={a: {samples: [one], batch: 32}, b: {samples: [two], batch: 32}}",
        f"training.losses={{real: {loss % 'a'}, other: {loss % 'b'}}}",
        "training.updates=[{minimize: real + other}]",
        "training.best=null",
    )
    assert result.exit_code == 0, result.output


def test_a_split_without_rows_is_named_with_what_decides_it(program: Program) -> None:
    write("one", x=np.zeros(50), y=np.zeros(50))
    write("two", x=np.ones(50), y=np.zeros(50))
    result = program("run", "data.split.by=[run]", "seed=1")
    assert result.exit_code == 4, result.output
    assert "spec.yaml:11:3: best watches validation.tagging, but the validation split has 0 rows" in result.output
    assert "the columns [run] in `data.split.by` decide where a row goes" in result.output
    result = program("run", "data.split.by=[run]", "seed=1", "training.best=null")
    assert result.exit_code == 0, result.output
    assert "warning: nothing will be evaluated: the test split has 0 rows" in result.output


@pytest.mark.parametrize(("weight", "factor"), [("1e-9", "1e+09"), ("1e30", "1e-30")])
def test_weights_far_from_one_are_told_with_the_remedy(program: Program, weight: str, factor: str) -> None:
    weights = [f"data.samples.{name}.weight={weight}" for name in ("one", "two")]
    result = program("run", *weights)
    assert result.exit_code == 0, result.output
    assert f"in `data.weights` write `scaled: {{of: weight, expression: {factor}}}`" in result.output
    remedy = f"data.weights={{scaled: {{of: weight, expression: {factor}}}}}"
    result = program("run", *weights, remedy, "training.losses.tagging.cross_entropy.weight=scaled")
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output


FEW = "  selections: {few: {of: event, where: run > 1000}}\n  inputs: {row"
NO_ROWS = "    three: {files: one.parquet, rows: few}\n  on_error: skip\n  max_lost: 1\n" + FEW
AT_STEP_2 = "at step 2 (epoch 1): tagging = inf, total = inf\nthe inputs are finite;"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"event.w}": "event.w * 0}"}, "17:70: the weights (weight) of the training rows of the stream main sum to 0"),
        ({"label, weight: weight": "label, where: label > 5"}, "17:69: the condition `label > 5` of the loss tagging"),
        (
            {
                "32}}": "32}, no: {samples: [three], batch: 2}}",
                "t: weight}": "t: weight, stream: main}",
                FEW[-14:]: NO_ROWS,
            },
            "20:58: the stream no has no training rows: its samples (three)",
        ),
        (
            {"epochs: 1": "validations_per_epoch: 400"},
            "15:26: `validations_per_epoch` is 400, but an epoch has no more",
        ),
        ({"epochs: 1": "precision: fp16"}, "15:14: training.precision fp16 needs a CUDA device"),
        ({"tagging}]": "tagging, optimizer: {sgd: {lr: 1e38}}}]"}, f"17:12: the loss is not finite {AT_STEP_2}"),
        ({"two.parquet, rows: event": "two.parquet, rows: few", FEW[-14:]: FEW}, "7:18: two.parquet: none of its 200"),
        (
            {"columns:": "weights: {other: {balance: label, expression: 0 / (event.x - event.x)}}\n  columns:"},
            "10:13: weights.other cannot be",
        ),
    ],
)
def test_what_is_told_while_running_names_the_line_of_the_spec(
    program: Program, changes: dict[str, str], told: str
) -> None:
    text = SPEC
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path("spec.yaml").write_text(text)
    result = program("run")
    assert f"spec.yaml:{told}" in result.output, result.output


def test_a_fraction_of_0_is_not_blamed_on_the_columns(program: Program) -> None:
    result = program("run", "data.split={by: [number], train: 0.8, validation: 0.2, test: 0}")
    assert result.exit_code == 0, result.output
    reason = "the test split has 0 rows, as its fraction in `data.split` is 0; write a larger `test`"
    assert f"warning: nothing will be evaluated: {reason}" in result.output


def test_a_split_that_leaves_nothing_to_validate_is_told(program: Program) -> None:
    result = program("run", "data.columns.same=1", "data.split.by=[same]", "training.best=null")
    assert result.exit_code in (0, 4), result.output
    lost = "training rows" if result.exit_code else "nothing will be validated: the validation split has 0 rows"
    assert lost in result.output
    assert "epoch 1: \n" not in result.output


def test_too_little_memory_is_a_sentence(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: object, **__: object) -> None:
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1000006000009 bytes"
        )

    monkeypatch.setattr("engine.training.train.train", allocate)
    result = program("run")
    assert result.exit_code == 4, result.output
    assert "there is not enough memory: 931 GiB were asked for at once; a smaller `batch`" in result.output
