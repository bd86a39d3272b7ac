"""Dense layers on pairs, computed without the pairs, against the pairs themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.graph.initialise import initialise
from engine.graph.modules import pair_layers
from engine.graph.modules.dense import Dense
from engine.graph.modules.merging import Pairs
from engine.graph.modules.pair_layers import PairLayers, merged
from engine.graph.modules.values import Values

OBJECTS, FEATURES = 6, 5


def _values(counts: list[int], rows: int, *, masked: bool) -> Values:
    torch.manual_seed(3)
    x = torch.randn(len(counts), OBJECTS, FEATURES, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(OBJECTS) < torch.tensor(counts)[:, None]
    row = torch.randn(len(counts), 3, dtype=torch.float64, requires_grad=True)
    return [(x, mask if masked else None), *[(row, None)] * rows]


def _modules(rows: int) -> tuple[Pairs, list[Dense]]:
    layers = [
        Dense(2 * FEATURES + 3 * rows, [7, 4], "relu", 0.0, 0.0, "he_normal", "normal"),
        Dense(4, [2], "sigmoid", 0.0, 0.0, "he_normal", "normal"),
    ]
    for layer in layers:
        initialise(layer.double(), 1)
    return Pairs("concat", rows), layers


def _apart(pairs: Pairs, layers: list[Dense], values: Values) -> Tensor:
    made = pairs(values)
    for layer in layers:
        made = layer(made)
    result: Tensor = made[0][0]
    return result


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("real_only", [False, True])
def test_values_and_gradients_are_those_of_the_modules_one_after_the_other(
    rows: int, masked: bool, real_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_layers, "runs_as_written", lambda x: real_only)
    values = _values([6, 0, 3, 1], rows, masked=masked)
    pairs, layers = _modules(rows)
    together, mask = PairLayers(pairs, layers)(values)[0]
    apart = _apart(pairs, layers, values)
    real = torch.ones(apart.shape[:-1], dtype=torch.bool) if mask is None else mask
    assert (mask is not None) == masked
    torch.testing.assert_close(together[real], apart[real])
    assert (together[~real] == 0.5).all()  # 0 before the sigmoid
    leaves = [values[0][0], *[x for x, _ in values[1:]], *(each for layer in layers for each in layer.parameters())]
    weight = torch.randn_like(apart) * real.unsqueeze(-1)
    ours = torch.autograd.grad((together * weight).sum(), leaves)
    theirs = torch.autograd.grad((apart * weight).sum(), leaves)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_batch_without_any_object_gives_no_error() -> None:
    values = _values([0, 0], 1, masked=True)
    pairs, layers = _modules(1)
    made, _ = PairLayers(pairs, layers)(values)[0]
    made.sum().backward()
    assert (made == 0.5).all()
    gradient = values[0][0].grad
    assert gradient is not None
    assert not gradient.any()


def test_only_pairs_side_by_side_with_dense_layers_are_taken_together() -> None:
    pairs, layers = _modules(0)
    other = nn.Identity()
    steps = merged([other, pairs, *layers, other])
    assert [type(step) for step in steps] == [nn.Identity, PairLayers, nn.Identity]
    added = Pairs("add", 0)
    assert merged([added, layers[1]]) == (added, layers[1])
    assert merged([pairs, other]) == (pairs, other)
