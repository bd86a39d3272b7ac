"""The graph's preprocessing is that of preparation and loader, whatever the order and number of objects."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.data.branches import needed_branches
from engine.data.readers.base import open_reader
from engine.data.rows import make_rows
from engine.data.worker import present_branches
from engine.export.deployed import deployed_network
from engine.export.front import keep_first, stable_order
from engine.export.predict import prediction_layout
from engine.export.raw_table import raw_tensors
from engine.export.scoring import Scorer


def _rows_of(experiment: Any, path: Path) -> tuple[Any, Any]:
    """Row table and chunk of all entries of a file, as `engine predict` makes them."""
    predict, layout = prediction_layout(experiment.data)
    needed = needed_branches(experiment.data, layout, predict.rows, None)
    with closing(open_reader(str(path), layout.format, layout.tree)) as reader:
        chunk = reader.read(present_branches(reader, needed, layout), 0, reader.entries)
    return make_rows(experiment.data, layout, predict.rows, None, chunk), chunk


def _both_ways(untrained: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores by the training path and by the network with its preprocessing in the graph."""
    outputs = ("jet_class", "is_data")
    deployed, raw = deployed_network(untrained.experiment, untrained.network, outputs, untrained.contract)
    table, chunk = _rows_of(untrained.experiment, path)
    predict, layout = prediction_layout(untrained.experiment.data)
    tensors = raw_tensors(layout, predict, raw, chunk)
    trained = Scorer(untrained.network, untrained.experiment.data, untrained.contract, outputs)(table, 100)
    with torch.no_grad():
        values = deployed(*(tensors[name] for name in raw.names))
    return trained, {name: value.numpy() for name, value in zip(outputs, values, strict=True)}


@pytest.mark.parametrize("kind", ["signal_125_55", "qcd", "bib", "control_data"])
def test_raw_fields_give_the_scores_of_the_training_path(untrained: Any, kind: str) -> None:
    trained, deployed = _both_ways(untrained, untrained.workspace / "data" / "calratio" / f"{kind}.root")
    assert len(trained["jet_class"]) > 50
    for name, values in trained.items():
        np.testing.assert_allclose(deployed[name], values, atol=1e-5, rtol=0)


def test_raw_fields_of_real_jets_give_the_scores_of_the_training_path(untrained: Any, reference_data: Path) -> None:
    trained, deployed = _both_ways(untrained, reference_data / "calratio" / "sig_311314_bad_object_small.root")
    assert len(trained["jet_class"]) == 109
    for name, values in trained.items():
        np.testing.assert_allclose(deployed[name], values, atol=1e-5, rtol=0)


def test_scores_do_not_depend_on_the_order_of_the_objects_and_not_on_what_stands_in_the_padding(untrained: Any) -> None:
    outputs = ("jet_class",)
    deployed, raw = deployed_network(untrained.experiment, untrained.network, outputs, untrained.contract)
    predict, layout = prediction_layout(untrained.experiment.data)
    _, chunk = _rows_of(untrained.experiment, untrained.workspace / "data" / "calratio" / "qcd.root")
    tensors = raw_tensors(layout, predict, raw, chunk)
    changed = dict(tensors)
    generator = torch.Generator().manual_seed(3)
    for name in ("clusters", "tracks"):
        mask = tensors[f"{name}_mask"]
        order = torch.randperm(mask.shape[1], generator=generator)
        noisy = torch.where(mask.unsqueeze(-1), tensors[name], torch.nan)
        changed[name], changed[f"{name}_mask"] = noisy[:, order], mask[:, order]
    with torch.no_grad():
        first = deployed(*(tensors[name] for name in raw.names))[0]
        second = deployed(*(changed[name] for name in raw.names))[0]
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


def test_stable_order_is_that_of_a_stable_sort() -> None:
    key = torch.randint(0, 6, (50, 40), generator=torch.Generator().manual_seed(1)).double()
    key[:, 30:] = torch.inf
    expected = torch.sort(key, dim=1, stable=True).indices
    assert torch.equal(stable_order(key), expected)


def test_rows_with_fewer_objects_than_are_kept_are_padded_with_zeros() -> None:
    own = torch.ones(1, 2, 3)
    chosen, kept = keep_first(own, torch.tensor([[False, True]]), torch.zeros(1, 2), 4)
    assert kept.tolist() == [[True, False, False, False]]
    assert chosen.sum() == 3
