"""What a schema cannot say: names, classes, weights and limits that fit together."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # collections and selections
        (("of: jets, where", "of: jetz, where"), "there is no collection or selection `jetz`; did you mean `jets`?"),
        (("of: jets, where", "of: good, where"), "the selection `good` is made of itself"),
        (("    good: {of", "    jets: {of"), "`jets` is the name of a collection too; choose another"),
        (("pt: clus_pt,", "pt: 'clus_pt_{i}',"), "the branch name holds `{i}`, so `clusters` needs `slots`"),
        (("owner: clus_jet", "slots: 3"), "`slots` needs fields whose branch names hold `{i}`"),
        (("owner: clus_jet", "exists: a > 1"), "`exists` is for wide tables; it needs `slots`"),
        (("pt: jet_pt", "pt: {branch: a, expression: b}"), "`pt` has a `branch` and an `expression`; keep one of them"),
        (("    jets: {pt", "    matched: {pt"), "`matched` has a meaning of its own in expressions"),
        # rows, samples, columns
        (("background.root, rows: good", "background.root, rows: god"), "there is no collection or selection `god`"),
        (
            ("background.root, rows: good", "background.root, rows: {nearest: good, to: clusters}"),
            "`clusters` has no field `phi`, which the distance to the nearest object is made of",
        ),
        (("files: background.root", "layout: other, files: b"), "there is no layout `other`; known are: `default`"),
        (("label: signal}", "label: signal, weight: event.w}"), "`event` has no field `w`; known are: `number`, `run`"),
        (("label: signal}", "label: signal, weight: constants.m}"), "no sample has the constant `m`"),
        (("label: signal}", "label: signal, weight: matched.pt}"), "rows are matched to nothing with a field `pt`"),
        (("pt: jets.pt}", "pt: pt}"), "there is no name `pt`; did you mean `jets.pt`?"),
        (("pt: jets.pt}", "pt: good.pt}"), "`good` is a selection; write `jets.pt`"),
        (("pt: jets.pt}", "pt: jet.pt}"), "there is no collection `jet`; did you mean `jets`?"),
        (
            ("pt: jets.pt}", "pt: clusters.pt}"),
            "a row has several `clusters`; make one value of them, as in `sum(clust",
        ),
        (
            ("pt: jets.pt}", "pt: sum(jets.pt)}"),
            "`sum(...)` runs over several objects, and a row has one `jets.pt`: rows",
        ),
        (("{pt: {}, eta: {}}}", "{pt: {expression: rank(jets.pt)}}}"), "`rank(...)` runs over several objects, and a"),
        (("pt: jets.pt}", "pt: abs}"), "`abs` is a function; write `abs(...)`"),
        (("by: [run, number]", "by: [run, numbr]"), "there is no column `numbr`; did you mean `number`?"),
        (
            ("by: [run, number]", "by: [run], train: 0, validation: 1, test: 0"),
            "a part of the rows must be there to tr",
        ),
        (("by: [run", "by: [run, run"), "`by` holds the text `run` twice"),
        # inputs
        (("keep: 10, ", ""), "a row has several `clusters`; write `keep`, the largest number of them"),
        (("of: jets, features", "of: jets, order: pt, features"), "`order` is for a list of objects; write `keep` too"),
        (("order: -pt", "order: -e"), "the objects have no field `e`; known are: `eta`, `pt`"),
        (("scale: 1/500", "fraction_of: [pt, ptt]"), "`clusters` has no field `ptt`; did you mean `pt`?"),
        (("{pt: {}, eta: {}}}", "{pt: {}, etta: {}}}"), "`jets` has no field `etta`; did you mean `eta`?"),
        (("scale: 1/500", "clip: [3, 1]"), "the first limit must be below the second, found 3 and 1"),
        (("scale: 1/500", "range: [0, 1]"), "`range` needs limits that are mapped to it: write `clip` or `range_from`"),
        (("scale: 1/500", "clip: [0, inf], range: [0, 1]"), "limits that are mapped to a range must be finite"),
        (("scale: 1/500", "clip: fit, range: [0, 1], scale: 3"), "`scale` and a range both say how values are scaled"),
        (("scale: 1/500", "one_hot: [1, 2/2]"), "`one_hot` names a value twice"),
        (("scale: 1/500", "one_hot: 3, abs: true"), "`abs` would do nothing: `one_hot` compares the value itself"),
        (("scale: 1/500", "one_hot: 3, log1p: true"), "`log1p` would do nothing"),
        (("scale: 1/500", "one_hot: 3, clip: fit"), "`clip` would do nothing"),
        (("scale: 1/500", "one_hot: 3, scale: fit"), "`scale` would do nothing"),
        (("scale: 1/500", "one_hot: 3, offset: 1"), "`offset` would do nothing"),
        (("scale: 1/500", "one_hot: [0, inf]"), "the values of `one_hot` must be numbers that float32 can hold"),
        (("scale: 1/500", "scale: 1/0"), "`scale` must be a number that float32 can hold, found inf"),
        (
            ("pt: clus_pt", "pt: {branch: clus_pt, default: abc}"),
            "in the expression `abc`: `abc` stands where only numb",
        ),
        # training and metrics
        (
            ("minimize: tagging", "minimize: tagging * (1/0)"),
            "`tagging * (1/0)` divides by zero or has a factor that is",
        ),
        (("minimize: tagging", "minimize: tagging / (2 - 2)"), "`tagging / (2 - 2)` divides by zero"),
        (
            ("{adam: {lr: 1e-3}}", "{sgd: {nesterov: true}}"),
            "`nesterov` looks ahead by the momentum; write a `momentum`",
        ),
        (
            ("scale: 1/500", "clip: fitt"),
            "two limits or the word `fit` are expected, found the text `fitt`; did you me",
        ),
        # targets and labels
        (("label: background}", "label: [background, signal]}"), "`background` and `signal` are both classes of `lab"),
        (("{classes: [background, signal]}", "{}"), "`label` needs `classes`, or an `expression` whose value is learn"),
        (("{classes: [background, signal]}", "{classes: {background: 0, signal: 1}}"), "needs the `expression` that h"),
        (("signal]}\n  columns", "signal], expression: jets.pt}\n  columns"), "with an `expression` each class needs"),
        (
            ("  columns:", "    b: {classes: [a, signal]}\n  columns:"),
            "`signal` is a class of `label` too; a label cou",
        ),
        # training
        (("of: output, t", "of: jet, t"), "there is no node `jet`; it is an input, losses compare nodes"),
        (("target: label}", "target: lable}"), "there is no target `lable`; did you mean `label`?"),
        (("target: label}", "target: label, weight: w}"), "there is no weight `w`; known are: `weight`"),
        (("target: label}", "target: label, stream: man}"), "there is no stream `man`; did you mean `main`?"),
        (("batch: 64}", "batch: 64}, b: {samples: [signal]}"), "`tagging` must say on which `stream` it is computed"),
        (("cross_entropy: {", "huber: {"), "`label` has classes; `huber` is for numbers, use `cross_entropy`"),
        (("minimize: tagging", "minimize: log(tagging)"), "losses are combined with + - * / and numbers alone"),
        (("minimize: tagging", "minimize: 3"), "`minimize` must be a text, found the whole number 3"),
        (("minimize: tagging", "minimize: '3'"), "there is no loss in what is to be minimised"),
        (
            ("minimize: tagging", "parameters: [outputt], minimize: tagging"),
            "there is no node `outputt`; did you mean `o",
        ),
        (
            ("minimize: tagging", "parameters: {except: [output, summary]}, minimize: tagging"),
            "all nodes are excepted,",
        ),
        (
            ("losses:", "best: {metric: validation.taging}\n  losses:"),
            "training logs no `validation.taging`; did you me",
        ),
        (
            ("losses:", "best: {metric: train.tagging.auc}\n  losses:"),
            "training logs no `train.tagging.auc`; write `tra",
        ),
        (("losses:", "best: {metric: validation.tagging.auk}\n  losses:"), "did you mean `validation.tagging.auc`?"),
    ],
)
def test_what_does_not_fit_is_told(tell, change: tuple[str, str], message: str) -> None:  # type: ignore[no-untyped-def]
    assert any(message in told for told in tell(change)), tell(change)


@pytest.mark.parametrize(
    "change",
    [
        ("pt: jets.pt}", "pt: jets.pt, n: count(clusters), h: maximum(clusters.pt) / jets.pt}"),
        ("keep: 10", "keep: 10, where: 'pt / jets.pt > 0.1', relative_to: row"),
        ("scale: 1/500", "expression: 'log(pt / sum(pt))', clip: [-5, 0], range: [0, 1]"),
        ("scale: 1/500", "one_hot: 25"),
        ("  columns:", "    energy: {expression: jets.pt}\n  columns:"),
        ("  columns:", "    big: {classes: {low: 0, high: 1}, expression: jets.pt > 100}\n  columns:"),
        ("label: signal}", "label: signal, constants: {m: 125}, weight: 'event.run * constants.m'}"),
        ("losses:", "best: {metric: validation.tagging.auc, mode: max}\n  losses:"),
        ("rows: good, label: signal", "rows: {nearest: good, to: jets, within: 2 * pi}, label: signal"),
        ("    jet: {of: jets", "    others: {of: jets, keep: 5, features: {pt: {}}}\n    jet: {of: jets"),
        ("  columns:", "  weights: {flat: {reweight: pt, bins: [0, 100, inf], to: flat}}\n  columns:"),
    ],
)
def test_what_fits_is_accepted(tell, change: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    assert tell(change) == []


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("{}", "`own` changes nothing: write `expression`, `balance` or `reweight`"),
        ("{balance: labl}", "there is no target `labl`; did you mean `label`?"),
        ("{balance: label, to: sinal}", "there is no class `sinal`; did you mean `signal`?"),
        ("{balance: label, to: flat}", "there is no class `flat`"),
        ("{reweight: pt, bins: [0, 1], to: mean}", "there is no class `mean`"),
        ("{balance: label, of: own}", "the weight `own` starts from itself"),
        ("{balance: label, of: other}", "there is no weight `other`; known are: `own`, `weight`"),
        ("{balance: label, samples: [sign]}", "there is no sample `sign`; did you mean `signal`?"),
        ("{balance: label, bins: [0, 1]}", "`bins` are for `reweight`, which is missing"),
        ("{reweight: pt, to: flat}", "`reweight` needs `bins`: at least two edges of the column"),
        ("{reweight: pt, bins: [0, 1]}", "`reweight` needs `to`: the class whose distribution the others get, or"),
        ("{reweight: ptt, bins: [0, 1], to: flat}", "there is no column `ptt`; did you mean `pt`?"),
        ("{reweight: pt, bins: [0, 2, 1], to: flat}", "the edges of bins must ascend, found 1 after 2"),
    ],
)
def test_weights_that_mean_nothing_are_told(tell, weight: str, message: str) -> None:  # type: ignore[no-untyped-def]
    told = tell(("  split:", f"  weights: {{own: {weight}}}\n  split:"))
    assert any(message in each for each in told), told


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("evaluation: {metrics: [roc: {of: outptu}]}", "there is no node `outptu`; did you mean `output`?"),
        ("evaluation: {metrics: [roc: {target: lbl}]}", "there is no target `lbl`"),
        ("evaluation: {metrics: [roc: {weight: w}]}", "there is no weight `w`; known are: `none`, `weight`"),
        ("evaluation: {metrics: [roc: {per: [pt, q]}]}", "there is no column `q`; known are: `number`, `pt`, `run`"),
        ("evaluation: {metrics: [roc: {per: {pt: [0, 5, 5]}}]}", "the edges of bins must ascend, found 5 after 5"),
        ("evaluation: {metrics: [roc: {factors: {sig: 2}}]}", "there is no class `sig`; did you mean `signal`?"),
        ("evaluation: {metrics: [weighted_ks: {between: [a, signal]}]}", "there is no class `a`"),
        ("evaluation: {plots: [scores: {of: q}]}", "there is no node `q`"),
        ("evaluation: {metrics: [roc: {weight: 1 / ptt}]}", "there is no column or node `ptt`; did you mean `pt`?"),
        ("evaluation: {metrics: [roc: {selection: pt > }]}", "the expression ends too early"),
        ("evaluation: {metrics: [roc: {selection: sum(pt) > 1}]}", "`sum` is for objects; an evaluation knows"),
        ("evaluation: {metrics: [roc: {selection: rank(pt) > 1}]}", "`rank` is for objects; an evaluation knows"),
        ("evaluation: {metrics: [roc: {selection: targets.label.sig}]}", "there is no class `sig`"),
        ("evaluation: {metrics: [roc: {selection: weights.w > 1}]}", "there is no weight `w`"),
        ("evaluation: {metrics: [roc: {selection: outputs.outptu > 1}]}", "there is no node `outptu`"),
        ("evaluation: {metrics: [asymmetry: {variables: [pt]}]}", "`asymmetry` needs `cut`, as in `cut: score > 0.5`"),
        ("evaluation: {metrics: [binomial]}", "`binomial` needs `variables`, as in `variables: [pt]`"),
        ("evaluation: {metrics: [pull: {cut: pt > 1, variables: [p]}]}", "there is no column or node `p`"),
        (
            "evaluation: {metrics: [pull: {cut: pt > 1, variables: [{column: pt, edges: [0, 2, 1]}]}]}",
            "the edges of bins must ascend, found 1 after 2",
        ),
        (
            "evaluation: {metrics: [pull: {cut: pt > 1, variables: [pt], reweight: {of: biass}}]}",
            "there is no column or node `biass`",
        ),
        ("evaluation: {metrics: [discriminant: {fractions: {q: 1}}]}", "there is no class `q`"),
        ("evaluation: {metrics: [discriminant: {scan: {fraction: q}}]}", "there is no class `q`"),
        ("evaluation: {metrics: [object_selection: {target: label}]}", "`object_selection` is for objects"),
        ("evaluation: {metrics: [roc], plots: [pull]}", "the plot `pull` shows a metric that is not listed"),
        ("evaluation: {metrics: [residuals: {covariance: outptu}]}", "there is no node `outptu`"),
        ("export: [onnx: {outputs: [outpt]}]", "there is no node `outpt`; did you mean `output`?"),
        ("export: [onxx]", "there is no exporter `onxx`; did you mean `onnx`?"),
    ],
)
def test_results_of_unknown_things_are_told(tell, results: str, message: str) -> None:  # type: ignore[no-untyped-def]
    told = tell(("model:", f"{results}\nmodel:"))
    assert any(message in each for each in told), told


def test_a_validation_metric_without_validation_rows_is_told(tell) -> None:  # type: ignore[no-untyped-def]
    split = ("by: [run, number]}", "by: [run, number], train: 0.8, validation: 0, test: 0.2}")
    told = tell(split, ("losses:", "best: {metric: validation.tagging}\n  losses:"))
    assert any("`data.split` leaves no rows for validation; write `train.tagging`" in each for each in told), told
    assert tell(split, ("losses:", "best: {metric: train.tagging}\n  losses:")) == []


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("efficiency: {of: energy}", "`efficiency` is for classes, and `energy`, which it would look at, is a number"),
        ("residuals: {of: output}", "`residuals` is for numbers, and `label`, which it would look at, has classes"),
        ("roc: {of: output, target: energy}", "`roc` is for classes"),
    ],
)
def test_a_metric_of_another_kind_of_target_is_told(tell, metric: str, message: str) -> None:  # type: ignore[no-untyped-def]
    told = tell(
        ("model:", f"evaluation: {{metrics: [{metric}]}}\nmodel:"),
        ("  columns:", "    energy: {expression: jets.pt}\n  columns:"),
        ("    output:", "    energy: {from: jet, layers: [dense: 1]}\n    output:"),
        ("target: label}}", "target: label}}, size: {squared_error: {of: energy, target: energy}}"),
        ("minimize: tagging", "minimize: tagging + size"),
    )
    assert [each for each in told if message in each], told
    assert len(told) == 1


def test_reductions_of_objects_that_are_not_the_row_are_right(tell):
    assert tell(("pt: jets.pt}", "pt: sum(clusters.pt / jets.pt)}")) == []
    assert tell(("{pt: {scale: 1/500}, eta", "{pt: {expression: pt / sum(pt * jets.pt)}, eta")) == []


def test_a_class_that_no_stream_of_an_output_has_a_sample_of_is_a_mistake(tell):
    streams = ("samples: [signal, background]", "samples: [signal]")
    (problem,) = tell(streams)
    assert "no sample of the stream `main` has the class `background` of `label`, so `output` cannot learn" in problem
    shared = "a: {samples: [signal], batch: 64}, b: {samples: [background], batch: 64}"
    loss = "{cross_entropy: {of: output, target: label, stream: %s}}"
    assert (
        tell(
            ("{main: {samples: [signal, background], batch: 64}}", f"{{{shared}}}"),
            ("{tagging: {cross_entropy: {of: output, target: label}}}", f"{{one: {loss % 'a'}, two: {loss % 'b'}}}"),
            ("minimize: tagging", "minimize: one + two"),
        )
        == []
    )


def test_a_parameter_that_a_block_does_not_use_is_a_mistake(tell) -> None:  # type: ignore[no-untyped-def]
    graph = "graph: {output: {from: input, layers: [%s]}}"
    block = "blocks:\n  gate: {parameters: {width: integer, act: string}, " + graph + "}\nmodel:"
    assert tell(("model:", block % "dense: {units: 2 * $width, activation: $act}")) == []
    (sentence,) = tell(("model:", block % "dense: $width"))
    assert (
        sentence
        == "small.yaml:20:39: `gate` does not use its parameter `act`; write `$act` where it is meant, or remove it"
    )


def test_the_width_of_the_input_is_told_by_its_name(tell) -> None:  # type: ignore[no-untyped-def]
    (sentence,) = tell(("lstm: 4", "dense: input.features"))
    assert sentence.endswith("the number of features that come in is `input.channels`")
