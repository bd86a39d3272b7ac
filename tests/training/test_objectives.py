"""Losses of rows, objects, pairs and vectors, what is absent left out, against sums written out element by element."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.spec.expressions import parse
from engine.spec.sections import LossSpec
from engine.training.objectives import Objective

B, K = 5, 4
NAN = math.nan


def objective(kind: str, target: str | None = "t", incomplete: bool = True, **options: Any) -> Objective:
    chosen = {"weight": None, "where": None, "mean": None} | {
        key: options.pop(key) for key in ("weight", "where", "mean") if key in options
    }
    if chosen["where"] is not None:
        chosen["where"] = parse(chosen["where"])
    spec = LossSpec("loss", kind, "out", target, "main", options=options, path=(), **chosen)
    return Objective(spec, "out", incomplete, {"light": 0, "b": 1})


def batch(target: Tensor | None = None, **others: Tensor) -> Any:
    targets = {"t": target, **others} if target is not None else others
    weights = {"w": torch.tensor([0.5, 2.0, 1.0, 3.0, 0.1])}
    return SimpleNamespace(targets=targets, weights=weights, rows=np.arange(B))


def of(objective: Objective, output: Tensor, batch: Any, masks: Any = None) -> float:
    value = float(objective.mean({"out": output}, batch, masks))
    values, count = objective.parts({"out": output}, batch, masks)
    assert float(values.sum()) / max(float(count), 1.0) == pytest.approx(value, rel=1e-6), "parts and mean differ"
    return value


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(3).normal(size=shape).astype(np.float32))


def classes(*shape: int, count: int = 3) -> Tensor:
    """Some of them absent."""
    return torch.from_numpy(np.random.default_rng(4).integers(-1, count, shape))


def log_probability(logits: Tensor, chosen: int) -> float:
    values = [float(each) for each in logits]
    return values[chosen] - math.log(sum(math.exp(each) for each in values))


@pytest.mark.parametrize("mean", [None, "present", "rows"])
@pytest.mark.parametrize("weight", [None, "w"])
def test_cross_entropy_of_objects(mean: str | None, weight: str | None) -> None:
    output, target = noise(B, K, 3), classes(B, K)
    target[2] = -1  # a row without any
    data = batch(target)
    rows = []
    for row in range(B):
        factor = float(data.weights["w"][row]) if weight else 1.0
        present = [k for k in range(K) if target[row, k] >= 0]
        rows.append([-factor * log_probability(output[row, k], int(target[row, k])) for k in present])
    expected = (
        sum(sum(row) / len(row) for row in rows if row) / B
        if mean == "rows"
        else sum(map(sum, rows)) / sum(map(len, rows))
    )
    assert of(objective("cross_entropy", mean=mean, weight=weight), output, data) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_binary_cross_entropy_of_pairs(dtype: torch.dtype) -> None:
    output, target = noise(B, K, K, 1), classes(B, K, K, count=2)
    expected = [
        math.log1p(math.exp(-float(o) if t == 1 else float(o)))
        for o, t in zip(output.flatten(), target.flatten(), strict=True)
        if t >= 0
    ]
    given = target if dtype == torch.int64 else target.float().where(target >= 0, NAN)
    assert of(objective("binary_cross_entropy"), output, batch(given)) == pytest.approx(np.mean(expected), rel=1e-5)


ONE = {
    "squared_error": lambda d: d**2,
    "absolute_error": abs,
    "huber": lambda d: 0.5 * d**2 if abs(d) <= 0.7 else 0.7 * (abs(d) - 0.35),
}


@pytest.mark.parametrize("kind", ONE)
@pytest.mark.parametrize("shape", [(B, 3), (B, K, 3)])
def test_errors_of_vectors_are_means_over_the_components(kind: str, shape: tuple[int, ...]) -> None:
    output, target = noise(*shape), 2 * noise(*shape).flip(0)
    target[1, ..., 2] = NAN  # one component lost: the vector is absent
    found = []
    for o, t in zip(output.reshape(-1, 3), target.reshape(-1, 3), strict=True):
        if not t.isnan().any():
            found.append(np.mean([ONE[kind](float(a) - float(b)) for a, b in zip(o, t, strict=True)]))
    rows = len(shape) == 2
    expected = sum(found) / (B if rows else len(found))
    options = {"delta": 0.7} if kind == "huber" else {}
    assert of(objective(kind, **options), output, batch(target)) == pytest.approx(expected, rel=1e-5)
    over_present = of(objective(kind, mean="present", **options), output, batch(target))
    assert over_present == pytest.approx(np.mean(found), rel=1e-5)


def test_distance_is_the_length_of_the_difference_and_flat_where_there_is_none() -> None:
    output, target = noise(B, 3).requires_grad_(), noise(B, 3).flip(0)
    target[3] = output[3].detach()
    target[4] = NAN
    expected = sum(math.dist(output[i].tolist(), target[i].tolist()) for i in range(4)) / B
    loss = objective("distance")
    assert of(loss, output.detach(), batch(target)) == pytest.approx(expected, rel=1e-5)
    loss.mean({"out": output}, batch(target)).backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    assert (output.grad[3:] == 0).all()


def test_what_is_absent_has_no_gradient_whatever_the_network_says_there() -> None:
    output, target = noise(B, K, 3), classes(B, K)
    output[target < 0] = NAN
    output.requires_grad_()
    objective("cross_entropy").mean({"out": output}, batch(target)).backward()
    assert output.grad is not None
    assert (output.grad[target < 0] == 0).all()
    assert output.grad[target >= 0].isfinite().all()


def test_a_batch_without_any_target_has_the_loss_0() -> None:
    output = noise(B, K, 3).requires_grad_()
    loss = objective("cross_entropy").mean({"out": output}, batch(torch.full((B, K), -1)))
    loss.backward()
    assert float(loss.detach()) == 0
    assert output.grad is not None
    assert (output.grad == 0).all()


def test_the_value_of_a_node_itself_is_minimised_over_rows_or_real_objects() -> None:
    loss = objective("output", target=None, weight="w")
    chi2 = noise(B, 1) ** 2
    weights = batch().weights["w"]
    assert of(loss, chi2, batch()) == pytest.approx(float((chi2[:, 0] * weights).mean()), rel=1e-6)
    values, mask = noise(B, K, 2), torch.rand(B, K) > 0.4
    weighted = (values.mean(-1) * weights[:, None])[mask]
    assert of(loss, values, batch(), {"out": mask}) == pytest.approx(float(weighted.mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("flavour == b", [1, 3]),
        ("flavour != light and size > 2", [3, 4]),
        ("flavour in [0, 1]", [0, 1, 3]),
        ("true", 0),
    ],
)
def test_a_loss_counts_where_its_condition_holds(condition: str, rows: Any) -> None:
    output, target = noise(B, 3), noise(B, 3).flip(0)
    flavour, size = torch.tensor([0, 1, -1, 1, 2]), torch.tensor([5.0, 1.0, NAN, 3.0, 4.0])
    rows = rows or list(range(B))
    each = (output - target).abs().mean(-1)
    for mean, count in (("present", len(rows)), ("rows", B)):
        loss = objective("absolute_error", where=condition, mean=mean, incomplete=False)
        found = of(loss, output, batch(target, flavour=flavour, size=size))
        assert found == pytest.approx(float(each[rows].sum()) / count, rel=1e-5)


def test_a_classification_of_objects_is_scored_over_what_is_present() -> None:
    output, target = noise(B, K, 3), classes(B, K)
    probabilities, chosen, weights = objective("cross_entropy", weight="w").scored({"out": output}, batch(target))
    present = target >= 0
    assert torch.equal(chosen, target[present])
    assert torch.allclose(probabilities, output.softmax(-1)[present])
    assert torch.equal(weights, batch().weights["w"][:, None].expand(B, K)[present])
    soft = target.float() / 2
    _, chosen, _ = objective("binary_cross_entropy").scored({"out": noise(B, K, 1)}, batch(soft.where(present, NAN)))
    assert torch.equal(chosen, (soft[present] > 0.5).long())
