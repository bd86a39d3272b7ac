"""Training without padding gives what training with it gives, and happens nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.graph import packing
from engine.graph.modules.dense import Dense
from engine.graph.network import Network
from engine.graph.packing import Packing
from engine.graph.shelves import Shelves
from engine.graph.types import TensorType

MakeNetwork = Callable[..., Network]

MANY_LAYERS = """
graph:
  near: {from: [objects, {broadcast: row}], layers: [concat, batch_norm, dense: {units: [8, 8], activation: relu}]}
  seen:
    from: near
    layers: [attention: {heads: 2}, layer_norm, share: {name: twice, layers: [dense: {units: 8, activation: tanh}]}]
  again: {from: {from: others, layers: [dense: 8]}, layers: [share: twice]}
  sum: {from: [near, seen, again], layers: [add, activation: softmax, expression: 3 * x + 1]}
  along:
    from: sum
    layers:
      - activation: {function: softmax, along: objects}
      - einsum: {equation: "nf, fg -> ng", parameters: [w], sizes: {g: 5}}
      - dense: 4
  asked: {from: {query: near, keys: others}, layers: [attention: {heads: 1}, gradient_reversal]}
  paired: {from: [sum, {broadcast: row}], layers: [pairs, dense: {units: [6, 1], activation: sigmoid}]}
  free: {from: [seen, {broadcast: pool}], layers: [multiply]}
  pool: {from: [along, asked], layers: [concat, softmax_pool, dense: 8]}
  scores:
    from: free
    layers: [parallel: {times: 2, layers: [dense: 2]}, concat, dense: {units: 3, activation: softmax}]
"""
OUTPUTS = ["scores.logits", "pool", "paired.logits", "along", "scores"]
INPUTS = {
    "objects": TensorType((7, 6), masked=True),
    "others": TensorType((7, 4), masked=True),
    "row": TensorType((5,)),
}
COUNTS = [7, 0, 1, 3, 2, 0, 4]


def batch(counts: list[int], others: list[int] | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rows with these numbers of real objects; the padding of inputs is 0, as in a batch of the loader."""
    generator = torch.Generator().manual_seed(1)
    inputs = {name: torch.randn(len(counts), *value.shape, generator=generator) for name, value in INPUTS.items()}
    masks = {
        "objects": torch.arange(7) < torch.tensor(counts)[:, None],
        "others": torch.arange(7) < torch.tensor(others or counts)[:, None],
    }
    return {name: x * masks[name].unsqueeze(2) if name in masks else x for name, x in inputs.items()}, masks


def trained(network: Network, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a training step computes of what is real: outputs, gradients, running statistics."""
    values = network.train().compute({name: (x, masks.get(name)) for name, x in inputs.items()}, OUTPUTS)
    real = {name: x if mask is None else x[mask] for name, (x, mask) in values.items()}
    network.zero_grad()
    sum((x * torch.linspace(-1, 1, x.numel()).reshape(x.shape)).sum() for x in real.values()).backward()  # type: ignore[union-attr]
    gradients = {f"gradient of {name}": each.grad for name, each in network.named_parameters()}
    return {**{name: x.detach() for name, x in real.items()}, **gradients, **dict(network.named_buffers())}  # type: ignore[dict-item]


def check(make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, counts: list[int], others: list[int]) -> None:
    """A training step with and without padding."""
    results = []
    for most_real in (packing.MOST_REAL, 0.0):
        monkeypatch.setattr(packing, "MOST_REAL", most_real)
        network = make_network(MANY_LAYERS, INPUTS)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(5)
            for parameter in network.parameters():  # not at 0, where relu has a kink
                parameter.add_(0.1 * torch.randn_like(parameter))
        results.append(trained(network, *batch(counts, others)))
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_values_gradients_and_statistics_are_those_with_padding(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(make_network, monkeypatch, COUNTS, COUNTS)


def test_inputs_with_other_objects_meet_in_the_padded_form(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(make_network, monkeypatch, COUNTS, [3, 1, 0, 7, 2, 0, 4])


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 1, 0], [7, 7, 7]])
def test_batches_with_next_to_nothing_or_without_padding(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch, counts: list[int]
) -> None:
    check(make_network, monkeypatch, counts, counts)


def rows_seen(network: Network, counts: list[int]) -> set[tuple[int, ...]]:
    """The shapes that the dense layers of a network get."""
    inputs, masks = batch(counts)
    seen = set()
    for module in network.modules():
        if isinstance(module, Dense):
            module.register_forward_hook(lambda _, values, __: seen.add(tuple(values[0][0][0].shape[:-1])))
    network(inputs, masks, ["out"])
    return seen


ENCODER = "graph: {out: {from: [objects, others], layers: [concat, dense: {units: 4, dropout: 0.5}, dense: 4%s]}}"


def test_layers_get_real_objects_alone_in_training(make_network: MakeNetwork) -> None:
    network = make_network(ENCODER % "", INPUTS)
    assert rows_seen(network.train(), COUNTS) == {(sum(COUNTS),)}
    assert rows_seen(make_network(ENCODER % "", INPUTS).eval(), COUNTS) == {(len(COUNTS), 7)}


@pytest.mark.parametrize("last", [", unmask", ", mean_pool: {mask: ignore}", ", flatten: {mask: ignore}", ", lstm: 2"])
def test_networks_with_a_layer_that_needs_padding_keep_it(make_network: MakeNetwork, last: str) -> None:
    assert rows_seen(make_network(ENCODER % last, INPUTS).train(), COUNTS) == {(len(COUNTS), 7)}
    assert rows_seen(make_network(ENCODER % ", flatten", INPUTS).train(), COUNTS) == {(sum(COUNTS),)}


def test_batches_with_little_padding_keep_it(make_network: MakeNetwork) -> None:
    counts = [7, 5, 1, 5]
    assert rows_seen(make_network(ENCODER % "", INPUTS).train(), counts) == {(len(counts), 7)}


def test_nothing_is_packed_in_a_captured_graph(make_network: MakeNetwork) -> None:
    """The number of real objects must not become a part of the graph, in training mode either."""
    network = make_network(MANY_LAYERS, INPUTS).train()

    class Flat(torch.nn.Module):
        def forward(self, objects: Tensor, others: Tensor, row: Tensor, mask: Tensor) -> Tensor:
            masks = {"objects": mask, "others": mask}
            return network({"objects": objects, "others": others, "row": row}, masks, ["pool"])["pool"]

    inputs, masks = batch(COUNTS)
    flat = Flat()
    flat.network = network
    rows = torch.export.Dim("rows", min=2, max=1000)
    program = torch.export.export(
        flat, (*inputs.values(), masks["objects"]), dynamic_shapes=({0: rows},) * 4, strict=False
    )
    called = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in called if "nonzero" in name or "index_copy" in name or "index_select" in name]


def test_dropout_of_real_objects_keeps_their_mean(make_network: MakeNetwork) -> None:
    text = "graph: {out: {from: objects, layers: [expression: 0 * x + 1, dropout: 0.25]}}"
    inputs, masks = batch([1, 3, 0, 5] * 500)
    x, mask = (
        make_network(text, INPUTS).train().compute({"objects": (inputs["objects"], masks["objects"])}, ["out"])["out"]
    )
    assert mask is not None
    assert not x[~mask].any()
    assert x[mask].mean().item() == pytest.approx(1.0, abs=0.02)
    assert (x[mask] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("counts", [[0], [40, 1], [3, 0, 0, 15, 2, 30, 2, 1, 7, 32, 5]])
def test_shelves_hold_each_row_whole_and_give_back_what_was_put_there(counts: list[int]) -> None:
    mask = torch.arange(40) < torch.tensor(counts)[:, None]
    packed = Packing(mask)
    shelves = packed.shelves
    assert torch.equal(shelves.place_R, Shelves(np.array(counts)).place_R)
    x = torch.arange(1.0, sum(counts) + 1).unsqueeze(1)
    full = shelves.put(x)
    assert torch.equal(shelves.take(full), x)
    assert (full != 0).sum() == sum(counts)
    sees = shelves.together[:, 0].sum(2)  # each object those of its row, itself among them
    assert torch.equal(shelves.take(sees.unsqueeze(2))[:, 0], torch.tensor(counts).index_select(0, packed.row_R))
