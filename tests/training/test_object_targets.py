"""Targets of objects, pairs and vectors from the files to the metrics: on prepared data, through the loader."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.data.loader import sequential
from engine.errors import SpecError, TrainingError
from engine.graph.network import build_network
from engine.training import checkpoint
from engine.training.logs import read_log
from engine.validation import plan_of

SAMPLES = ["signal", "background"]
TARGETS = [
    "data.targets.side={of: hits, expression: x > 0, classes: {left: 0, right: 1}, valid: y > -1}",
    "data.targets.near={pairs: hits, expression: abs(left.x - right.x) < 0.5}",
    "data.targets.place={expression: {u: event.u, v: event.v}, valid: event.u > 0}",
]
NODES = [
    "model.graph.sides={from: hits, layers: "
    "[dense: {units: 8, activation: tanh}, dense: {units: 2, activation: softmax}]}",
    "model.graph.nears={from: hits, layers: "
    "[pairs, dense: {units: 16, activation: relu}, dense: {units: 1, activation: sigmoid}]}",
    "model.graph.places={from: [pattern, event], layers: [concat, dense: 2]}",
    "model.graph.spread={from: event, layers: [dense: {units: 1, activation: softplus}]}",
]
LOSSES = [
    "training.losses={side: {cross_entropy: {of: sides, target: side, stream: main, weight: weight}}, "
    "near: {binary_cross_entropy: {of: nears, target: near, stream: main, mean: rows}}, "
    "place: {distance: {of: places, target: place, stream: main, mean: present}}, "
    "far: {absolute_error: {of: places, target: place, stream: main, where: label == signal}}, "
    "small: {output: {of: spread, stream: main}}}",
    "training.updates=[{minimize: side + near + 0.1 * place + 0.1 * far + small, optimizer: {adam: {lr: 2e-2}}}]",
    "training.best={metric: validation.near.auc, mode: max}",
    "training.epochs=3",
]
SPEC = [*TARGETS, *NODES, *LOSSES]


@pytest.fixture(scope="module")
def trained(toy: Any) -> Any:
    return toy.train("objects", SPEC)


def expected(toy: Any, summary: Any) -> dict[str, float]:
    """Every loss over all validation rows at once, from what the files hold."""
    _, plan, dataset = toy.load(SPEC)
    network = build_network(plan, 1).eval()
    checkpoint.load_weights(network, summary.last)
    rows = len(dataset.rows(SAMPLES, "validation"))
    (batch,) = sequential(dataset, SAMPLES, "validation", rows)
    names = ["sides.logits", "nears.logits", "places", "spread"]
    with torch.no_grad():
        outputs = {name: value.double() for name, value in network(batch.inputs, batch.masks, names).items()}
    mask, weight = batch.masks["hits"], batch.weights["weight"].double()
    x, y = batch.inputs["hits"][..., 0], 2 * batch.inputs["hits"][..., 1]
    known = mask & (y > -1)
    logits = outputs["sides.logits"]
    side = functional.cross_entropy(logits[known], (x > 0)[known].long(), reduction="none")
    side = side * weight[:, None].expand(known.shape)[known]
    both = mask[:, :, None] & mask[:, None, :]
    near = ((x[:, :, None] - x[:, None, :]).abs() < 0.5).double()
    pairs = functional.binary_cross_entropy_with_logits(outputs["nears.logits"][..., 0], near, reduction="none")
    each = [float(pairs[row][both[row]].mean()) if both[row].any() else 0.0 for row in range(rows)]
    place, there = batch.inputs["event"].double(), batch.inputs["event"][:, 0] > 0
    columns = dataset.read(["target:place"], dataset.rows(SAMPLES, "validation"))["target:place"]
    assert np.isnan(columns[~there.numpy()]).all()
    place = torch.from_numpy(columns).double()
    chosen = there & (batch.targets["label"] == 1)
    difference = outputs["places"] - place
    return {
        "side": float(side.mean()),
        "side.accuracy": float(((logits.argmax(-1) == (x > 0).long()) * weight[:, None])[known].sum()
                               / weight[:, None].expand(known.shape)[known].sum()),
        "near": float(np.mean(each)),
        "near.accuracy": float(((outputs["nears.logits"][..., 0] > 0) == near.bool())[both].double().mean()),
        "place": float(difference.norm(dim=-1)[there].mean()),
        "far": float(difference.abs().mean(-1)[chosen].sum() / rows),
        "small": float(outputs["spread"].mean()),
    }  # fmt: skip


def test_validation_is_exact_over_the_whole_split_whatever_the_batches(toy: Any, trained: Any) -> None:
    wanted = expected(toy, trained)
    for size in (None, 7):
        again = trained if size is None else toy.train("objects-7", [*SPEC, f"training.validation_batch={size}"])
        found = {name: again.last_metrics[f"validation.{name}"] for name in wanted}
        assert found == pytest.approx(wanted, rel=2e-5)


def test_objects_and_pairs_are_learnt(toy: Any, trained: Any) -> None:
    lines = read_log(toy.run("objects").metrics_log)
    assert lines[-1]["validation.side.auc"] > 0.95
    assert lines[-1]["validation.near.auc"] > max(0.6, lines[0]["validation.near.auc"] - 0.05)
    assert lines[-1]["validation.small"] < lines[0]["train.small"]


def test_a_sample_none_of_whose_objects_has_the_target_is_refused(toy: Any) -> None:
    none = "data.targets.side={of: hits, expression: x > 0, classes: {left: 0, right: 1}, valid: y > 100}"
    with pytest.raises(TrainingError, match="no row of the sample signal has a target side, which the loss side needs"):
        toy.train("none", [*SPEC, none])


@pytest.mark.parametrize("condition", ["size > 1e6", "label == signal and label == background"])
def test_a_condition_that_never_holds_is_refused(toy: Any, condition: str) -> None:
    never = f"training.losses.far.absolute_error.where={condition}"
    with pytest.raises(TrainingError, match=r"condition `.*` of the loss far holds for no training row of the stream"):
        toy.train("never", [*SPEC, never])


def test_a_condition_ranks_nothing(toy: Any) -> None:
    with pytest.raises(SpecError, match="`rank` has no objects to run over; write a condition of targets"):
        toy.load([*SPEC, "training.losses.far.absolute_error.where=rank(size) == 0"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.graph.sides.layers.1.dense.units=3", "`sides` has 3 outputs; `side` has 2 classes, so it needs 2"),
        ("model.graph.places.layers.1.dense=3", "`places` has 3 outputs; `place` has 2 components, so it needs 2"),
        ("training.losses.side.cross_entropy.of=class", "`side` has a value for each of the 6 objects of `hits`"),
        ("training.losses.near.binary_cross_entropy.of=sides", "`near` has a value for each pair of the 6 objects of"),
        ("training.losses.small={squared_error: {of: sides, target: size, stream: main}}", "compares one result a row"),
    ],
)
def test_an_output_of_another_shape_is_told(toy: Any, change: str, sentence: str) -> None:
    with pytest.raises(SpecError) as raised:
        plan_of(toy.load([*SPEC, change])[0])
    assert sentence in str(raised.value)
